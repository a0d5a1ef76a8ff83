"""Early stopping of a trial by itself, once its validation loss no longer falls (Prechelt 1998, "Early stopping - but when?")."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median

from runner.schedulers.base import SchedulerDecision

WINDOW = 3
"""Losses whose median is smoothed: one bad one among them is not seen at all, however bad."""

MARGIN = 1e-3
"""A new best is lower than the last by this share of it. Without a margin the smoothed loss, which comes down to a
level loss by halves, would have a new best for fifty epochs."""


@dataclass
class Curve:
    """The running state of a trial's losses."""

    best_epoch: int
    """Epoch of the lowest smoothed loss; before there is one, the first epoch."""
    epoch: int = 0
    window: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    weighed: float = 0.0
    weight: float = 0.0
    best: float = math.inf


class Patience:
    """Stops a trial whose smoothed validation loss has had no new best for `epochs` epochs.

    What is smoothed is the median of the last three losses, from the third on. A median needs no height from which on a
    loss is a spike, and a single one costs one epoch of patience at most; the average alone, with a smoothing of 0.5,
    would carry a tenfold loss for six. The smoothed loss is m(t) / (1 - smoothing**t) with m(t) = smoothing * m(t - 1) +
    (1 - smoothing) * median(t), so that the first ones are not drawn to 0. Of Prechelt's criteria, how far the loss is
    above its best (GL) and how many strips of five epochs it rose (UP), this is the common simplification: how many
    epochs since its best.

    A loss that is no number counts as infinite; it is never the best.
    """

    def __init__(self, epochs: int, smoothing: float = 0.5) -> None:
        self._epochs = epochs
        self._smoothing = smoothing
        self._curves: dict[str, Curve] = {}

    def record(self, trial_id: str, epoch: int, validation_loss: float) -> None:
        """Record a validation loss. Called for each epoch, once and in order."""
        curve = self._curves.setdefault(trial_id, Curve(best_epoch=epoch))
        curve.epoch = epoch
        curve.window.append(validation_loss if math.isfinite(validation_loss) else math.inf)
        middle = median(curve.window)
        if len(curve.window) < WINDOW or not math.isfinite(middle):
            return
        curve.weighed = self._smoothing * curve.weighed + (1 - self._smoothing) * middle
        curve.weight = self._smoothing * curve.weight + (1 - self._smoothing)
        smoothed = curve.weighed / curve.weight
        if smoothed < curve.best * (1 - MARGIN):
            curve.best, curve.best_epoch = smoothed, epoch

    def decide(self, trial_id: str) -> SchedulerDecision | None:
        """`finished`, with the reason, once its patience has run out. A query."""
        curve = self._curves.get(trial_id)
        if curve is None or len(curve.window) < WINDOW or curve.epoch - curve.best_epoch < self._epochs:
            return None
        ago = curve.epoch - curve.best_epoch
        if not math.isfinite(curve.best):
            return SchedulerDecision("finished", "stopped early: the validation loss is not a number")
        found = f"the smoothed validation loss was best at epoch {curve.best_epoch}, {ago} epoch{'s' * (ago > 1)} ago"
        return SchedulerDecision("finished", f"stopped early: {found}")
