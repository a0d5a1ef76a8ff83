"""Ends the workers of trials that hang: a stuck data loader, a driver of a GPU that never answers, a process that was stopped."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ray import tune
from typing_extensions import override

from trainables.training.tune_messages import TuneReport, TuneTask

PATIENCE = 10.0
"""A trial hangs once an epoch takes so many times the median of its epochs, or in its first epoch, the longest of all trials."""

FIRST_S = 1800.0
"""Until any epoch is known, a trial may take so long: the first epoch of a large net on slow disks is not a hang."""


@dataclass
class SlotActivity:
    """A trial in its slot."""

    since_s: float
    """When it began, or last reported."""
    epochs_s: list[float] = field(default_factory=list)
    """Seconds of its epochs."""


class Watchdog:
    """Measures how long each slot has been silent. No epoch counts as hanging before `least_s`."""

    def __init__(self, least_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._least_s = least_s
        self._clock = clock
        self._slots: dict[str, SlotActivity] = {}
        self._longest_s = 0.0

    def begin(self, trial_id: str) -> None:
        """A slot has started `trial_id`, perhaps again after its worker died."""
        known = self._slots.get(trial_id)
        self._slots[trial_id] = SlotActivity(self._clock(), known.epochs_s if known else [])

    def hear(self, trial_id: str, epoch_s: float | None) -> None:
        """`trial_id` has reported, and has trained an epoch in `epoch_s`, if any."""
        slot = self._slots[trial_id]
        slot.since_s = self._clock()
        if epoch_s:
            slot.epochs_s.append(epoch_s)
            self._longest_s = max(self._longest_s, epoch_s)

    def end(self, trial_id: str) -> None:
        """The slot is free again."""
        self._slots.pop(trial_id, None)

    def limit_s(self, trial_id: str) -> float:
        """How many seconds `trial_id` may be silent."""
        epochs_s = self._slots[trial_id].epochs_s
        usual_s = statistics.median(epochs_s) if epochs_s else self._longest_s
        return max(self._least_s, PATIENCE * usual_s) if usual_s else max(self._least_s, FIRST_S)

    def hanging(self) -> list[str]:
        """Trials that have been silent for too long."""
        now_s = self._clock()
        return [trial_id for trial_id, slot in self._slots.items() if now_s - slot.since_s > self.limit_s(trial_id)]


class Watch(tune.Callback):  # type: ignore[misc]
    """Kills the worker of a trial that hangs. Tune then restarts the trial, as after any other death of a worker."""

    def __init__(self, watchdog: Watchdog, notify: Callable[[str], None] = lambda _: None) -> None:
        self._watchdog = watchdog
        self._notify = notify
        self._trials: dict[str, Any] = {}

    @override
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if not TuneTask.is_standby(trial.config):
            self._trials[trial.trial_id] = trial
            self._watchdog.begin(trial.trial_id)

    @override
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if trial.trial_id in self._trials:
            self._watchdog.hear(trial.trial_id, _busy_s(result))

    @override
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._leave(trial)

    @override
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._leave(trial)

    @override
    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        for trial_id in self._watchdog.hanging():
            trial = self._trials[trial_id]
            self._notify(
                f"{trial.config['name']} was not heard of for {self._watchdog.limit_s(trial_id):.0f} s: its worker is killed, and it begins "
                "again from its newest checkpoint"
            )
            self._watchdog.begin(trial_id)
            _kill(trial.temporary_state.ray_actor)

    def _leave(self, trial: Any) -> None:
        self._trials.pop(trial.trial_id, None)
        self._watchdog.end(trial.trial_id)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks into a state file of its own, which is thrown away unread."""
        return {}


def _busy_s(result: dict[str, Any]) -> float | None:
    """Seconds of the epoch; None if none was trained."""
    report = TuneReport.from_result(result)
    return report.epoch.busy_s if report.trained and report.epoch else None


def _kill(actor: Any) -> None:
    import ray

    if actor is not None:  # else it has died already, and Tune knows
        ray.kill(actor)
