"""The program `caucus` with a run as it might have been: it trains nothing, and goes on after its first line when it is told to.

python unread_run.py FOLDER run|nightly WORDS…: the run lies in FOLDER/runs, and goes on once there is a file FOLDER/go.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import runner.pipeline
from runner.cli.main import main
from runner.config.sweep import SweepSpec
from runner.journal.events import Event, RunOpened
from runner.journal.state import RunState
from runner.pipeline import RunResult
from runner.runs.status import StatusWriter
from tests.sample_runs.sample_run import make_images, write_sample_run
from trainables.store.folder import Folder


def run_sweep(
    folder: Path, spec: SweepSpec, run: Any, address: Any, command: str, listeners: list[Any], *_: Any
) -> RunResult:
    """In place of the real one."""

    def wait(event: Event, state: RunState) -> None:
        while isinstance(event, RunOpened) and not (folder / "go").exists():
            time.sleep(0.005)

    status = StatusWriter(Folder(folder / "runs", "runs"), spec, spec.run_id(make_images().data_id))
    found = write_sample_run(folder / "runs", [*listeners, wait, status])
    return RunResult("dots/r1", "done", "", found.state, None, "runs/report.html", 9, 1.0, 1.0)


if __name__ == "__main__":
    runner.pipeline.run_sweep = partial(run_sweep, Path(sys.argv.pop(1)))
    main()
