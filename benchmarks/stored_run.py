"""Creates a large stored run in seconds and without training, for benchmarks of code that reads runs."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from runner.config.checks import parse_spec
from runner.config.sweep import SweepSpec
from runner.execution.head import write_head
from runner.journal.events import Event, TrialMeasured
from runner.journal.journal import Journal, UnwrittenJournal
from runner.journal.log import RunLog
from runner.runs.status import StatusWriter, summarise
from runner.search.choose import list_trials
from trainables.data.images import ImageSet, labels_sha256
from trainables.results.checkpoint import CheckpointId, write_checkpoint
from trainables.results.config_file import write_config
from trainables.results.predictions import Predictions, to_arrow
from trainables.results.record import EpochResult, TrialCost
from trainables.results.true_class import take_true_class, true_class_to_arrow
from trainables.store import layout
from trainables.store.base import Store, StoredObject
from trainables.store.folder import Folder
from trainables.store.json_records import to_json

BATCH = 100
"""Events that are written at a time."""

COST = TrialCost(100_000, 2_000_000, 1e-4, 64, 1e-3, 2**20, False)

WRITERS = 4
"""Checkpoints written at a time."""

NOISES = 24
"""Different noises that the trials' errors are mixed from: drawing noise for each trial would take most of the time."""


@dataclass(frozen=True)
class HastyFolder(Folder):
    """A folder that does not wait for the disk."""

    def put(self, key: str, data: bytes) -> StoredObject:
        """Write without a flush, and in place."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return StoredObject(key, len(data))


def make_images(images: int, classes: int) -> ImageSet:
    """Images of one pixel: one for training, and `images` each for validation and test."""
    rng = np.random.default_rng(0)
    count = 2 * images + 1
    return ImageSet(
        name="large",
        pixels=rng.integers(0, 256, (count, 1, 1, 1)).astype(np.uint8),
        labels=rng.integers(0, classes, count),
        image_ids=tuple(f"{number:06d}" for number in range(count)),
        class_names=tuple(f"class {number}" for number in range(classes)),
        splits=np.repeat(np.array([0, 1, 2], np.int8), [1, images, images]),
    )


def make_spec(store_uri: str, checkpoints: int) -> SweepSpec:
    """A random search over learning rates, one epoch a trial."""
    return parse_spec(
        {
            "name": "large",
            "data": {"path": "images/of/one/pixel"},
            "store": store_uri,
            "search": {
                "method": "random",
                "trials": checkpoints,
                "space": {"optimizer.lr": {"log": [1e-4, 1.0]}, "model.dropout": {"uniform": [0.0, 0.5]}},
            },
            "scheduler": {"method": "none", "max_epochs": 1},
        },
        "large.yaml",
    )


def write_stored_run(
    store: Store, checkpoints: int, images: int, classes: int, with_true_class: bool = True
) -> tuple[str, SweepSpec]:
    """A run of as many trials, each with one checkpoint and predictions on validation and test; its `name/run` and sweep.

    Errors are those of nets of different skill that share a part of their noise, about a tenth wrong. `with_true_class`: whether
    the checkpoints have the part that selection reads.
    """
    spec = make_spec(store.uri, checkpoints)
    return write_run_of(store, spec, make_images(images, classes), with_true_class), spec


def write_run_of(store: Store, spec: SweepSpec, data: ImageSet, with_true_class: bool = True) -> str:
    """Write the run of `spec` over `data` as if it had finished, each trial after `scheduler.max_epochs`, but without a vote;
    returns its `name/run`."""
    run_id = spec.run_id(data.data_id)
    write_head(store, spec, run_id, data, "caucus run large.yaml")
    log = RunLog(UnwrittenJournal(), [])
    log.open({"python": "3", "caucus": "0"}, slots=1)
    trials = list_trials(spec, data.data_id)
    log.plan(trials)
    rng = np.random.default_rng(1)
    classes = len(data.class_names)
    rows = {split: data.rows(split) for split in ("validation", "test")}
    labels = {split: data.labels[found] for split, found in rows.items()}
    label_hashes = {split: labels_sha256(found) for split, found in labels.items()}
    common = {split: rng.standard_normal((len(found), classes), np.float32) for split, found in rows.items()}
    noises = {split: rng.standard_normal((NOISES, len(found), classes), np.float32) for split, found in rows.items()}
    last = spec.scheduler.max_epochs
    with ThreadPoolExecutor(WRITERS) as writers:
        for trial in trials:
            write_config(store, trial)
            log.start(trial.trial_id)
            log.write(TrialMeasured, trial_id=trial.trial_id, cost=COST)
            for epoch in range(1, last + 1):
                skill, mixed = 3.2 + 0.3 * rng.standard_normal(), rng.choice(NOISES, 2, replace=False)
                parts: dict[str, bytes] = {layout.WEIGHTS: b"weights", layout.METRICS: b"{}", layout.TIMING: b"{}"}
                predictions: dict[str, Predictions] = {}
                for split, found in rows.items():
                    logits = common[split] + 0.7 * (noises[split][mixed[0]] + noises[split][mixed[1]])
                    logits[np.arange(len(found)), labels[split]] += np.float32(skill)
                    shares = _softmax(np.float32(1.5) * logits)
                    predictions[split] = Predictions(
                        data.data_id, split, label_hashes[split], found.astype(np.int32), shares
                    )
                    parts[layout.predictions_part(split)] = to_arrow(predictions[split])
                true_class = take_true_class(predictions["validation"], labels["validation"])
                if with_true_class:
                    parts[layout.true_class_part("validation")] = true_class_to_arrow(true_class)
                loss = float(-np.log(np.maximum(true_class.true_class, 1e-12)).mean())
                accuracy = float((true_class.predicted == labels["validation"]).mean())
                result = EpochResult(epoch, 0.4, 0.9, loss, accuracy, 1.0, 0.5)
                measured = {key: value for key, value in asdict(result).items() if key[-2:] != "_s"}
                parts[layout.METRICS] = to_json(measured)
                writers.submit(write_checkpoint, store, CheckpointId(trial.trial_id, epoch), parts)
                log.report(trial.trial_id, result, True, ("finished", "") if epoch == last else None)
    log.close("done", "")
    journal = Journal(store, spec.name, run_id)
    for events in _batches(log.events):
        journal.append(*events)
    StatusWriter(store, spec, run_id).write(summarise(log.state, spec.name, run_id))
    return f"{spec.name}/{run_id}"


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    odds: npt.NDArray[np.float32] = np.exp(logits - logits.max(1, keepdims=True))
    odds /= odds.sum(1, keepdims=True)
    return odds


def _batches(events: list[Event]) -> Iterable[list[Event]]:
    return (events[start : start + BATCH] for start in range(0, len(events), BATCH))
