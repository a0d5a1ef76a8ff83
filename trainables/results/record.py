"""What became of a trial, as every later stage sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

from trainables.config.trial import TrialConfig

TrialState = Literal["waiting", "running", "paused", "finished", "pruned", "diverged", "failed", "stopped"]
"""paused: waits at a rung to be promoted; finished: reached its last epoch; pruned: ended by the scheduler; diverged: a loss that is no number, or
explodes; failed: raised, or its worker died too often; stopped: cut off by the budget, to be continued by a larger one."""

STATES: tuple[TrialState, ...] = get_args(TrialState)
OUT_OF_BUDGET = "the budget ran out"
"""How the reason of a trial, or of a run, begins that a larger budget continues."""

ENDED = ("finished", "pruned", "diverged", "failed")
"""States that a later run of the same sweep leaves as they are."""


@dataclass(frozen=True)
class EpochResult:
    """What a trial measured at the end of one epoch. Accuracies are shares of 1; losses mean cross-entropy in nats."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    train_s: float
    """Seconds of training in this epoch."""
    evaluate_s: float
    """Seconds of prediction on validation and test at its end."""
    fit_loss: float | None = None
    """Of some training images in evaluation mode, so on the same footing as `validation_loss`. This and what follows is what `EpochStatistics` says."""
    fit_accuracy: float | None = None
    rate: float | None = None
    grad_norm: float | None = None
    update_ratio: float | None = None
    dead_share: float | None = None
    surge: float | None = None
    round_error: float | None = None
    """Of a round of SAMME: share of the weights whose training images it has wrong."""
    round_weight: float | None = None
    """Of its vote; not above zero where it is no better than guessing. Of gradient boosting what its logits are multiplied by."""

    @property
    def busy_s(self) -> float:
        """Seconds that this epoch kept its slot busy."""
        return self.train_s + self.evaluate_s


@dataclass(frozen=True)
class TrialCost:
    """What a trial's net costs where it was trained. Times are of its first epoch's worker, and differ between machines."""

    parameters: int
    flops: int
    """Floating-point operations of one image's prediction, in convolutions, matrix products and attention."""
    latency_s: float
    """Seconds of the prediction of one image, alone."""
    batch: int
    batch_latency_s: float
    """Seconds of the prediction of `batch` images at once."""
    step_bytes: int
    """Memory of a training step: weights, gradients, optimizer, and what is kept for the backward pass."""
    step_bytes_measured: bool
    """Whether the device told the peak; else it is estimated from what is kept of one image."""


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a run: its configuration, its state with the reason, and its epochs in order."""

    config: TrialConfig
    state: TrialState = "waiting"
    reason: str = ""
    epochs: tuple[EpochResult, ...] = field(default=())
    stage: str = ""
    """Of the search, the newest that it belongs to."""
    max_epochs: int | None = None
    """Its last epoch, where it is not the sweep's own."""
    audited_from: int | None = None
    """The epoch at which it was pruned, if it is trained on as an audit."""
    cost: TrialCost | None = None
    """What its net costs; None where that was not measured."""

    @property
    def trial_id(self) -> str:
        """Short for `config.trial_id`."""
        return self.config.trial_id

    @cached_property
    def best(self) -> EpochResult | None:
        """The epoch with the highest validation accuracy; of equals the lower validation loss, then the earlier."""
        return max(self.epochs, key=lambda at: (at.validation_accuracy, -at.validation_loss, -at.epoch), default=None)


def rank(records: list[TrialRecord]) -> list[TrialRecord]:
    """All trials, best validation accuracy first (ties: lower loss, then `trial_id`); those without an epoch last."""

    def place(record: TrialRecord) -> tuple[float, float, str]:
        best = record.best
        return (
            (-best.validation_accuracy, best.validation_loss, record.trial_id) if best else (1.0, 0.0, record.trial_id)
        )

    return sorted(records, key=place)
