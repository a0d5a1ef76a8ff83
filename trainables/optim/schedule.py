"""The learning rate as a pure function of the step and, for `plateau`, of the validation losses so far: schedules have no state."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainables.config.training import ScheduleConfig
from trainables.config.trial import TrialConfig

WARM_UP = 0.25
"""Share of a one-cycle schedule in which the rate rises."""

NOTICEABLE = 1e-4
"""A validation loss has improved if it is lower than the best one by more than this share, as in torch's ReduceLROnPlateau."""


def learning_rate(schedule: ScheduleConfig, peak: float, step: int, steps_per_epoch: int, falls: int = 0) -> float:
    """The rate for `step` (counted from 0 over all epochs). After the end of its cycle a schedule keeps its last rate.

    `falls` is the result of `count_falls` at the beginning of the epoch; it matters for `plateau` alone. `cosine` is that of
    Loshchilov and Hutter (2017) without restarts, `cyclic` has restarts as in Huang et al. (2017), except that a cycle
    consists of whole epochs; `one-cycle` is that of Smith (2018) in its linear form, without the cycle of the momentum.
    `warm_up` multiplies any of them by a line from zero to one (Goyal et al. 2017).

    >>> [round(learning_rate(ScheduleConfig(name="one-cycle", epochs=2), 1.0, step, 4), 2) for step in range(8)]
    [0.5, 1.0, 0.86, 0.71, 0.57, 0.43, 0.29, 0.14]
    >>> [learning_rate(ScheduleConfig(name="step", every=1, factor=0.5, warm_up=1), 1.0, step, 4) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.5]
    """
    rate = _without_warm_up(schedule, peak, step, steps_per_epoch, falls)
    warm = schedule.warm_up * steps_per_epoch
    return rate * (step + 1) / warm if step + 1 < warm else rate


def _without_warm_up(schedule: ScheduleConfig, peak: float, step: int, steps_per_epoch: int, falls: int) -> float:
    if schedule.name == "constant":
        return peak
    if schedule.name == "plateau":
        return peak * math.pow(schedule.factor, falls)
    if schedule.name == "step":
        return peak * math.pow(schedule.factor, step // (schedule.every * steps_per_epoch))
    if schedule.name == "exponential":
        return peak * math.pow(schedule.factor, step / (schedule.every * steps_per_epoch))
    if schedule.epochs is None:
        raise ValueError(f"schedule.epochs is not set, but a {schedule.name} schedule needs its length")
    total = schedule.epochs * steps_per_epoch
    at = min(step, total - 1)
    if schedule.name == "cyclic":
        begin, end = _cycle(schedule, at // steps_per_epoch)
        at, total = at - begin * steps_per_epoch, (end - begin) * steps_per_epoch
    if schedule.name in ("cosine", "cyclic"):
        return peak * (1 + math.cos(math.pi * at / total)) / 2
    climb = max(1, round(WARM_UP * total))
    if at < climb:
        return peak * (at + 1) / climb
    return peak * (total - at) / (total - climb + 1)


def snapshot_epochs(config: TrialConfig, max_epochs: int) -> tuple[int, ...]:
    """The last epoch of each cycle of a trial with a `cyclic` schedule, up to `max_epochs`, ascending; none for other schedules.

    Cycles are as equal as whole epochs allow.

    >>> schedule = ScheduleConfig(name="cyclic", cycles=3, epochs=8)
    >>> snapshot_epochs(TrialConfig(data_id="d", seed=0, schedule=schedule), 8)
    (3, 6, 8)
    """
    if config.schedule.name != "cyclic":
        return ()
    return tuple(end for end in _cycle_ends(config.schedule) if end <= max_epochs)


def _cycle_ends(schedule: ScheduleConfig) -> list[int]:
    if schedule.epochs is None:
        raise ValueError("schedule.epochs is not set, but a cyclic schedule needs its length")
    cycles = min(schedule.cycles, schedule.epochs)
    return [-(-schedule.epochs * cycle // cycles) for cycle in range(1, cycles + 1)]


def _cycle(schedule: ScheduleConfig, epochs: int) -> tuple[int, int]:
    """After `epochs` whole epochs: the number of epochs before the current cycle, and the number at its end."""
    begin = 0
    for end in _cycle_ends(schedule):
        if epochs < end:
            return begin, end
        begin = end
    raise ValueError(f"epoch {epochs + 1} lies past the last cycle, which ends with epoch {begin}")


def count_falls(schedule: ScheduleConfig, losses: Sequence[float]) -> int:
    """How often the rate of a `plateau` schedule has fallen after epochs with these validation `losses`.

    It falls after `every` successive epochs whose loss is not noticeably lower than the best so far; then the count starts
    again. This is torch's ReduceLROnPlateau with a patience of `every` - 1.

    >>> count_falls(ScheduleConfig(name="plateau", every=2), [1.0, 0.5, 0.6, 0.5, 0.7, 0.4])
    1
    """
    best, idle, falls = math.inf, 0, 0
    for loss in losses:
        if loss < best * (1 - NOTICEABLE):
            best, idle = loss, 0
            continue
        idle += 1
        if idle == schedule.every:
            idle, falls = 0, falls + 1
    return falls
