"""Advances one trial, epoch by epoch, from its checkpoints in the store.

A committed epoch is read, not trained; training starts from the newest complete checkpoint before the requested epoch, or from
that of its parent. So resumed, extended and undisturbed trials take the same code path.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.config.trial import ParentConfig, TrialConfig
from trainables.errors import (
    CaucusError,
    CheckpointMismatch,
    DamagedObject,
    MismatchedPredictions,
    ObjectMissing,
    StoreError,
    TrialDiverged,
)
from trainables.hardware.device import check_device
from trainables.metric import Metric
from trainables.models.pretrained import load_initial_weights
from trainables.optim.samme import RoundOutcome, evaluate_round
from trainables.results.boost_table import BoostTable, boost_from_arrow, boost_to_arrow
from trainables.results.checkpoint import (
    CheckpointId,
    committed_epochs,
    read_json_part,
    read_part,
    read_predictions,
)
from trainables.results.committer import Committer
from trainables.results.layer_statistics import layers_to_arrow
from trainables.results.predictions import Predictions, to_arrow
from trainables.results.record import OUT_OF_BUDGET, EpochResult, TrialCost, TrialState
from trainables.results.true_class import take_true_class, true_class_to_arrow
from trainables.scores import measure
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import to_json
from trainables.training.device_images import DeviceImages, choose_training_rows
from trainables.training.memory import first_line, free_memory, is_out_of_memory, more_parts
from trainables.training.training import Evaluation, OutOfTime, Training

PARENT_WAIT_S = 60.0
"""How long a trial waits for its parent's checkpoint, which another process may still be writing; `PARENT_POLL_S` is the interval."""
PARENT_POLL_S = 0.1

CHECKPOINT_WAIT_S = 5.0
"""How long a trial waits for its own newest checkpoint: the worker that trained that epoch reported it before it was stored."""
CHECKPOINT_POLL_S = 0.05


class ParentUnusable(CaucusError, ValueError):
    """The checkpoint that a trial starts from is missing, damaged, or does not fit."""


@dataclass(frozen=True)
class Step:
    """The result of a call of `Trial.advance`: an epoch's result, or the end of the trial with its reason."""

    result: EpochResult | None = None
    trained: bool = False
    """False where the epoch was in the store already."""
    end: TrialState | None = None
    reason: str = ""
    by_budget: bool = False
    """Whether the time of the run is over, which is why the trial ended."""


