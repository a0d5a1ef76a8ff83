"""Asynchronous successive halving that promotes (Li et al. 2020, algorithm 2): trials pause at each rung, the best continue."""

from __future__ import annotations

from bisect import bisect_left, insort

from typing_extensions import override

from runner.schedulers.base import Scheduler, SchedulerDecision
from runner.schedulers.rung import Key, Rung, rung_epochs


class PromotingAsha(Scheduler):
    """The best floor(n / `reduction`) of n trials at a rung continue; among equals, the one that came first.

    As in the paper, a free slot takes up the best paused trial of the highest rung that has one to promote. Two things
    differ. A trial that is among the best as it comes to a rung continues without a pause: it would be promoted at once
    or soon after, and a pause costs a checkpoint's way to the store and back. And when nothing more will come, one trial
    continues from the highest rung that any trial has reached, however few they are: else a sweep of few trials would
    end with none fully trained.
    """

    def __init__(self, max_epochs: int, reduction: int, grace_epochs: int) -> None:
        self._reduction = reduction
        # A rung at the last epoch would have nothing to promote.
        epochs = [at for at in rung_epochs(grace_epochs, reduction, max_epochs) if at < max_epochs]
        self._rungs = [Rung(f"rung {number}") for number in range(1, len(epochs) + 1)]
        self._at = {epoch: number for number, epoch in enumerate(epochs)}
        self._waiting: list[list[Key]] = [[] for _ in epochs]
        """The paused trials of each rung that it may still promote, the best first."""
        self._has_promoted = [False] * len(epochs)
        self._waiting_rung: dict[str, int] = {}
        """The rung of each trial that has reached it and has not been promoted from it."""
        self._paused: dict[str, int] = {}
        """The rung of each paused trial, in the order of pausing."""
        self._running: set[str] = set()
        self._is_closed = False

    @override
    def add(self, trial_id: str) -> None:
        """A new trial also undoes `close`."""
        self._running.add(trial_id)
        self._is_closed = False

    @override
    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        """Add a result to its rung, if the epoch is one; there it is decided whether the trial continues at once.

        A trial that comes to a rung without having been promoted from the one before was trained that far by an earlier
        stage: the caller has promoted it.
        """
        self._running.add(trial_id)
        number = self._at.get(epoch)
        if number is not None:
            if trial_id in self._waiting_rung:
                self._mark_promoted(trial_id)
            self._rungs[number].add(trial_id, accuracy)
            self._waiting_rung[trial_id] = number
        if trial_id in self._waiting_rung and self._may_continue(trial_id, self._waiting_rung[trial_id]):
            self._mark_promoted(trial_id)

    @override
    def decide(self, trial_id: str) -> SchedulerDecision | None:
        """Paused if it is not among the best of its rung; pruned if its accuracy is not a number."""
        if trial_id not in self._waiting_rung:
            return None
        rung = self._rungs[self._waiting_rung[trial_id]]
        if not rung.is_finite(trial_id):
            return SchedulerDecision("pruned", f"pruned at {rung.describe(trial_id)}")
        return SchedulerDecision("paused", f"waits at {rung.describe(trial_id)}")

    @override
    def pause(self, trial_id: str) -> None:
        self._running.discard(trial_id)
        number = self._waiting_rung[trial_id]
        self._paused[trial_id] = number
        if self._rungs[number].is_finite(trial_id):
            insort(self._waiting[number], self._rungs[number].key(trial_id))

    @override
    def promote(self) -> tuple[str, str] | None:
        """The best paused trial of the highest rung that may promote one."""
        for number in reversed(range(len(self._rungs))):
            if self._waiting[number]:
                trial_id = self._waiting[number][0][-1]
                if self._may_continue(trial_id, number):
                    return trial_id, f"promoted from {self._rungs[number].describe(trial_id)}"
        return self._promote_last()

    @override
    def resume(self, trial_id: str) -> None:
        self._leave(trial_id)
        self._mark_promoted(trial_id)
        self._running.add(trial_id)

    @override
    def end(self, trial_id: str) -> None:
        """The trial keeps its place at the rungs that it has reached."""
        self._leave(trial_id)
        self._waiting_rung.pop(trial_id, None)
        self._running.discard(trial_id)

    @override
    def resolve_paused(self) -> list[tuple[str, str]]:
        """All paused trials, once nothing more will come and none may continue; before, any of them may be promoted yet."""
        if not self._is_closed or self._running or self.promote() is not None:
            return []
        return [
            (trial_id, f"pruned at {self._rungs[number].describe(trial_id)}")
            for trial_id, number in self._paused.items()
        ]

    @override
    def close(self) -> None:
        """From now on at least one trial continues from the highest rung."""
        self._is_closed = True
        self._running.clear()

    def _may_continue(self, trial_id: str, number: int) -> bool:
        rung = self._rungs[number]
        return rung.is_among_best(trial_id, len(rung) // self._reduction)

    def _promote_last(self) -> tuple[str, str] | None:
        """The best trial of the highest rung, if nothing more will come and no trial was promoted from there."""
        if not self._is_closed or self._running:
            return None
        highest = next((number for number in reversed(range(len(self._rungs))) if len(self._rungs[number])), None)
        if highest is None or self._has_promoted[highest] or not self._waiting[highest]:
            return None
        trial_id = self._waiting[highest][0][-1]
        return trial_id, f"promoted from {self._rungs[highest].describe(trial_id)}: nothing more will come"

    def _mark_promoted(self, trial_id: str) -> None:
        number = self._waiting_rung.pop(trial_id, None)
        if number is not None:
            self._has_promoted[number] = True

    def _leave(self, trial_id: str) -> None:
        number = self._paused.pop(trial_id, None)
        if number is not None:
            key, waiting = self._rungs[number].key(trial_id), self._waiting[number]
            place = bisect_left(waiting, key)
            if waiting[place : place + 1] == [key]:
                del waiting[place]
