"""The effect of each change on a baseline, paired by seed: means without and with it, and the difference with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from trainables.results.record import EpochResult, TrialRecord

MOST_LAST_EPOCHS = 5
"""Levels are means over the last fifth of the epochs, but over no more than this many."""


@dataclass(frozen=True)
class Arm:
    """The baseline, or the baseline with some changes: one trial a repeat."""

    name: str
    changes: Mapping[str, Any]
    """Dotted keys and their values; none for the baseline."""
    records: tuple[TrialRecord, ...]
    """Records by repeat: those at the same place in two arms have the same seed."""


@dataclass(frozen=True)
class Change:
    """One key of a change."""

    key: str
    without: Any
    """The baseline's value."""
    with_: Any


@dataclass(frozen=True)
class Contrast:
    """One measure without and with a change. Shares of 1; means over the repeats in which both count."""

    without: float
    with_: float
    difference: float
    """Mean with the change less the mean without it."""
    ci95: tuple[float, float] | None
    """Interval of the difference, over repeats; None if there is one pair, which does not show how seeds vary."""


@dataclass(frozen=True)
class Reach:
    """How soon an arm's validation loss came down to `Ablation.reach_loss`."""

    epochs: float | None
    """Mean over the repeats that reached it; None if none did."""
    reached: int
    repeats: int
    """Repeats that count."""


@dataclass(frozen=True)
class ArmRow:
    """The results of one arm."""

    name: str
    changes: tuple[Change, ...]
    together: bool
    """Whether it has the changes of all other arms."""
    pairs: int
    """Repeats in which both this arm and the baseline count."""
    left_out: int
    """Repeats in which one of them failed, diverged or has no epoch."""
    train: Contrast | None
    """Contrast of training accuracy; None without a pair."""
    validation: Contrast | None
    """Contrast of validation accuracy; None without a pair."""
    reach: Reach


@dataclass(frozen=True)
class Mean:
    """A mean over the repeats of one arm, each its mean over the last epochs."""

    value: float
    ci95: tuple[float, float] | None
    """Interval of the mean, over repeats; None for fewer than two."""


@dataclass(frozen=True)
class ArmLevel:
    """Training and validation accuracy at the end of one arm, and the gap between them."""

    name: str
    repeats: int
    """Repeats that count."""
    train: Mean
    """Training accuracy as measured during training: with dropout and augmentation active."""
    fit: Mean | None
    """Training accuracy in evaluation mode, as validation is measured; None if it was not monitored."""
    validation: Mean
    gap: Mean | None
    """`fit` less `validation`."""
    gap_change: Contrast | None
    """Contrast of the gap against the baseline's; None for the baseline itself."""
    train_reach: Reach
    """How soon the training loss came down to `Ablation.train_reach_loss`."""


@dataclass(frozen=True)
class Ablation:
    """Arms against their baseline, all at the same epoch."""

    epoch: int
    """The last epoch that all trials that count have reached; every accuracy is measured at its end."""
    longest: int
    """The last epoch of any trial that counts."""
    reach_loss: float
    """Target of the validation loss, in nats."""
    reach_is_baseline: bool
    """Whether the target is the baseline's mean at `epoch`, because none was configured."""
    repeats: int
    """Repeats of the baseline that count."""
    baseline_train: float
    """Mean training accuracy over these repeats."""
    baseline_validation: float
    baseline_reach: Reach
    rows: tuple[ArmRow, ...]
    last_epochs: int
    """Number of epochs up to `epoch` that every level is the mean over: `fit` is measured on a new sample of the training
    images each epoch."""
    train_reach_loss: float
    """The baseline's mean training loss at `epoch`, in nats."""
    levels: tuple[ArmLevel, ...]
    """Levels of the arms, the baseline first; without arms none of whose repeats counts."""


