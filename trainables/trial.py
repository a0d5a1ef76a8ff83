"""Carries one trial forward, epoch by epoch, from whatever the store already holds of it.

An epoch that is committed is read, not trained; training begins from the newest whole checkpoint before the epoch that
is asked for. So a resumed, an extended and an undisturbed trial go the same way through this file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from trainables import layout
from trainables.checkpoint import CheckpointId, committed_epochs, read_part
from trainables.commit import Committer
from trainables.config import TrialConfig
from trainables.errors import CaucusError, DamagedObject, ObjectMissing, StoreError, TrialDiverged
from trainables.predictions import Predictions, to_arrow
from trainables.record import OUT_OF_BUDGET, EpochResult, TrialState
from trainables.store import Store, to_json
from trainables.training import DeviceImages, Evaluation, OutOfTime, Training, seconds_since


@dataclass(frozen=True)
class Step:
    """What one call of `Trial.advance` brought: an epoch's result, or the end of the trial with its reason."""

    result: EpochResult | None = None
    trained: bool = False
    """False where the epoch was in the store already and cost nothing."""
    end: TrialState | None = None
    reason: str = ""


class Trial:
    """One trial under way. `epoch` is the last one that was advanced to."""

    def __init__(
        self,
        config: TrialConfig,
        images: DeviceImages,
        labels_sha256: dict[str, str],
        store: Store,
        committer: Committer,
        epoch: int = 0,
    ) -> None:
        self.config = config
        self.epoch = epoch
        self._images = images
        self._labels_sha256 = labels_sha256
        self._store = store
        self._committer = committer
        self._committed = set(committed_epochs(store, config.trial_id))
        self._training: Training | None = None

    def advance(self, should_stop: Callable[[], bool] = lambda: False) -> Step:
        """The next epoch, from the store or by training. Never raises for what a trial can do wrong: that ends it.

        A store that stays unwilling ends it as `stopped`, not `failed`: the next run continues it.
        """
        try:
            known = self._known_result(self.epoch + 1)
            result = known or self._train_next(should_stop)
            self.epoch += 1
            return Step(result, trained=known is None)
        except OutOfTime:
            return Step(end="stopped", reason=f"{OUT_OF_BUDGET} in epoch {self.epoch + 1}")
        except TrialDiverged as error:
            return Step(end="diverged", reason=str(error))
        except StoreError as error:
            return Step(end="stopped", reason=str(error))
        except Exception as error:
            reason = str(error) if isinstance(error, CaucusError) else f"{type(error).__name__}: {error}"
            return Step(end="failed", reason=reason)

    def _known_result(self, epoch: int) -> EpochResult | None:
        """What the store has of this epoch, or None where it must be trained (again)."""
        if epoch not in self._committed:
            return None
        try:
            metrics = json.loads(read_part(self._store, self._id(epoch), layout.METRICS))
            timing = json.loads(read_part(self._store, self._id(epoch), layout.TIMING))
            return EpochResult(**metrics, train_s=timing["train_s"], evaluate_s=timing["evaluate_s"])
        except (DamagedObject, ObjectMissing, ValueError, KeyError, TypeError):
            self._committed.discard(epoch)
            return None

    def _train_next(self, should_stop: Callable[[], bool]) -> EpochResult:
        training = (
            self._training if self._training and self._training.epoch == self.epoch else self._restore(self.epoch)
        )
        self._training = training
        while True:  # more than once only where checkpoints before this epoch were damaged: they are made again
            result = self._train_epoch(training, should_stop)
            if training.epoch == self.epoch + 1:
                return result

    def _restore(self, epoch: int) -> Training:
        """A training from the newest whole checkpoint at `epoch` or before; from the beginning where there is none."""
        training = Training(self.config, self._images)
        for candidate in sorted((found for found in self._committed if found <= epoch), reverse=True):
            try:
                weights = read_part(self._store, self._id(candidate), layout.WEIGHTS)
                optimizer_state = read_part(self._store, self._id(candidate), layout.OPTIMIZER)
            except (DamagedObject, ObjectMissing):
                self._committed.discard(candidate)
                continue
            training.restore(candidate, weights, optimizer_state)
            break
        return training

    def _train_epoch(self, training: Training, should_stop: Callable[[], bool]) -> EpochResult:
        start_s = time.monotonic()
        train_loss, train_accuracy = training.train_epoch(should_stop)
        train_s = seconds_since(start_s)
        start_s = time.monotonic()
        validation, test = training.evaluate("validation"), training.evaluate("test")
        result = EpochResult(
            epoch=training.epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation.loss,
            validation_accuracy=validation.accuracy,
            train_s=train_s,
            evaluate_s=seconds_since(start_s),
        )
        measured = asdict(result)
        timing = {
            "train_s": measured.pop("train_s"),
            "evaluate_s": measured.pop("evaluate_s"),
            **training.circumstances(),
        }
        # Nothing measured on test enters `result`: its predictions go to a file that only the final evaluation opens.
        parts = {
            layout.WEIGHTS: training.weights(),
            layout.OPTIMIZER: training.optimizer_state(),
            layout.predictions_part("validation"): self._predictions("validation", validation),
            layout.predictions_part("test"): self._predictions("test", test),
            layout.METRICS: to_json(measured),
            layout.TIMING: to_json(timing),
        }
        self._committer.commit(self._id(training.epoch), parts)
        self._committed.add(training.epoch)
        return result

    def _predictions(self, split: str, evaluation: Evaluation) -> bytes:
        rows = self._images.rows[split].cpu().numpy().astype("int32")
        return to_arrow(
            Predictions(self.config.data_id, split, self._labels_sha256[split], rows, evaluation.probabilities)
        )

    def _id(self, epoch: int) -> CheckpointId:
        return CheckpointId(self.config.trial_id, epoch)
