"""How long a run still takes, from what it has measured so far."""

from __future__ import annotations

import math
from collections import Counter

from runner.config.rules import stage_scheduler
from runner.config.scheduler import SchedulerConfig
from runner.config.search import MODELLED
from runner.config.sweep import SweepSpec
from runner.control.budget import Budget
from runner.journal.state import RunState


def seconds_left(state: RunState, spec: SweepSpec) -> float | None:
    """Seconds until the last trial has ended, or the budget has; None before anything is known.

    A trial that has not ended is expected to train as many epochs as the ended ones did on average (at first: as
    successive halving lets through), each as long as the mean epoch so far. Trials that a search has not proposed yet
    are counted where their number is known; of several stages only the one under way is seen.
    """
    if not state.recorded_epochs or not state.slots:
        return None
    ended, pending = state.ended_lengths, Counter(state.pending_lengths)
    if spec.search.method in MODELLED:
        pending[0] += max(0, spec.search.configuration_count * spec.search.repeats - len(state.trials))
    stage = next(reversed(state.trials.values())).stage
    expected = expected_epochs(stage_scheduler(spec, stage))
    if ended.total() >= 2 * state.slots:
        expected = sum(length * count for length, count in ended.items()) / ended.total()
    to_train = sum(max(1.0, expected - length) * count for length, count in pending.items())
    left_s = to_train * state.recorded_busy_s / state.recorded_epochs / state.slots
    bound_s = Budget(spec.budget, spec.budget.price).seconds_left(state, state.slots)
    return left_s if bound_s is None else min(left_s, bound_s)


def expected_epochs(scheduler: SchedulerConfig) -> float:
    """Mean epochs of a trial, if one in `reduction` passes each rung.

    >>> round(expected_epochs(SchedulerConfig(method="asha", max_epochs=9, reduction=3)), 3)
    2.333
    >>> round(expected_epochs(SchedulerConfig(method="hyperband", max_epochs=9, reduction=3)), 3)
    4.059
    """
    last, reduction, grace = scheduler.max_epochs, scheduler.reduction, scheduler.grace_epochs
    if scheduler.method in ("none", "median") or scheduler.has_plugin:
        return float(last)
    if scheduler.method == "hyperband":
        return _expected_in_brackets(last, reduction, grace)
    firsts = [grace * reduction**bracket for bracket in range(scheduler.brackets)]
    return sum(_expected_from(first, last, reduction) for first in firsts) / len(firsts)


def _expected_from(first: int, last: int, reduction: int) -> float:
    expected, share, at, rung = 0.0, 1.0, 0, first
    while at < last:
        end = min(rung, last)
        expected += share * (end - at)
        at, share, rung = end, share / reduction, rung * reduction
    return expected


def _expected_in_brackets(last: int, reduction: int, grace: int) -> float:
    """Over all brackets of HyperBand (Li et al. 2018, their table of n and r), each filled once."""
    most = 0
    while last // reduction ** (most + 1) >= grace:
        most += 1
    trials, epochs = 0, 0
    for bracket in range(most, -1, -1):
        count = size = math.ceil((most + 1) / (bracket + 1) * reduction**bracket)
        at = 0
        for halvings in range(bracket, -1, -1):
            end = last // reduction**halvings
            epochs += count * (end - at)
            at, count = end, max(1, count // reduction)
        trials += size
    return epochs / trials
