"""The record of a trial, for all later stages: its configuration, state, epochs and cost."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from trainables.config.trial import TrialConfig
from trainables.metric import Metric, describe_merit, merit_of

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
    metric: Metric | None = None
    """The metric that the sweep asks for (`ensemble.metric`); None where that is accuracy, or where nobody measured another."""
    validation_score: float | None = None
    """That metric on validation; None beside a metric where the predictions are gone."""

    @property
    def merit(self) -> float:
        """How good the epoch is on validation by the sweep's metric, higher is better: see `merit_of`; the accuracy without one."""
        if self.metric is None:
            return self.validation_accuracy
        return -math.inf if self.validation_score is None else merit_of(self.metric, self.validation_score)

    @property
    def shown_merit(self) -> str:
        """`merit` as a person reads it: `91.23%`, or `log-loss 0.2574`."""
        if self.metric and self.validation_score is None:
            return "not measured"
        return describe_merit(self.metric or "accuracy", self.merit)

    @property
    def shown_score(self) -> str:
        """What ranks the epoch, without the name of its metric."""
        return self.shown_merit.rpartition(" ")[2]

    def to_dict(self) -> dict[str, Any]:
        """As a record has it: the last two fields only where there is a metric."""
        found = asdict(self)
        if self.metric is None:
            del found["metric"], found["validation_score"]
        return found

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
        """The epoch that is best on validation by the sweep's metric; of equals the lower validation loss, then the earlier."""
        return max(self.epochs, key=lambda at: (at.merit, -at.validation_loss, -at.epoch), default=None)


def metric_of(records: Iterable[TrialRecord]) -> Metric:
    """The metric that the epochs of a run's trials were measured by."""
    return next((at.metric for record in records for at in record.epochs if at.metric), "accuracy")


def rank(records: list[TrialRecord]) -> list[TrialRecord]:
    """The trials sorted by the sweep's metric on validation, the best first (ties: lower loss, then `trial_id`); those without an
    epoch last."""

    def place(record: TrialRecord) -> tuple[float, float, str]:
        best = record.best
        return (-best.merit, best.validation_loss, record.trial_id) if best else (math.inf, math.inf, record.trial_id)

    return sorted(records, key=place)
