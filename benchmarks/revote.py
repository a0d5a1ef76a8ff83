"""Measures another vote of a large stored run: `caucus ensemble RUN --json`, the whole process, from a folder.

    python -m benchmarks.revote         1,000 checkpoints x 10,000 images x 10 classes: half a minute, and 1 GB of scratch disk

The run has been published before, as every run is at its end, so the means of all candidates are in the store; `unpublished_s`
is the time of a vote without them. The files were just written and are in the system's cache: the disk is not measured.
"""

from __future__ import annotations

import argparse
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import at_most, write
from benchmarks.stored_run import HastyFolder, write_stored_run

GOAL_S = 5.0

STAGES = {
    "import": ("<frozen importlib._bootstrap>", "_find_and_load"),
    "journal": ("stored_run.py", "load_run"),
    "manifests": ("alignment.py", "read_manifests"),
    "true class": ("true_class.py", "read_true_class_pool"),
    "whole predictions": ("pool.py", "read_pool"),
    "mean of all": ("streaming.py", "stream_mean"),
    "select": ("select.py", "select"),
    "corrected": ("corrected.py", "correct"),
    "fit votes": ("verdict.py", "prepare"),
    "test": ("verdict.py", "evaluate_prepared"),
}
"""Functions whose time is reported beside the figure; one may call another."""


def vote(folder: str, overrides: list[str], profile: str | None = None) -> tuple[dict[str, Any], float, float]:
    """What the command prints, and the seconds of its process: by the clock, and of processors."""
    tool = ["-m", "cProfile", "-o", profile] if profile else []
    command = [
        sys.executable,
        *tool,
        "-m",
        "runner.cli.main",
        "ensemble",
        "large",
        *overrides,
        "--store",
        folder,
        "--json",
    ]
    start_s, start_cpu_s = time.monotonic(), children_cpu_s()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    return json.loads(done.stdout), time.monotonic() - start_s, children_cpu_s() - start_cpu_s


def children_cpu_s() -> float:
    """Processor seconds of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def stages_s(profile: str) -> dict[str, float]:
    """Seconds of each of `STAGES` that was called, under a profiler that makes Python slower."""
    found: dict[str, float] = {}
    for (file, _, function), profiled in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        for stage, (file_name, function_name) in STAGES.items():
            if function == function_name and Path(file).name == file_name:
                found[stage] = round(max(found.get(stage, 0.0), profiled[3]), 2)
    return {stage: found[stage] for stage in STAGES if stage in found}


def measure(checkpoints: int, images: int, classes: int, overrides: list[str], times: int) -> dict[str, Any]:
    """The figure: the quickest of `times` votes of a published run, and the time of its stages."""
    with tempfile.TemporaryDirectory() as folder:
        write_stored_run(HastyFolder(Path(folder)), checkpoints, images, classes)
        first_s = vote(folder, overrides)[1]
        report = [sys.executable, "-m", "runner.cli.main", "report", "large", "--store", folder, "--json"]
        subprocess.run(report, capture_output=True, check=True, cwd=Path(__file__).parents[1])
        votes = [vote(folder, overrides) for _ in range(times)]
        profile = str(Path(folder) / "profile")
        vote(folder, overrides, profile)
        spent = stages_s(profile)
    result, best_s, cpu_s = votes[0][0], min(each[1] for each in votes), min(each[2] for each in votes)
    figure = at_most(best_s, "s", GOAL_S) | {
        "cpu_s": round(cpu_s, 2),
        "spent_under_profiler_s": spent,
        "unpublished_s": round(first_s, 2),
        "pool": f"{checkpoints} x {images} x {classes}",
        "members": result["ensemble"]["members"],
    }
    return {f"select/revote_{checkpoints}": figure}


def main() -> None:
    """Measure and write the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="as for `caucus ensemble`; the goal is for none")
    parser.add_argument("--checkpoints", type=int, default=1000)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    found = measure(arguments.checkpoints, arguments.images, arguments.classes, arguments.overrides, arguments.times)
    if arguments.overrides or arguments.images != 10_000 or arguments.classes != 10:
        print(json.dumps(found, indent=1))
    else:
        write(found)


if __name__ == "__main__":
    main()
