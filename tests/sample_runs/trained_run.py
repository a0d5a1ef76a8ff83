"""A run that was really trained, without Ray: two trials of three epochs on digits, in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.config.checks import parse_spec
from runner.execution.head import write_head
from runner.journal.latest import read_latest
from runner.runs.locate import Located
from runner.runs.stored_run import StoredRun, load_run
from runner.search.choose import list_trials
from tests.sample_runs.sample_run import open_log
from tests.sample_runs.train_trials import train_trials
from trainables.datasets.load import load_images
from trainables.store.folder import Folder

EPOCHS = 3
SWEEP: dict[str, Any] = {
    "name": "digits",
    "data": {"name": "digits", "validation": 0.25, "test": 0.25},
    "store": "runs",
    "model": {"width": 8},
    "optimizer": {"batch_size": 64},
    "search": {"method": "grid", "space": {"model.residual": {"choice": [False, True]}}},
    "scheduler": {"method": "none", "max_epochs": EPOCHS},
    "ensemble": {"size": 2},
}


def train_run(folder: Path) -> Path:
    """A plain net and a residual one, and one more trial that has no epoch, in a store in `folder`; returns that."""
    store, spec = Folder(folder, "runs"), parse_spec(SWEEP, "digits.yaml")
    images = load_images(spec.data)
    trials = list_trials(spec, images.data_id)
    run = spec.run_id(images.data_id)
    write_head(store, spec, run, images, "caucus run digits.yaml")
    log = open_log(store, "digits", run)
    log.open({}, slots=1)
    log.plan([*trials, trials[0].model_copy(update={"seed": 77})])
    train_trials(store, log, trials, images, EPOCHS)
    log.close("done", "")
    return folder


def load(store: Folder) -> StoredRun:
    run = read_latest(store, "digits")
    return load_run(Located(store, "digits", run), [])


def plain(stored: StoredRun) -> str:
    return next(name for name, one in stored.state.trials.items() if not one.config.model.residual)


def residual(stored: StoredRun) -> str:
    return next(name for name, one in stored.state.trials.items() if one.config.model.residual)
