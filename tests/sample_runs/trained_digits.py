"""A small run whose trials were really trained, in a store, without Ray: for the tests of what uses its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.config.checks import parse_spec
from runner.config.sweep import SweepSpec
from runner.execution.head import write_head
from runner.journal.journal import Journal, read_state
from runner.journal.log import RunLog
from runner.runs.stored_run import StoredRun
from runner.runs.versions import versions
from runner.search.choose import list_trials
from tests.sample_runs.train_trials import train_trials
from trainables.data.images import ImageSet
from trainables.datasets.load import load_images
from trainables.store.folder import Folder


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """The run, its sweep and its images."""

    store: Folder
    spec: SweepSpec
    images: ImageSet
    run_id: str

    def stored(self, **ensemble: Any) -> StoredRun:
        """The run with other keys of the ensemble."""
        state = read_state(self.store, self.spec.name, self.run_id)
        config = self.spec.ensemble.model_validate(self.spec.ensemble.model_dump() | ensemble)
        command = "caucus run small.yaml"
        return StoredRun(self.store, self.spec.name, self.run_id, state, config, command, self.spec)


def write_trained_run(folder: Path, epochs: int = 2, **parts: Any) -> TrainedRun:
    """Four trials on the digits, of one and two blocks; `parts` replace parts of the sweep. Takes some seconds."""
    payload: dict[str, Any] = {
        "name": "small",
        "data": {"name": "digits", "validation": 0.25, "test": 0.25},
        "store": "runs",
        "model": {"width": 8},
        "search": {
            "method": "grid",
            "space": {"optimizer.lr": {"choice": [0.02, 0.1]}, "model.blocks": {"choice": [1, 2]}},
        },
        "scheduler": {"method": "none", "max_epochs": epochs},
        "ensemble": {"select": "top", "size": 3, "bootstraps": 0},
    }
    store, spec = Folder(folder, str(folder)), parse_spec(payload | parts, "small.yaml")
    images = load_images(spec.data)
    run_id = spec.run_id(images.data_id)
    write_head(store, spec, run_id, images, "caucus run small.yaml")
    log = RunLog(Journal(store, spec.name, run_id), [])
    log.open(versions(), slots=1)
    trials = list_trials(spec, images.data_id)
    log.plan(trials)
    train_trials(store, log, trials, images, epochs)
    log.close("done", "")
    return TrainedRun(store, spec, images, run_id)
