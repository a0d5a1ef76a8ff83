"""A run as it might have been, in a store, without a training: for the tests of everything that reads a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from runner.config.checks import parse_spec
from runner.config.sweep import SweepSpec
from runner.execution.head import write_head
from runner.journal.journal import Journal, read_state
from runner.journal.log import RunLog
from runner.journal.state import RunState
from runner.runs.locate import Located
from runner.runs.stored_run import StoredRun
from runner.search.choose import list_trials
from trainables.config.trial import TrialConfig
from trainables.data.images import ImageSet, labels_sha256
from trainables.results.checkpoint import CheckpointId, write_checkpoint
from trainables.results.predictions import Predictions, to_arrow
from trainables.results.record import EpochResult, TrialState
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import to_json

RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Learning rates of the trials, in their order; the last trial is never reached."""

ENDS: tuple[tuple[int, TrialState, str], ...] = (
    (3, "finished", ""),
    (3, "finished", ""),
    (1, "pruned", "pruned at rung 1, rank 3 of 3"),
    (2, "stopped", "the budget ran out in epoch 3"),
    (0, "diverged", "loss is [red]nan[/red] in epoch 1: lower optimizer.lr"),
    (0, "failed", "its worker was lost 4 times; the last time: killed"),
)
"""Epochs, state and reason of each trial but the last."""

STRENGTHS = (2.0, 3.0, 0.5, 1.5)
"""How strongly the predictions of a trial lean to the truth."""


@dataclass(frozen=True, eq=False)
class SampleRun:
    """The run, its sweep and its images."""

    store: Folder
    spec: SweepSpec
    images: ImageSet
    run_id: str
    trials: list[TrialConfig]

    @property
    def found(self) -> Located:
        return Located(self.store, self.spec.name, self.run_id)

    @property
    def state(self) -> RunState:
        return read_state(self.store, self.spec.name, self.run_id)

    @property
    def stored(self) -> StoredRun:
        return StoredRun(self.store, self.spec.name, self.run_id, self.state, self.spec.ensemble, "caucus run x.yaml")

    def files(self) -> dict[str, bytes]:
        """Everything that the store holds."""
        return {found.key: self.store.get(found.key) for found in self.store.find("")}


def make_images() -> ImageSet:
    """180 images of 2 by 2 pixels in three classes, 60 in each split."""
    rng = np.random.default_rng(0)
    return ImageSet(
        name="dots",
        pixels=rng.integers(0, 256, (180, 2, 2, 1)).astype(np.uint8),
        labels=rng.integers(0, 3, 180),
        image_ids=tuple(f"{number:03d}" for number in range(180)),
        class_names=("circle", "square", "<b>star</b>"),
        splits=np.tile(np.array([0, 1, 2], np.int8), 60),
    )


def make_spec(store_uri: str, **parts: Any) -> SweepSpec:
    """A grid over seven learning rates, ended by successive halving at epochs 1 and 3; `parts` replace parts of it."""
    payload: dict[str, Any] = {
        "name": "dots",
        "data": {"path": "images/of/dots"},
        "store": store_uri,
        "search": {"method": "grid", "space": {"optimizer.lr": {"choice": list(RATES)}}},
        "scheduler": {"method": "asha", "max_epochs": 3, "reduction": 3},
        "ensemble": {"size": 3},
    }
    return parse_spec(payload | parts, "dots.yaml")


def make_trial(number: int = 0, **keys: Any) -> TrialConfig:
    """A trial that differs from the others by its seed."""
    return TrialConfig(data_id="0123456789abcdef", seed=number, **keys)


def make_result(epoch: int, accuracy: float, loss: float = 0.5, seconds: float = 1.0) -> EpochResult:
    """What an epoch measured; it took `seconds` of training and half as many of evaluation."""
    return EpochResult(epoch, 0.4, 0.9, loss, accuracy, seconds, seconds / 2)


def open_log(store: Folder, name: str = "dots", run: str = "r1", listeners: Any = ()) -> RunLog:
    """The log of a run as a driver that begins, or begins again, opens it."""
    return RunLog(Journal(store, name, run), list(listeners))


def write_sample_run(folder: Path, listeners: list[Callable[..., None]] | None = None) -> SampleRun:
    """The run in a store in `folder`: two trials finished, one each is pruned, stopped, diverged, failed and waiting."""
    store = Folder(folder, "runs")
    spec, images = make_spec("runs"), make_images()
    run_id = spec.run_id(images.data_id)
    trials = list_trials(spec, images.data_id)
    write_head(store, spec, run_id, images, "caucus run x.yaml")
    log = RunLog(Journal(store, spec.name, run_id), listeners or [])
    log.open({"python": "3.11", "caucus": "0.1.0"}, slots=2)
    log.plan(trials)
    for number, (epochs, state, reason) in enumerate(ENDS):
        trial = trials[number]
        log.start(trial.trial_id)
        for epoch in range(1, epochs + 1):
            result = write_epoch(store, images, trial, epoch, STRENGTHS[number] + 0.2 * epoch)
            log.report(trial.trial_id, result, True, (state, reason) if epoch == epochs else None)
        if not epochs:
            log.end(trial.trial_id, state, reason)
    log.close("done", "the budget ran out")
    return SampleRun(store, spec, images, run_id, trials)


def write_epoch(store: Folder, images: ImageSet, trial: TrialConfig, epoch: int, strength: float) -> EpochResult:
    """A checkpoint with random predictions that lean to the truth by `strength`; returns what it would have measured."""
    predictions = {
        split: _predict(images, split, trial.seed % 1000 + epoch, strength) for split in ("validation", "test")
    }
    labels = images.labels[images.rows("validation")]
    right = predictions["validation"][np.arange(len(labels)), labels]
    result = EpochResult(
        epoch=epoch,
        train_loss=0.4,
        train_accuracy=0.9,
        validation_loss=float(-np.log(right).mean()),
        validation_accuracy=float((predictions["validation"].argmax(1) == labels).mean()),
        train_s=1.0,
        evaluate_s=0.5,
    )
    measured = asdict(result)
    timing = {"train_s": measured.pop("train_s"), "evaluate_s": measured.pop("evaluate_s")}
    parts = {
        layout.WEIGHTS: b"weights",
        layout.OPTIMIZER: b"optimizer",
        **{layout.predictions_part(split): _arrow(images, split, shares) for split, shares in predictions.items()},
        layout.METRICS: to_json(measured),
        layout.TIMING: to_json(timing),
    }
    write_checkpoint(store, CheckpointId(trial.trial_id, epoch), parts)
    return result


def _predict(images: ImageSet, split: str, seed: int, strength: float) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng([seed, layout.SPLITS.index(split)])
    labels = images.labels[images.rows(split)]
    logits = rng.normal(size=(len(labels), len(images.class_names)))
    logits[np.arange(len(labels)), labels] += strength
    odds = np.exp(logits)
    shares: npt.NDArray[np.float32] = (odds / odds.sum(1, keepdims=True)).astype(np.float32)
    return shares


def _arrow(images: ImageSet, split: str, shares: npt.NDArray[np.float32]) -> bytes:
    rows = images.rows(split)
    return to_arrow(
        Predictions(images.data_id, split, labels_sha256(images.labels[rows]), rows.astype(np.int32), shares)
    )
