"""The learning rate as a pure function of the step, so that a resumed trial needs no scheduler's state."""

from __future__ import annotations

import math

from trainables.config import ScheduleConfig

WARM_UP = 0.25
"""Share of a one-cycle schedule that climbs."""


def learning_rate(schedule: ScheduleConfig, peak: float, step: int, steps_per_epoch: int) -> float:
    """The rate for `step` (counted from 0 over all epochs). Past the end of its cycle a schedule stays at its last rate.

    `cosine` is Loshchilov and Hutter's (2017) without restarts; `one-cycle` is Smith's (2018) in its linear form,
    without the cycle of the momentum.

    >>> [round(learning_rate(ScheduleConfig(name="one-cycle", epochs=2), 1.0, step, 4), 2) for step in range(8)]
    [0.5, 1.0, 0.86, 0.71, 0.57, 0.43, 0.29, 0.14]
    """
    if schedule.name == "constant":
        return peak
    if schedule.epochs is None:
        raise ValueError(f"schedule.epochs is not set, but a {schedule.name} schedule needs its length")
    total = schedule.epochs * steps_per_epoch
    at = min(step, total - 1)
    if schedule.name == "cosine":
        return peak * (1 + math.cos(math.pi * at / total)) / 2
    climb = max(1, round(WARM_UP * total))
    if at < climb:
        return peak * (at + 1) / climb
    return peak * (total - at) / (total - climb + 1)
