"""The record of a trial, for all later stages: its configuration, state, epochs and cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

from trainables.config.trial import TrialConfig

TrialState = Literal["waiting", "running", "paused", "finished", "pruned", "diverged", "failed", "stopped"]
"""paused: waits at a rung for promotion; finished: reached its last epoch; pruned: ended by the scheduler; diverged: its loss is
not finite, or explodes; failed: raised an exception, or its worker died too often; stopped: ended by the budget, a larger budget
continues it."""

STATES: tuple[TrialState, ...] = get_args(TrialState)
OUT_OF_BUDGET = "the budget ran out"
"""How the reason of a trial, or of a run, that a larger budget continues begins: for people. Code asks `by_budget`."""

ENDED = ("finished", "pruned", "diverged", "failed")
"""States that a later run of the same sweep does not change."""


@dataclass(frozen=True)
class EpochResult:
    """Measurements of a trial at the end of an epoch. Accuracies are shares of 1; losses are mean cross-entropies in nats."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    train_s: float
    """Seconds of training in this epoch."""
    evaluate_s: float
    """Seconds of prediction on validation and test at the end of the epoch."""
    fit_loss: float | None = None
    """Loss on a sample of the training images in evaluation mode, comparable to `validation_loss`. This field and the next six
    are those of `EpochStatistics`."""
    fit_accuracy: float | None = None
    rate: float | None = None
    grad_norm: float | None = None
    update_ratio: float | None = None
    dead_share: float | None = None
    surge: float | None = None
    round_error: float | None = None
    """For SAMME: share of the image weights that belong to misclassified training images."""
    round_weight: float | None = None
    """For SAMME: weight of the round's vote; not above zero where it is no better than guessing. For gradient boosting: factor of
    the round's logits."""

    @property
    def busy_s(self) -> float:
        """Seconds for which this epoch occupied its slot."""
        return self.train_s + self.evaluate_s


@dataclass(frozen=True)
class TrialCost:
    """Costs of a trial's net. Times are measured on the worker of the first epoch, and differ between machines."""

    parameters: int
    flops: int
    """Floating-point operations of the prediction of one image, in convolutions, matrix products and attention."""
    latency_s: float
    """Seconds of the prediction of a single image."""
    batch: int
    batch_latency_s: float
    """Seconds of the prediction of a batch of `batch` images."""
    step_bytes: int
    """Memory of a training step: weights, gradients, optimizer, and tensors saved for the backward pass."""
    step_bytes_measured: bool
    """Whether the device reported the peak; else `step_bytes` is estimated from the tensors saved for one image."""


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a run: its configuration, its state with the reason, and its epochs in order."""

    config: TrialConfig
    state: TrialState = "waiting"
    reason: str = ""
    epochs: tuple[EpochResult, ...] = field(default=())
    stage: str = ""
    """The newest stage of the search that the trial belongs to."""
    max_epochs: int | None = None
    """The last epoch of the trial; None where it is that of the sweep."""
    audited_from: int | None = None
    """The epoch at which the trial was pruned, if training continues as an audit."""
    by_budget: bool = False
    """Whether a budget stopped the trial, which is a proper end that a larger budget continues."""
    cost: TrialCost | None = None
    """The costs of the net; None where they were not measured."""

    @property
    def trial_id(self) -> str:
        """Short for `config.trial_id`."""
        return self.config.trial_id

    @cached_property
    def best(self) -> EpochResult | None:
        """The epoch with the highest validation accuracy; of equals the lower validation loss, then the earlier."""
        return max(self.epochs, key=lambda at: (at.validation_accuracy, -at.validation_loss, -at.epoch), default=None)


def rank(records: list[TrialRecord]) -> list[TrialRecord]:
    """The trials sorted by validation accuracy, the best first (ties: lower loss, then `trial_id`); those without an epoch last."""

    def place(record: TrialRecord) -> tuple[float, float, str]:
        best = record.best
        return (
            (-best.validation_accuracy, best.validation_loss, record.trial_id) if best else (1.0, 0.0, record.trial_id)
        )

    return sorted(records, key=place)