def compare(baseline: Arm, arms: Sequence[Arm], reach_loss: float | None = None) -> Ablation | None:
    """Each arm against the baseline, in the order of `arms`; None if no trial of the baseline counts.

    Trials that failed, diverged or have no epoch do not count. Arms are compared at the end of the last epoch that all
    others have in common, not at their best ones: a best epoch is chosen on the accuracy that it then reports, and a
    longer training has more to choose from. Intervals are Student's (1908) for paired differences. If `reach_loss` is left
    out, it is the baseline's mean validation loss at that epoch; a trial that reaches it later has not reached it.
    """
    counted = [record for arm in (baseline, *arms) for record in arm.records if _counts(record)]
    common = set.intersection(*({at.epoch for at in record.epochs} for record in counted)) if counted else set()
    alone = [record for record in baseline.records if _counts(record)]
    if not alone or not common:
        return None
    epoch = max(common)
    ends = [_at(record, epoch) for record in alone]
    train_loss = fmean(end.train_loss for end in ends)
    last = range(epoch - max(1, min(MOST_LAST_EPOCHS, epoch // MOST_LAST_EPOCHS)) + 1, epoch + 1)
    loss = fmean(end.validation_loss for end in ends) if reach_loss is None else reach_loss
    return Ablation(
        epoch=epoch,
        longest=max(record.epochs[-1].epoch for record in counted),
        reach_loss=loss,
        reach_is_baseline=reach_loss is None,
        repeats=len(alone),
        baseline_train=fmean(end.train_accuracy for end in ends),
        baseline_validation=fmean(end.validation_accuracy for end in ends),
        baseline_reach=_reach(baseline, loss, epoch, lambda at: at.validation_loss),
        rows=tuple(_row(baseline, arm, arms, loss, epoch) for arm in arms),
        last_epochs=len(last),
        train_reach_loss=train_loss,
        levels=tuple(
            _level(baseline, arm, last, train_loss)
            for arm in (baseline, *arms)
            if any(_counts(record) for record in arm.records)
        ),
    )


def _counts(record: TrialRecord) -> bool:
    return bool(record.epochs) and record.state not in ("failed", "diverged")


def _at(record: TrialRecord, epoch: int) -> EpochResult:
    return next(at for at in record.epochs if at.epoch == epoch)


def _row(baseline: Arm, arm: Arm, arms: Sequence[Arm], reach_loss: float, epoch: int) -> ArmRow:
    both = [
        (_at(without, epoch), _at(with_, epoch))
        for without, with_ in zip(baseline.records, arm.records, strict=False)
        if _counts(without) and _counts(with_)
    ]
    plain = baseline.records[0].config.flat()
    others: dict[str, Any] = {}
    for other in arms:
        others |= other.changes if other is not arm else {}
    return ArmRow(
        name=arm.name,
        changes=tuple(Change(key, plain.get(key), value) for key, value in arm.changes.items()),
        together=len(arms) > 2 and dict(arm.changes) == others,
        pairs=len(both),
        left_out=max(len(baseline.records), len(arm.records)) - len(both),
        train=_contrast(both, lambda at: at.train_accuracy),
        validation=_contrast(both, lambda at: at.validation_accuracy),
        reach=_reach(arm, reach_loss, epoch, lambda at: at.validation_loss),
    )


def _level(baseline: Arm, arm: Arm, last: range, train_loss: float) -> ArmLevel:
    counted = [record for record in arm.records if _counts(record)]
    gaps = [gap for gap in (_gap(record, last) for record in counted) if gap is not None]
    fits = [fit for fit in (_fit(record, last) for record in counted) if fit is not None]
    both = [
        (before, after)
        for without, with_ in zip(baseline.records, arm.records, strict=False)
        if _counts(without) and _counts(with_)
        if (before := _gap(without, last)) is not None and (after := _gap(with_, last)) is not None
    ]
    return ArmLevel(
        name=arm.name,
        repeats=len(counted),
        train=_mean([_over(record, last, lambda at: at.train_accuracy) for record in counted]),
        fit=_mean(fits) if fits else None,
        validation=_mean([_over(record, last, lambda at: at.validation_accuracy) for record in counted]),
        gap=_mean(gaps) if gaps else None,
        gap_change=_contrast_of(both) if both and arm is not baseline else None,
        train_reach=_reach(arm, train_loss, last[-1], lambda at: at.train_loss),
    )


def _mean(values: Sequence[float]) -> Mean:
    return Mean(fmean(values), paired_interval(values))


def _over(record: TrialRecord, last: range, measure: Callable[[EpochResult], float]) -> float:
    return fmean(measure(at) for at in record.epochs if at.epoch in last)


def _fit(record: TrialRecord, last: range) -> float | None:
    """Mean training accuracy in evaluation mode over the `last` epochs; None if one of them has none."""
    fits = [at.fit_accuracy for at in record.epochs if at.epoch in last]
    known = [fit for fit in fits if fit is not None]
    return fmean(known) if known and len(known) == len(fits) else None


def _gap(record: TrialRecord, last: range) -> float | None:
    fit = _fit(record, last)
    return None if fit is None else fit - _over(record, last, lambda at: at.validation_accuracy)


def _contrast(
    pairs: Sequence[tuple[EpochResult, EpochResult]], measure: Callable[[EpochResult], float]
) -> Contrast | None:
    if not pairs:
        return None
    return _contrast_of([(measure(before), measure(after)) for before, after in pairs])


def _contrast_of(pairs: Sequence[tuple[float, float]]) -> Contrast:
    without, with_ = ([pair[side] for pair in pairs] for side in (0, 1))
    differences = [after - before for before, after in zip(without, with_, strict=True)]
    return Contrast(fmean(without), fmean(with_), fmean(differences), paired_interval(differences))


def paired_interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the mean of paired differences, or of any independent values (Student 1908); None for fewer than two.

    >>> paired_interval([0.01])
    """
    if len(differences) < 2:
        return None
    from scipy.special import stdtrit  # a light report does without scipy

    mean, count = fmean(differences), len(differences)
    half = float(stdtrit(count - 1, 0.975)) * stdev(differences) / math.sqrt(count)
    return mean - half, mean + half


def _reach(arm: Arm, loss: float, last: int, measure: Callable[[EpochResult], float]) -> Reach:
    counted = [record for record in arm.records if _counts(record)]
    soonest = [
        min((at.epoch for at in record.epochs if at.epoch <= last and measure(at) <= loss), default=None)
        for record in counted
    ]
    reached = [epoch for epoch in soonest if epoch is not None]
    return Reach(fmean(reached) if reached else None, len(reached), len(counted))
