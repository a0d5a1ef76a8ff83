"""The contract of schedulers: what every one does, and what those do besides that prune by comparing trials."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from runner.schedulers.base import Scheduler
from runner.testing.contract import Check, Make, expect, expect_equal, name_check, run_checks
from runner.testing.scheduler_run import SchedulerRun, Situation, draw_situation, level, replay

SITUATIONS = 40
"""Situations at random in which a promise is looked at."""

ENDS = {"pruned", "finished", "failed"}


def scheduler_checks(max_epochs: int = 9, *, prunes: bool = False) -> list[Check[Scheduler]]:
    """The promises of a scheduler, each to be called with a function that makes one with nothing recorded yet.

    `max_epochs` is the last epoch of the trials that it is made for, at least 4. A scheduler decides how long each trial
    trains (`runner.schedulers.base.Scheduler`). What Caucus relies on:

    - It is a fold: the same calls of `add`, `record`, `pause`, `resume` and `end`, in the same order, lead to the same
      answers. A driver that is killed is replaced by one that knows these calls only, so time, chance, the order of hashes
      and what `close` or earlier questions left behind must not matter.
    - `decide`, `promote` and `resolve_paused` are questions. They take effect by `pause` or `end`, `resume`, and `end`.
    - Only a paused trial is promoted or given up, and every trial comes to an end: none waits for ever, also where others fail,
      report NaN, never begin, or are added after `close`.
    - Every stop has a reason.
    - A call costs the same however many trials there are.

    With `prunes` it is also asked for what a scheduler does that compares trials, such as ASHA, HyperBand or median stopping:
    the best trial of all trains to its end; of equals the first one does; a bad one is pruned, though it came first; and an
    accuracy that is NaN is pruned and never promoted.
    """
    chosen = [*_PROMISES, *(_PRUNING if prunes else ())]
    return [name_check(partial(examine, max_epochs), examine.__doc__ or "") for examine in chosen]


def check_scheduler(make: Make[Scheduler], max_epochs: int = 9, *, prunes: bool = False) -> None:
    """Run all `scheduler_checks`. Raises `AssertionError`, which lists the promises that are broken."""
    run_checks(scheduler_checks(max_epochs, prunes=prunes), make)


def compare_with_replaced(make: Make[Scheduler], situation: Situation, max_epochs: int) -> None:
    """Raise `AssertionError` where the decisions depend on whether the driver is replaced at `situation.replaced_at`."""
    replaced = SchedulerRun(make, situation, max_epochs).run().changes
    undisturbed = Situation(situation.curves, situation.slots, situation.order, situation.planned_at_a_time)
    expected = SchedulerRun(make, undisturbed, max_epochs).run().changes
    for found, wanted in zip(replaced, expected, strict=False):
        expect_equal("a decision, where the driver was replaced before,", tuple(found), tuple(wanted))
    expect_equal("the number of decisions, where the driver was replaced,", len(replaced), len(expected))


def compare_answers(make: Make[Scheduler], situation: Situation, max_epochs: int) -> None:
    """Raise `AssertionError` where two schedulers answer differently after the same calls, one of which is asked nothing before."""
    calls = SchedulerRun(make, situation, max_epochs).run().calls
    first, second = make(), make()
    every = max(1, len(calls) // 8)
    for place, (method, *arguments) in enumerate(calls, 1):
        answers = []
        schedulers = [first, second, *([replay(make, calls[: place - 1])] if place % every == 0 else [])]
        for scheduler in schedulers:
            getattr(scheduler, method)(*arguments)
            decision = scheduler.decide(arguments[0]) if method == "record" and arguments[1] < max_epochs else None
            answers.append((decision, scheduler.promote(), scheduler.resolve_paused()))
        for what, other in zip(("another scheduler", "one that was asked nothing before"), answers[1:], strict=False):
            expect_equal(f"what {what} answers after the same {place} call(s)", other, answers[0])


def expect_ends(make: Make[Scheduler], situation: Situation, max_epochs: int, cap: int) -> None:
    """Raise `AssertionError` unless every trial ends, where at most `cap` may begin first and all the others later."""
    run = SchedulerRun(make, situation, max_epochs).run(cap)
    _expect_states(run, ENDS)
    run.replace()
    run.unplanned = []
    run.queue = [name for name in run.curves if name not in run.begun]
    run.run()
    _expect_states(run, ENDS)
    expect_equal("the trials that have ended", set(run.state), set(run.curves))


def _same_when_replaced(max_epochs: int, make: Make[Scheduler]) -> None:
    """A driver that is replaced decides as if it had not been."""
    _in_situations(partial(compare_with_replaced, make, max_epochs=max_epochs), max_epochs)


def _same_answers(max_epochs: int, make: Make[Scheduler]) -> None:
    """The same calls lead to the same answers, whatever was asked in between."""
    _in_situations(partial(compare_answers, make, max_epochs=max_epochs), max_epochs)


def _all_end(max_epochs: int, make: Make[Scheduler]) -> None:
    """Every trial comes to an end, also where the budget grew in between."""
    for cap in (0, 3, 30):
        _in_situations(partial(expect_ends, make, max_epochs=max_epochs, cap=cap), max_epochs)


def _after_close(max_epochs: int, make: Make[Scheduler]) -> None:
    """Trials that are added after a close are scheduled as well."""
    run = SchedulerRun(make, Situation(level([0.3, 0.2, 0.1, 0.4, 0.5], max_epochs)), max_epochs).run()
    run.extend({f"u{number}": [0.6 + number / 100] * max_epochs for number in range(12)})
    run.run()
    expect_equal("the trials that have ended", set(run.state), set(run.curves))
    _expect_states(run, {"pruned", "finished"})


def _cost(max_epochs: int, make: Make[Scheduler]) -> None:
    """A call costs the same however many trials there are."""
    few, many = (_CountingRun(make, trials, max_epochs).lines_per_turn() for trials in (400, 4000))
    expect(
        many < 1.6 * few,
        f"an epoch takes {many:.0f} lines of Python with 4000 trials and {few:.0f} with 400, expected about as many",
    )


def _best_finishes(max_epochs: int, make: Make[Scheduler]) -> None:
    """The best at every rung trains to its end."""
    for seed in range(SITUATIONS):
        draw = random.Random(seed)
        accuracies = [place / 20 for place in range(20)]
        draw.shuffle(accuracies)
        order = [draw.randint(0, 7) for _ in range(80)]
        run = SchedulerRun(make, Situation(level(accuracies, max_epochs), draw.randint(1, 6), order), max_epochs).run()
        best = f"t{accuracies.index(0.95)}"
        expect_equal(f"the state of {best}, the best at every epoch,", run.state[best], "finished")


def _equals(max_epochs: int, make: Make[Scheduler]) -> None:
    """Trials that are all equal come to an end, and the first one finishes."""
    for count in (1, 2, 3, 5, 9, 24):
        run = SchedulerRun(make, Situation(level([0.1] * count, max_epochs), slots=3), max_epochs).run()
        expect_equal(f"the state of the first of {count} equals", run.state["t0"], "finished")
        _expect_states(run, {"pruned", "finished"})


def _first_is_mortal(max_epochs: int, make: Make[Scheduler]) -> None:
    """A bad trial is pruned, though it comes first."""
    curves = level([0.1, *(0.5 + place / 100 for place in range(15))], max_epochs)
    round_robin = [turn for _ in range(200) for turn in range(16)]
    run = SchedulerRun(make, Situation(curves, 16, round_robin, planned_at_a_time=16), max_epochs).run()
    expect_equal("the state of t0, the worst of 16 at every epoch,", run.state["t0"], "pruned")


def _nan(max_epochs: int, make: Make[Scheduler]) -> None:
    """An accuracy that is no number is pruned, and never promoted."""
    for slots in (1, 4):
        situation = Situation(level([math.nan, 0.1, 0.2, 0.3], max_epochs), slots)
        changes = [change for change in SchedulerRun(make, situation, max_epochs).run().changes if change[0] == "t0"]
        expect_equal("what became of a trial of NaN", [change.state for change in changes], ["pruned"])


_Examine = Callable[[int, Make[Scheduler]], None]
_PROMISES: tuple[_Examine, ...] = (_same_when_replaced, _same_answers, _all_end, _after_close, _cost)
_PRUNING: tuple[_Examine, ...] = (_best_finishes, _equals, _first_is_mortal, _nan)


class _CountingRun(SchedulerRun):
    """Counts the lines of Python that calls of the scheduler carry out; what bisect and a list's insert do below is not seen."""

    def __init__(self, make: Make[Scheduler], trials: int, max_epochs: int) -> None:
        curves = {f"t{number}": [(number * 7919 % 10007) / 10007] * max_epochs for number in range(trials)}
        super().__init__(make, Situation(curves, slots=4), max_epochs)
        self.lines, self.is_counting = 0, False

    def call(self, method: str, *arguments: Any) -> None:
        """Count, and call."""
        self._count(super().call, method, *arguments)

    def ask(self, query: str, *arguments: Any) -> Any:
        """Count, and ask."""
        return self._count(super().ask, query, *arguments)

    def lines_per_turn(self, measured: int = 200) -> float:
        """Lines for a turn, over those turns in which the last `measured` trials are planned."""
        first = 0
        while self.unplanned:
            while len(self.running) < self.situation.slots and (self.queue or self.unplanned or self.ask("promote")):
                self.fill()
            if not self.is_counting and len(self.unplanned) < measured:
                first, self.is_counting = self.turns, True
            self.turns += 1
            self.train(self.running[0])
            self.resolve_paused()
        return self.lines / (self.turns - first)

    def _count(self, act: Callable[..., Any], *arguments: Any) -> Any:
        if not self.is_counting:
            return act(*arguments)

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            if frame.f_globals.get("__name__", "").startswith("runner.testing."):
                return None
            self.lines += event == "line"
            return trace

        former = sys.gettrace()
        sys.settrace(trace)
        try:
            return act(*arguments)
        finally:
            sys.settrace(former)


def _expect_states(run: SchedulerRun, states: set[str]) -> None:
    for name, state in run.state.items():
        expect(state in states, f"{name} is {state} when nothing is left to do, expected one of {sorted(states)}")


def _in_situations(examine: Callable[[Situation], None], max_epochs: int) -> None:
    """`examine` in many situations. Raises its `AssertionError`, with the seed of the situation."""
    for seed in range(SITUATIONS):
        try:
            examine(draw_situation(seed, max_epochs))
        except AssertionError as error:
            raise AssertionError(f"{error}, in draw_situation({seed}, {max_epochs})") from error
