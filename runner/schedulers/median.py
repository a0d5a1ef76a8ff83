"""The median stopping rule (Golovin et al. 2017, Google Vizier): a trial stops once the others do better on average."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field

from typing_extensions import override

from runner.schedulers.base import SchedulerDecision, Unpaused
from runner.schedulers.rung import ROUNDING


@dataclass
class Curve:
    """The running state of a trial's accuracies."""

    epoch: int = 0
    total: float = 0.0
    """The sum; NaN from the first accuracy on that is not a number."""
    best: float = -math.inf
    averages: dict[int, float] = field(default_factory=dict)
    """Running averages, by epoch."""


class MedianStopping(Unpaused):
    """Prunes a trial whose best accuracy is below the median of the others' running averages up to the same epoch.

    The others are all trials that came to that epoch by now; the paper takes completed ones alone, by which the first
    trials would never be pruned. Where fewer than `min_trials` others came as far as the trial, it is compared at the
    newest epoch that enough trials reached, so that the fastest trial is not spared. Nothing is pruned before
    `grace_epochs`. A trial with an accuracy that is no number is pruned from there on, and no other compared to it.
    """

    def __init__(self, grace_epochs: int, min_trials: int = 3) -> None:
        self._grace_epochs = grace_epochs
        self._min_trials = max(1, min_trials)
        self._curves: dict[str, Curve] = {}
        self._averages: dict[int, list[float]] = {}
        """The running averages of the trials that reached an epoch, sorted, by epoch."""
        self._newest = 0
        """The last epoch that enough trials reached."""

    @override
    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        """Add the accuracy to the trial's running average."""
        curve = self._curves.setdefault(trial_id, Curve())
        curve.epoch = epoch
        curve.total += accuracy
        if not math.isfinite(curve.total):
            return
        curve.best = max(curve.best, accuracy)
        curve.averages[epoch] = curve.total / (len(curve.averages) + 1)
        averages = self._averages.setdefault(epoch, [])
        insort(averages, curve.averages[epoch])
        if len(averages) > self._min_trials:
            self._newest = max(self._newest, epoch)

    @override
    def decide(self, trial_id: str) -> SchedulerDecision | None:
        """Pruned if it is below the median; a trial that equals the median continues."""
        curve = self._curves.get(trial_id)
        if curve is None or curve.epoch < self._grace_epochs:
            return None
        if not math.isfinite(curve.total):
            return SchedulerDecision("pruned", f"pruned at epoch {curve.epoch}: a validation accuracy is not a number")
        at = min(curve.epoch, self._newest)
        others = len(self._averages.get(at, ())) - 1
        if at < self._grace_epochs or at not in curve.averages or others < self._min_trials:
            return None
        median = _median_without(self._averages[at], bisect_left(self._averages[at], curve.averages[at]))
        if curve.best >= median - ROUNDING:
            return None
        digits = 1 if f"{curve.best:.1%}" != f"{median:.1%}" else 4
        compared = f"best {curve.best:.{digits}%} below the median {median:.{digits}%} of {others} trials"
        when = "" if at == curve.epoch else f" at epoch {at}"
        return SchedulerDecision("pruned", f"pruned at epoch {curve.epoch}, {compared}{when}")


def _median_without(ordered: list[float], left_out: int) -> float:
    """The median of all but one of at least two numbers."""

    def at(place: int) -> float:
        return ordered[place if place < left_out else place + 1]

    others = len(ordered) - 1
    return (at((others - 1) // 2) + at(others // 2)) / 2
