"""Ends the workers of trials that hang: a stuck data loader, a driver of a GPU that never answers, a process that was stopped."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ray import tune

PATIENCE = 10.0
"""A trial hangs once an epoch takes so many times what its own took in the middle, or in its first one the longest of all."""

FIRST_S = 1800.0
"""Until any epoch is known, a trial may take so long: the first epoch of a large net on slow disks is not a hang."""


@dataclass
class EpochStatistics:
    """A trial in its slot."""

    since_s: float
    """When it began, or was last heard of."""
    epochs_s: list[float] = field(default_factory=list)
    """What its epochs took."""


class Watchdog:
    """Knows how long each slot has been silent. No epoch is called hanging before `least_s`."""

    def __init__(self, least_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._least_s = least_s
        self._clock = clock
        self._watched: dict[str, EpochStatistics] = {}
        self._longest_s = 0.0

    def begin(self, holder: str) -> None:
        """A slot has taken `holder` up, or again after its worker died."""
        known = self._watched.get(holder)
        self._watched[holder] = EpochStatistics(self._clock(), known.epochs_s if known else [])

    def hear(self, holder: str, epoch_s: float | None) -> None:
        """`holder` was heard of, and has trained an epoch in `epoch_s`, if any."""
        watched = self._watched[holder]
        watched.since_s = self._clock()
        if epoch_s:
            watched.epochs_s.append(epoch_s)
            self._longest_s = max(self._longest_s, epoch_s)

    def end(self, holder: str) -> None:
        """The slot is free again."""
        self._watched.pop(holder, None)

    def limit_s(self, holder: str) -> float:
        """How long `holder` may be silent."""
        own = self._watched[holder].epochs_s
        usual_s = statistics.median(own) if own else self._longest_s
        return max(self._least_s, PATIENCE * usual_s) if usual_s else max(self._least_s, FIRST_S)

    def hanging(self) -> list[str]:
        """Who has been silent for too long."""
        now_s = self._clock()
        return [who for who, watched in self._watched.items() if now_s - watched.since_s > self.limit_s(who)]


class Watch(tune.Callback):  # type: ignore[misc]
    """Kills the worker of a trial that hangs. Tune then starts the trial anew, as after any other death of a worker."""

    def __init__(self, watchdog: Watchdog, say: Callable[[str], None] = lambda _: None) -> None:
        self._watchdog = watchdog
        self._say = say
        self._trials: dict[str, Any] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune has an actor for `trial`."""
        if "standby" not in trial.config:
            self._trials[trial.trial_id] = trial
            self._watchdog.begin(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A step has ended."""
        if trial.trial_id in self._trials:
            self._watchdog.hear(trial.trial_id, _busy_s(result))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The slot is free again."""
        self._leave(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The trial was given up."""
        self._leave(trial)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Asked by Tune on every turn of its loop."""
        for holder in self._watchdog.hanging():
            trial = self._trials[holder]
            self._say(
                f"{trial.config['name']} was not heard of for {self._watchdog.limit_s(holder):.0f} s: its worker is killed, and it begins "
                "again from its newest checkpoint"
            )
            self._watchdog.begin(holder)
            _kill(trial.temporary_state.ray_actor)

    def _leave(self, trial: Any) -> None:
        self._trials.pop(trial.trial_id, None)
        self._watchdog.end(trial.trial_id)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks into a state file of its own, which is thrown away unread."""
        return {}


def _busy_s(result: dict[str, Any]) -> float | None:
    """What the epoch took; None where none was trained."""
    if not result.get("trained") or "train_s" not in result:
        return None
    return float(result["train_s"]) + float(result["evaluate_s"])


def _kill(actor: Any) -> None:
    import ray

    if actor is not None:  # else it has died already, and Tune knows
        ray.kill(actor)
