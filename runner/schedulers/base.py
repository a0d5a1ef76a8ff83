"""The protocol of schedulers, which decide how long each trial trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from typing_extensions import override


@dataclass(frozen=True)
class SchedulerDecision:
    """How a trial stops, and why: `pruned at rung 2, rank 5 of 6`, `waits at rung 2, rank 5 of 6`."""

    state: Literal["pruned", "paused", "finished"]
    reason: str


class Scheduler(Protocol):
    """A fold over the journal: after the same calls in the same order, all queries return the same.

    The cost of a call does not grow with the number of trials, except for the linear moves of a sorted list. Scores are
    validation accuracies, a share of 1; higher is better. Where the sweep asks for another metric, they are what
    `trainables.metric.merit_of` makes of its values: shares of 1 as well, in the same order. The caller handles a trial's last epoch: it calls `record`
    there, but not `decide`.
    """

    def add(self, trial_id: str) -> None:
        """A trial enters. Called in the order of planning, before any other call about the trial."""

    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        """Record the result of an epoch. Called for each one, once and in order; the accuracy may be NaN."""

    def decide(self, trial_id: str) -> SchedulerDecision | None:
        """How the trial stops after the result just recorded, None if it continues.

        A query: the decision takes effect by `pause` or `end`.
        """

    def pause(self, trial_id: str) -> None:
        """The trial has left its slot and waits."""

    def promote(self) -> tuple[str, str] | None:
        """A paused trial that may continue now, and why. A query: it takes effect by `resume`."""

    def resume(self, trial_id: str) -> None:
        """A paused trial continues."""

    def end(self, trial_id: str) -> None:
        """The trial came to an end: it was pruned, finished, diverged or failed."""

    def resolve_paused(self) -> list[tuple[str, str]]:
        """The paused trials that can never continue, each with the reason. A query: it takes effect by `end`."""

    def close(self) -> None:
        """Nothing runs and nothing more is planned: paused trials need not wait for others any longer.

        It is not recorded in the journal: it only changes what `promote` and `resolve_paused` return, and these take
        effect by `resume` and `end`, which are. Trials may still be added later, by a larger search.
        """


class Unpaused(Scheduler):
    """A base for schedulers that pause no trial."""

    @override
    def add(self, trial_id: str) -> None:
        pass

    @override
    def pause(self, trial_id: str) -> None:
        pass

    @override
    def promote(self) -> tuple[str, str] | None:
        return None

    @override
    def resume(self, trial_id: str) -> None:
        pass

    @override
    def end(self, trial_id: str) -> None:
        pass

    @override
    def resolve_paused(self) -> list[tuple[str, str]]:
        return []

    @override
    def close(self) -> None:
        pass


class Unscheduled(Unpaused):
    """A scheduler that lets every trial train to its last epoch."""

    @override
    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        pass

    @override
    def decide(self, trial_id: str) -> SchedulerDecision | None:
        return None
