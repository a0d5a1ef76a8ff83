"""HyperBand (Li et al. 2018): brackets of successive halving, from many short trials to a few long ones."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

from typing_extensions import override

from runner.schedulers.base import Scheduler, SchedulerDecision
from runner.schedulers.rung import Rung, rung_epochs


@dataclass
class Bracket:
    """Trials that are halved together. After the last rung they train to their end."""

    size: int
    epochs: list[int]
    """Epochs of the rungs."""
    rungs: list[Rung]
    """A trial that ended before its next rung is on that rung with NaN."""
    expected: list[int]
    """How many trials are to come to each rung, and to the end."""
    halved: list[int] = field(default_factory=list)
    """How many trials were promoted from each rung that has been halved."""
    is_sealed: bool = False
    """Whether no further trial enters, although the bracket is not full."""

    @property
    def is_filled(self) -> bool:
        """Whether the next trial enters another bracket."""
        return self.is_sealed or self.expected[0] == self.size

    @property
    def is_ready(self) -> bool:
        """Whether all expected trials have come to the next rung to be halved."""
        level = len(self.halved)
        return self.is_filled and level < len(self.rungs) and len(self.rungs[level]) == self.expected[level]


@dataclass
class Place:
    """Where a trial is in its bracket."""

    bracket: Bracket
    level: int = 0
    """The rung, counted from 0, at which the trial waits or which it reaches next."""
    results: dict[int, float] = field(default_factory=dict)
    """Its accuracy at each rung, also at rungs that it has not been promoted to yet."""
    has_lost: bool = False
    is_paused: bool = False
    has_ended: bool = False

    @property
    def has_arrived(self) -> bool:
        """Whether it is at a rung and has not been promoted from it."""
        return self.level < len(self.bracket.rungs) and self.level in self.results


class HyperBand(Scheduler):
    """Fills brackets in the paper's order, and halves a bracket's rung once all its trials have come there or ended.

    Bracket s, from the largest s down to 0 and then from the largest again, takes up
    ceil((s_max + 1) / (s + 1) * `reduction`**s) trials and has its rungs at `max_epochs` / `reduction`**s and so on up,
    rounded down; s_max is the largest s for which the first is not before `grace_epochs`. The best
    floor(n / `reduction`) of n trials continue; among equals, the one that came first. A trial that ended before the rung, or
    whose accuracy there is not a number, is among the n and ranks last. The last trial to reach a rung continues without a
    pause if it is among the best. Reasons count brackets from 0 in the order of filling.

    Two things differ from the paper. At least one trial continues from each rung, which matters in a bracket that did not
    fill up or lost trials. And a trial that ended at its rung (early stopping) leaves its place to the next best.
    """

    def __init__(self, max_epochs: int, reduction: int, grace_epochs: int) -> None:
        self._max_epochs = max_epochs
        self._reduction = reduction
        self._largest = len(rung_epochs(grace_epochs, reduction, max_epochs)) - 1
        self._opened = 0
        self._filling: Bracket | None = None
        self._places: dict[str, Place] = {}
        # Paused trials, each in one of three. Ordered dictionaries, because the first key of a plain one is slow to
        # find once many before it have been removed.
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._winners: OrderedDict[str, None] = OrderedDict()
        self._losers: OrderedDict[str, None] = OrderedDict()

    @override
    def add(self, trial_id: str) -> None:
        """The trial enters the bracket that is being filled."""
        if self._filling is None or self._filling.is_filled:
            self._filling = self._open()
        self._filling.expected[0] += 1
        self._places[trial_id] = Place(self._filling)

    @override
    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        """Add a result to its rung; the last expected trial triggers the halving.

        A trial that began after a rung counts there with its first accuracy. A trial that an earlier stage trained
        further than its first rung is compared there all the same.
        """
        place = self._places[trial_id]
        reached = [level for level, at in enumerate(place.bracket.epochs) if at <= epoch and level not in place.results]
        place.results.update(dict.fromkeys(reached, accuracy))
        if place.level in reached:
            self._arrive(trial_id)

    @override
    def decide(self, trial_id: str) -> SchedulerDecision | None:
        """Paused at a rung that is not halved yet; pruned if it lost, or if its accuracy is not a number."""
        place = self._places[trial_id]
        if not place.has_arrived:
            return None
        rung = place.bracket.rungs[place.level]
        if place.has_lost or not rung.is_finite(trial_id):
            return SchedulerDecision("pruned", f"pruned at {rung.describe(trial_id)}")
        return SchedulerDecision("paused", f"waits at {rung.describe(trial_id)}")

    @override
    def pause(self, trial_id: str) -> None:
        self._places[trial_id].is_paused = True
        self._update_group(trial_id)

    @override
    def promote(self) -> tuple[str, str] | None:
        """A paused trial that won: of the rung that was halved first, the best first."""
        trial_id = next(iter(self._winners), None)
        return None if trial_id is None else (trial_id, f"promoted from {self._describe(trial_id, passed=1)}")

    @override
    def resume(self, trial_id: str) -> None:
        """The trial trains to its next rung. If its rung is not halved yet, only `close` can have led to this."""
        place = self._places[trial_id]
        if trial_id in self._waiting:
            self._seal(place.bracket)
        place.is_paused = False
        self._update_group(trial_id)

    @override
    def end(self, trial_id: str) -> None:
        """The next rung of the trial does not wait for it any longer."""
        place = self._places[trial_id]
        place.is_paused = False
        self._update_group(trial_id)
        is_missing = not place.has_ended and not place.has_arrived and place.level < len(place.bracket.rungs)
        place.has_ended = True
        if is_missing:
            place.bracket.rungs[place.level].add(trial_id, math.nan)
            if place.bracket.is_ready:
                self._halve(place.bracket)

    @override
    def resolve_paused(self) -> list[tuple[str, str]]:
        """The paused trials that lost."""
        return [(trial_id, f"pruned at {self._describe(trial_id)}") for trial_id in self._losers]

    @override
    def close(self) -> None:
        """Halve every rung at which a trial waits; a bracket that was not full stays so."""
        while self._waiting:
            self._seal(self._places[next(iter(self._waiting))].bracket)

    def _open(self) -> Bracket:
        s = self._largest - self._opened % (self._largest + 1)
        size = -(-(self._largest + 1) * self._reduction**s // (s + 1))
        epochs = [self._max_epochs // self._reduction**power for power in range(s, 0, -1)]
        rungs = [Rung(f"rung {number} of bracket {self._opened}") for number in range(1, s + 1)]
        self._opened += 1
        return Bracket(size, epochs, rungs, expected=[0] * (s + 1))

    def _arrive(self, trial_id: str) -> None:
        place = self._places[trial_id]
        bracket, level = place.bracket, place.level
        rung = bracket.rungs[level]
        rung.add(trial_id, place.results[level])
        if level == len(bracket.halved):
            if bracket.is_ready:
                self._halve(bracket)
        elif rung.is_among_best(trial_id, bracket.halved[level]):
            # It comes late, after `close`: it is compared with those that were promoted.
            bracket.expected[level + 1] += 1
            self._promote(trial_id)
        else:
            place.has_lost = True

    def _halve(self, bracket: Bracket) -> None:
        rung = bracket.rungs[len(bracket.halved)]
        best = max(1, len(rung) // self._reduction)
        alive = [trial_id for trial_id in rung.ranked() if not self._places[trial_id].has_ended]
        bracket.halved.append(best)
        bracket.expected[len(bracket.halved)] = len(alive[:best])
        for trial_id in rung:
            self._places[trial_id].has_lost = True
        for trial_id in alive[:best]:
            self._promote(trial_id)
        for trial_id in alive:
            self._update_group(trial_id)

    def _promote(self, trial_id: str) -> None:
        place = self._places[trial_id]
        place.has_lost = False
        place.level += 1
        if place.has_arrived:
            self._arrive(trial_id)

    def _seal(self, bracket: Bracket) -> None:
        bracket.is_sealed = True
        if len(bracket.halved) < len(bracket.rungs):
            self._halve(bracket)

    def _update_group(self, trial_id: str) -> None:
        """Put a paused trial into its group; one that is not paused is in none."""
        place = self._places[trial_id]
        belongs = self._losers if place.has_lost else self._waiting if place.has_arrived else self._winners
        for group in (self._waiting, self._winners, self._losers):
            if group is not belongs or not place.is_paused:
                group.pop(trial_id, None)
        if place.is_paused:
            belongs.setdefault(trial_id, None)

    def _describe(self, trial_id: str, passed: int = 0) -> str:
        place = self._places[trial_id]
        return place.bracket.rungs[place.level - passed].describe(trial_id)
