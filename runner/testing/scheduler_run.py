"""A small run that does with a scheduler what a real one does, over accuracies that are known beforehand."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from runner.schedulers.base import Scheduler, SchedulerDecision
from runner.testing.contract import Make, expect, expect_equal


@dataclass(frozen=True)
class Situation:
    """Trials whose accuracies are known, and how a run comes to train them."""

    curves: Mapping[str, Sequence[float]]
    """Accuracy of each trial, epoch by epoch; where there are fewer than the trial should have, it fails after them."""
    slots: int = 2
    order: Sequence[int] = ()
    """Which of the running trials ends its epoch next, turn by turn; afterwards it is always the first one."""
    planned_at_a_time: int = 1
    replaced_at: Sequence[int] = ()
    """Turns before which the driver is replaced: a new scheduler hears of the calls on record."""


def draw_situation(seed: int, max_epochs: int) -> Situation:
    """A situation at random, the same for the same seed: up to 30 trials, some of which fail or have accuracies that are NaN."""
    draw = random.Random(seed)
    curves: dict[str, list[float]] = {}
    for number in range(draw.randint(1, 30)):
        curve = [draw.randint(0, 8) / 8 for _ in range(max_epochs)]  # few values, so that there are many equals
        kind, place = draw.random(), draw.randrange(max_epochs)
        if kind < 0.2:
            curve = curve[:place]
        elif kind < 0.35:
            curve[place:] = [math.nan] * (max_epochs - place)
        curves[f"t{number}"] = curve
    order = [draw.randint(0, 7) for _ in range(draw.choice([0, 20, 80]))]
    replaced_at = [draw.randint(1, 150) for _ in range(draw.randint(1, 4))]
    return Situation(curves, draw.randint(1, 6), order, draw.choice([1, 2, 5, 30]), replaced_at)


def level(accuracies: Sequence[float], max_epochs: int) -> dict[str, list[float]]:
    """Trials `t0`, `t1`, … whose accuracy is the same at all epochs."""
    return {f"t{number}": [accuracy] * max_epochs for number, accuracy in enumerate(accuracies)}


class Change(NamedTuple):
    """A trial that paused, was promoted or came to its end."""

    trial_id: str
    epoch: int
    state: str
    reason: str


class SchedulerRun:
    """Trains the trials of `situation`, an epoch each turn, and asks the scheduler as the controller of a run does.

    Every question is asked twice. Raises `AssertionError` where the second answer is another one, where a trial is promoted
    or given up that does not wait, and where a decision is none.
    """

    def __init__(self, make: Make[Scheduler], situation: Situation, max_epochs: int) -> None:
        self.make, self.situation, self.max_epochs = make, situation, max_epochs
        self.scheduler = make()
        self.calls: list[tuple[Any, ...]] = []
        """What was done to the scheduler, in order: the name of the method and its arguments. Questions are left out, and so
        is `close`, as no journal has them."""
        self.changes: list[Change] = []
        self.unplanned = list(situation.curves)
        self.curves = dict(situation.curves)
        self.queue: list[str] = []
        self.running: list[str] = []
        self.begun: set[str] = set()
        self.state: dict[str, str] = {}
        """The newest state of each trial that has paused, was promoted or has ended."""
        self.epochs = dict.fromkeys(self.curves, 0)
        self.turns = 0
        self._order = iter(situation.order)

    def call(self, method: str, *arguments: Any) -> None:
        """Do something that a journal records."""
        self.calls.append((method, *arguments))
        getattr(self.scheduler, method)(*arguments)

    def ask(self, query: str, *arguments: Any) -> Any:
        """The answer to a question, which is asked twice."""
        answer = getattr(self.scheduler, query)(*arguments)
        again = getattr(self.scheduler, query)(*arguments)
        expect_equal(f"{query}({', '.join(map(repr, arguments))}), asked again with nothing in between,", again, answer)
        return answer

    def replace(self) -> None:
        """Replace the driver: a new scheduler gets the calls on record, and nothing else."""
        self.scheduler = replay(self.make, self.calls)

    def run(self, cap: float = math.inf) -> SchedulerRun:
        """Train until nothing is left to do, with no more than `cap` trials begun; returns itself."""
        while True:
            while len(self.running) < self.situation.slots and self.fill(cap):
                pass
            if not self.running:
                return self
            self.turns += 1
            if self.turns in self.situation.replaced_at:
                self.replace()
            self.train(self.running[next(self._order, 0) % len(self.running)])
            self.resolve_paused()

    def extend(self, curves: Mapping[str, Sequence[float]]) -> None:
        """More trials, as a larger search has them."""
        self.curves.update(curves)
        self.epochs.update(dict.fromkeys(curves, 0))
        self.unplanned += curves

    def fill(self, cap: float = math.inf) -> bool:
        """Find something for a free slot; returns whether there is any."""
        if self.queue:
            name = self.queue.pop(0)
            if name in self.begun or len(self.begun) < cap:
                self.begun.add(name)
                self.running.append(name)
            return True
        if self.promote():
            return True
        if self.unplanned:
            for name in self.unplanned[: self.situation.planned_at_a_time]:
                self.call("add", name)
                self.queue.append(name)
            del self.unplanned[: self.situation.planned_at_a_time]
            return True
        if self.running:
            return False
        self.scheduler.close()
        return self.promote() or self.resolve_paused()

    def promote(self) -> bool:
        """Let a trial continue that the scheduler promotes; returns whether there is any."""
        promoted = self.ask("promote")
        if promoted is None:
            return False
        name, reason = promoted
        self._expect_paused("promote", name)
        self._change("resume", name, "promoted", reason)
        self.queue.append(name)
        return True

    def resolve_paused(self) -> bool:
        """End the trials that can never continue; returns whether there are any."""
        given_up = self.ask("resolve_paused")
        for name, reason in given_up:
            self._expect_paused("resolve_paused", name)
            self._change("end", name, "pruned", reason)
        return bool(given_up)

    def train(self, name: str) -> None:
        """Train an epoch of a running trial, and do what the scheduler says."""
        if self.epochs[name] == len(self.curves[name]):
            self.running.remove(name)
            self._change("end", name, "failed", "")
            return
        self.epochs[name] += 1
        self.call("record", name, self.epochs[name], self.curves[name][self.epochs[name] - 1])
        if self.epochs[name] == self.max_epochs:  # the caller handles the last epoch
            self.running.remove(name)
            self._change("end", name, "finished", "")
        elif decision := self._decision(name):
            self.running.remove(name)
            self._change("pause" if decision.state == "paused" else "end", name, decision.state, decision.reason)

    def those(self, state: str) -> list[str]:
        """The trials in a state."""
        return [name for name, its in self.state.items() if its == state]

    def _decision(self, name: str) -> SchedulerDecision | None:
        decision: SchedulerDecision | None = self.ask("decide", name)
        if decision is not None:
            states = ("pruned", "paused", "finished")
            expect(
                decision.state in states, f"decide({name!r}) has the state {decision.state!r}, expected one of {states}"
            )
            expect(decision.reason, f"decide({name!r}) gives no reason for {decision.state}, expected one for people")
        return decision

    def _expect_paused(self, query: str, name: str) -> None:
        state = "running" if name in self.running else self.state.get(name, "unknown")
        expect(state == "paused", f"{query}() names {name!r}, which is {state}, expected a trial that is paused")

    def _change(self, call: str, name: str, state: str, reason: str) -> None:
        self.state[name] = state
        self.changes.append(Change(name, self.epochs[name], state, reason))
        self.call(call, name)


def replay(make: Make[Scheduler], calls: Sequence[tuple[Any, ...]]) -> Scheduler:
    """A new scheduler that has got `calls`, and was asked nothing."""
    scheduler = make()
    for method, *arguments in calls:
        getattr(scheduler, method)(*arguments)
    return scheduler
