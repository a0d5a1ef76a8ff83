"""What a scheduler is: it says how long each trial trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class SchedulerDecision:
    """How a trial stops, and why: `pruned at rung 2, rank 5 of 6`, `waits at rung 2, rank 5 of 6`."""

    state: Literal["pruned", "paused", "finished"]
    reason: str


class Scheduler(Protocol):
    """A fold over what is on record: after the same calls in the same order it answers all queries the same.

    No call costs more the more trials there are, but for the linear moves of a sorted list. Scores are validation
    accuracies, a share of 1; higher is better. The caller looks after a trial's last epoch: `record` is called there,
    `judge` is not asked.
    """

    def add(self, trial_id: str) -> None:
        """A trial enters. In the order of planning, before anything else is told of it."""

    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        """Take a result into account. Every one, once and in order; it may be NaN."""

    def judge(self, trial_id: str) -> SchedulerDecision | None:
        """How the trial stops after the result just recorded, None if it goes on.

        A query: it takes effect by `pause` or `end`.
        """

    def pause(self, trial_id: str) -> None:
        """The trial has left its slot and waits."""

    def promote(self) -> tuple[str, str] | None:
        """A paused trial that may go on now, and why. A query: it takes effect by `resume`."""

    def resume(self, trial_id: str) -> None:
        """A paused trial goes on."""

    def end(self, trial_id: str) -> None:
        """The trial came to an end: it was pruned, finished, diverged or failed."""

    def settle(self) -> list[tuple[str, str]]:
        """The paused trials that can never go on, each with the reason. A query: it takes effect by `end`."""

    def close(self) -> None:
        """Nothing runs and nothing more is planned: whoever waits has waited for all that will come.

        Need not be on record: it changes nothing but what `promote` and `settle` answer, and `resume` and `end`, by
        which that takes effect, tell as much. Trials may still be added later, by a larger search.
        """


class Unpaused:
    """What a scheduler that pauses no trial need not look after."""

    def add(self, trial_id: str) -> None:
        """All that counts is what it records."""

    def pause(self, trial_id: str) -> None:
        """Not asked for."""

    def promote(self) -> tuple[str, str] | None:
        """None: nobody waits."""
        return None

    def resume(self, trial_id: str) -> None:
        """Not asked for."""

    def end(self, trial_id: str) -> None:
        """What it recorded stays."""

    def settle(self) -> list[tuple[str, str]]:
        """Empty: nobody waits."""
        return []

    def close(self) -> None:
        """Nobody waits for more."""


class Unscheduled(Unpaused):
    """Lets every trial train to its last epoch."""

    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        """Of no consequence."""

    def judge(self, trial_id: str) -> SchedulerDecision | None:
        """None: it goes on."""
        return None
