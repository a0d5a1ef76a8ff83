"""How long a run still takes, from what it has measured so far."""

from __future__ import annotations

from runner.run_state import RunState
from runner.spec import SchedulerConfig
from trainables.record import ENDED


def seconds_left(state: RunState, scheduler: SchedulerConfig, wall_s: float | None) -> float | None:
    """Seconds until the last trial has ended, or the budget has; None before anything is known.

    A trial that has not ended is expected to train as many epochs as the ended ones did on average (at first: as
    successive halving lets through), each as long as the mean epoch so far.
    """
    epochs = [epoch.busy_s for record in state.trials.values() for epoch in record.epochs]
    if not epochs or not state.slots:
        return None
    ended = [len(record.epochs) for record in state.trials.values() if record.state in ENDED]
    expected = sum(ended) / len(ended) if len(ended) >= 2 * state.slots else expected_epochs(scheduler)
    to_train = sum(max(1.0, expected - len(record.epochs)) for record in state.pending())
    left_s = to_train * sum(epochs) / len(epochs) / state.slots
    return min(left_s, max(0.0, wall_s - state.elapsed_s)) if wall_s else left_s


def expected_epochs(scheduler: SchedulerConfig) -> float:
    """Mean epochs of a trial, if one in `reduction` passes each rung.

    >>> round(expected_epochs(SchedulerConfig(method="asha", max_epochs=9, reduction=3)), 3)
    2.333
    """
    if scheduler.method == "none":
        return float(scheduler.max_epochs)
    expected, share, at = 0.0, 1.0, 0
    rung = scheduler.grace_epochs
    while at < scheduler.max_epochs:
        end = min(rung, scheduler.max_epochs)
        expected += share * (end - at)
        at, share, rung = end, share / scheduler.reduction, rung * scheduler.reduction
    return expected