class Trial:
    """A trial in progress. `epoch` is the last epoch that it has reached; that of a new child is its parent's.

    `metric` is what the sweep asks for; where it is not accuracy each result has its value on validation. It changes nothing of
    the training: a trial is the same whatever its sweep looks at.
    """

    def __init__(
        self,
        config: TrialConfig,
        images: DeviceImages,
        labels_sha256: dict[str, str],
        store: Store,
        committer: Committer,
        epoch: int = 0,
        metric: Metric = "accuracy",
    ) -> None:
        self.config = config
        self._metric: Metric | None = None if metric == "accuracy" else metric
        self._start = config.parent.epoch if config.parent else 0
        self.epoch = max(epoch, self._start)
        self._on_record = self.epoch
        self._images = images
        self._labels_sha256 = labels_sha256
        self._store = store
        self._committer = committer
        self._committed = set(committed_epochs(store, config.trial_id))
        self._training: Training | None = None
        self._parts = 1
        self._image_weights: npt.NDArray[np.float64] | None = None
        self.cost: TrialCost | None = None
        """The costs of the net, after an epoch was trained, or read with its costs; None before."""

    def advance(self, should_stop: Callable[[], bool] = lambda: False) -> Step:
        """The next epoch, from the store or by training. An error of the trial is not raised, but ends the trial.

        A store that keeps failing ends it as `stopped`, not `failed`: the next run continues it. Raises `DeviceFault` where the
        GPU has stopped working for this process.
        """
        try:
            known = self._stored_result(self.epoch + 1)
            result = known or self._train_next(should_stop)
            self.epoch += 1
            return Step(result, trained=known is None)
        except OutOfTime:
            return Step(end="stopped", reason=f"{OUT_OF_BUDGET} in epoch {self.epoch + 1}", by_budget=True)
        except TrialDiverged as error:
            return Step(end="diverged", reason=str(error))
        except StoreError as error:
            return Step(end="stopped", reason=str(error))
        except Exception as error:
            check_device(self._images.pixels.device, error)
            return Step(end="failed", reason=describe(error))

    def _stored_result(self, epoch: int) -> EpochResult | None:
        """The stored result of this epoch, or None where it must be trained (again)."""
        if epoch not in self._committed:
            return None
        try:
            metrics = read_json_part(self._store, self._id(epoch), layout.METRICS)
            timing = read_json_part(self._store, self._id(epoch), layout.TIMING)
            if self.cost is None and isinstance(timing.get("cost"), dict):
                self.cost = TrialCost(**_known_fields(TrialCost, timing["cost"]))
            took = {"train_s": timing["train_s"], "evaluate_s": timing["evaluate_s"]}
            return EpochResult(**_known_fields(EpochResult, metrics) | took | self._stored_score(epoch))
        except (DamagedObject, ObjectMissing, MismatchedPredictions, ValueError, KeyError, TypeError):
            self._committed.discard(epoch)
            return None

    def _stored_score(self, epoch: int) -> dict[str, Any]:
        """The sweep's metric of a stored epoch, from its predictions: another sweep may have trained it."""
        if self._metric is None:
            return {}
        return self._score(read_predictions(self._store, self._id(epoch), "validation").probabilities)

    def _score(self, probabilities: npt.NDArray[np.float32]) -> dict[str, Any]:
        """The sweep's metric of predictions on validation, float32 (images, classes); nothing where it is accuracy."""
        if self._metric is None:
            return {}
        return {
            "metric": self._metric,
            "validation_score": measure(self._metric, probabilities, self._labels("validation")),
        }

    def _train_next(self, should_stop: Callable[[], bool]) -> EpochResult:
        training, self._training = self._training, None
        if training is None or training.epoch != self.epoch:
            training = self._restore(self.epoch, should_stop)
        # More than once where checkpoints before this epoch were damaged, or where a batch does not fit into memory.
        while True:
            batch_size, message = training.batch_size, ""
            try:
                result = self._train_epoch(training, should_stop)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                message = first_line(error)
            if message:
                # Repeat the whole epoch from the last good checkpoint, so that its bits depend on the number of parts alone.
                del training
                free_memory()
                self._parts = more_parts(self._parts, batch_size, message)
                training = self._restore(self.epoch, should_stop)
            elif training.epoch == self.epoch + 1:
                self._training = training
                return result

    def _restore(self, epoch: int, should_stop: Callable[[], bool]) -> Training:
        """A training from the newest complete checkpoint up to `epoch`; from the beginning where there is none."""
        if self._start < epoch == self._on_record and epoch not in self._committed:
            if self._wait_for(self._id(epoch), CHECKPOINT_WAIT_S, CHECKPOINT_POLL_S, should_stop):
                self._committed.add(epoch)
            self._on_record = 0  # wait only once: a checkpoint that has not arrived by now is lost
        self._committer.flush()  # the upload of the newest checkpoint may be in progress, where the epoch after it has failed
        for candidate in sorted((found for found in self._committed if found <= epoch), reverse=True):
            try:
                weights = read_part(self._store, self._id(candidate), layout.WEIGHTS)
                optimizer_state = read_part(self._store, self._id(candidate), layout.OPTIMIZER)
                timing = read_json_part(self._store, self._id(candidate), layout.TIMING)
            except (DamagedObject, ObjectMissing, ValueError):
                self._committed.discard(candidate)
                continue
            self._parts = max(
                self._parts, timing.get("parts", 1)
            )  # as in its earlier epochs, so that the bits are the same
            training = self._begin_training(should_stop)
            training.restore(candidate, weights, optimizer_state)
            return training
        initial = None if self.config.parent else load_initial_weights(self._store, self.config.model.weights)
        boost = self.config.boost
        former = self._read_nets(boost.former, should_stop) if boost.kind == "gradient" else None
        try:
            training = self._begin_training(should_stop, initial, former)
        except CheckpointMismatch as error:
            raise ParentUnusable(f"its former round {boost.former} does not fit: {error}") from None
        if self.config.parent:
            self._restore_parent(
                training, CheckpointId(self.config.parent.trial_id, self.config.parent.epoch), should_stop
            )
        return training

    def _begin_training(
        self, should_stop: Callable[[], bool], initial: bytes | None = None, former: bytes | None = None
    ) -> Training:
        boost = self.config.boost
        if boost.kind == "samme" and boost.former and self._image_weights is None:
            self._image_weights = self._read_former(boost.former, should_stop)
        return Training(
            self.config, self._images, self._parts, initial, image_weights=self._image_weights, former=former
        )

    def _read_nets(self, former: ParentConfig | None, should_stop: Callable[[], bool]) -> bytes | None:
        """The nets of the previous rounds of gradient boosting; None in the first round. Every checkpoint of a round contains them."""
        if former is None:
            return None
        checkpoint = CheckpointId(former.trial_id, former.epoch)
        self._require(checkpoint, "former round", should_stop)
        try:
            return read_part(self._store, checkpoint, layout.WEIGHTS)
        except (DamagedObject, ObjectMissing) as error:
            raise ParentUnusable(f"its former round {former} cannot be read: {error}") from None

    def _read_former(self, former: ParentConfig, should_stop: Callable[[], bool]) -> npt.NDArray[np.float64]:
        """The image weights from the previous round of boosting."""
        checkpoint = CheckpointId(former.trial_id, former.epoch)
        self._require(checkpoint, "former round", should_stop)
        try:
            table = boost_from_arrow(read_part(self._store, checkpoint, layout.BOOST))
        except (DamagedObject, ObjectMissing) as error:
            raise ParentUnusable(f"its former round {former} cannot be read: {error}") from None
        rows = choose_training_rows(self._images, self.config.train_share).cpu().numpy()
        if table.data_id != self.config.data_id or not np.array_equal(table.rows, rows):
            raise ParentUnusable(f"its former round {former} was trained on other images: keep data and train_share")
        return table.weights

    def _require(self, checkpoint: CheckpointId, what: str, should_stop: Callable[[], bool]) -> None:
        """Raise `ParentUnusable` where `checkpoint` is not in the store and does not arrive in time."""
        if not self._wait_for(checkpoint, PARENT_WAIT_S, PARENT_POLL_S, should_stop):
            raise ParentUnusable(
                f"its {what} {checkpoint} is not in the store {self._store.uri}, nor came within {PARENT_WAIT_S:g} s: "
                f"train {checkpoint.trial_id} up to epoch {checkpoint.epoch} first, or name another {what.split()[-1]}"
            )

    def _restore_parent(self, training: Training, parent: CheckpointId, should_stop: Callable[[], bool]) -> None:
        self._require(parent, "parent", should_stop)
        try:
            weights = read_part(self._store, parent, layout.WEIGHTS)
            optimizer_state = read_part(self._store, parent, layout.OPTIMIZER)
            training.restore(parent.epoch, weights, optimizer_state)
        except (DamagedObject, ObjectMissing) as error:
            raise ParentUnusable(f"its parent {parent} cannot be read: {error}") from None
        except CheckpointMismatch as error:
            raise ParentUnusable(
                f"its parent {parent} does not fit: {error}; a child keeps its parent's model and optimizer.name"
            ) from None

    def _wait_for(
        self, checkpoint: CheckpointId, timeout_s: float, poll_s: float, should_stop: Callable[[], bool]
    ) -> bool:
        """Whether this checkpoint is in the store, or arrives in time. Raises `OutOfTime` if the trial must stop meanwhile."""
        give_up_s = time.monotonic() + timeout_s
        while self._store.stat(checkpoint.key(layout.MANIFEST)) is None:
            if should_stop():
                raise OutOfTime
            if time.monotonic() >= give_up_s:
                return False
            time.sleep(poll_s)
        return True

    def _train_epoch(self, training: Training, should_stop: Callable[[], bool]) -> EpochResult:
        start_s = time.monotonic()
        train_loss, train_accuracy = training.train_epoch(should_stop)
        train_s = seconds_since(start_s)
        start_s = time.monotonic()
        validation, test = training.evaluate("validation"), training.evaluate("test")
        outcome = self._evaluate_round(training)
        seen: dict[str, Any] = dict(training.statistics.scalars()) if training.statistics else {}
        result = EpochResult(
            epoch=training.epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation.loss,
            validation_accuracy=validation.accuracy,
            train_s=train_s,
            evaluate_s=seconds_since(start_s),
            **seen,
            round_error=outcome.error if outcome else None,
            round_weight=outcome.weight if outcome else self._weight_in_sum(),
            **self._score(validation.probabilities),
        )
        # Without the metric: a checkpoint follows from its configuration alone, whatever the sweep looks at.
        measured = replace(result, metric=None, validation_score=None).to_dict()
        timing = {
            "train_s": measured.pop("train_s"),
            "evaluate_s": measured.pop("evaluate_s"),
            **training.circumstances(),
        }
        if self.cost is None:
            self.cost = training.cost()
        timing["cost"] = asdict(self.cost)
        # Nothing measured on test enters `result`: its predictions go to a file that only the final evaluation opens.
        parts = {
            layout.WEIGHTS: training.weights(),
            layout.OPTIMIZER: training.optimizer_state(),
            layout.predictions_part("validation"): to_arrow(predictions := self._predictions("validation", validation)),
            layout.true_class_part("validation"): true_class_to_arrow(
                take_true_class(predictions, self._labels("validation"))
            ),
            layout.predictions_part("test"): to_arrow(self._predictions("test", test)),
            layout.METRICS: to_json(measured),
            layout.LAYER_STATISTICS: layers_to_arrow(training.statistics.layers if training.statistics else ()),
            layout.TIMING: to_json(timing),
        }
        if outcome:
            table = BoostTable(self.config.data_id, training.trained_rows.astype(np.int32), outcome.weights)
            parts[layout.BOOST] = boost_to_arrow(table)
        self._committer.commit(self._id(training.epoch), parts)
        self._committed.add(training.epoch)
        return result

    def _evaluate_round(self, training: Training) -> RoundOutcome | None:
        """The outcome of a round of SAMME if it ended now, since any epoch may be its last one; None for other trials."""
        if self.config.boost.kind != "samme":
            return None
        wrong = training.find_wrong()
        weights = np.full(len(wrong), 1 / len(wrong)) if self._image_weights is None else self._image_weights
        return evaluate_round(weights, wrong, self._images.shape.classes)

    def _weight_in_sum(self) -> float | None:
        """The factor of the logits of a round of gradient boosting; None for other trials."""
        boost = self.config.boost
        return (boost.shrinkage if boost.former else 1.0) if boost.kind == "gradient" else None

    def _predictions(self, split: str, evaluation: Evaluation) -> Predictions:
        rows = self._images.rows[split].cpu().numpy().astype("int32")
        return Predictions(self.config.data_id, split, self._labels_sha256[split], rows, evaluation.probabilities)

    def _labels(self, split: str) -> npt.NDArray[np.int64]:
        return self._images.labels[self._images.rows[split]].cpu().numpy()

    def _id(self, epoch: int) -> CheckpointId:
        return CheckpointId(self.config.trial_id, epoch)


def _known_fields(kind: type[Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `measured` that are fields of `kind`; a newer version may have written others."""
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in measured.items() if key in names}


def seconds_since(start_s: float) -> float:
    """Seconds since `start_s` on the monotonic clock, to the millisecond."""
    return round(time.monotonic() - start_s, 3)


def describe(error: Exception) -> str:
    """Why a trial failed, as a message for people."""
    if isinstance(error, CaucusError):
        return str(error)
    if is_out_of_memory(error):
        return f"out of memory: {first_line(error)}"
    return f"{type(error).__name__}: {error}"
