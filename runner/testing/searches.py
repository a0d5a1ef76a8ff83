"""The contract of searches: what every one does, whichever trials it proposes. Each function is one promise."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from runner.journal.events import Event, NodesChanged, RunClosed, RunOpened, TrialEnded, read_line, to_line
from runner.journal.state import RunState
from runner.search.base.protocol import Decide, Measure, Over, Plan, Search
from runner.testing.contract import Check, Make, expect, expect_equal, name_check, run_checks, show
from runner.testing.search_run import WHEN, EpochSimulator, SlotRun, ask, simulate_epoch
from trainables.config.trial import TrialConfig
from trainables.results.record import EpochResult

Item = TypeVar("Item")

MOST_TURNS = 1000
"""A run of the small sweep that a search is checked with is over before."""

MOST_PLACES = 25
"""At so many places of a run, evenly spaced, a driver is replaced."""

COURSES: tuple[tuple[int | None, int | None], ...] = ((None, None), (1, None), (3, 1))
"""Slots, and a seed for the order in which trials end their epochs."""


def search_checks(simulate_epoch: EpochSimulator = simulate_epoch, max_epochs: int = 3) -> list[Check[Search]]:
    """The promises of a search, each to be called with a function that makes one that has observed nothing.

    Each time it is the search of the same small sweep, of a dozen trials, say, which ends after `max_epochs` where a `Plan`
    says nothing else; `simulate_epoch` gives the results, of which some should be None. A search decides which trials come
    next (`runner.search.base.protocol.Search`). What Caucus relies on:

    - It is a fold over the run's events: whoever has observed the same events, read from a journal, takes the same step. A
      driver that is killed is replaced by one that knows the events only, so time, chance, and what a search keeps from
      earlier steps must not matter; what it needs to know later it puts into a `Decide`, as plain JSON.
    - `step` is a query: nothing changes before the event that follows from it is observed.
    - It comes to an end, and proposes something or is over while nothing runs, also where trials diverge, or all do. It may
      raise `RunCutShort` where no step can follow. A trial that was stopped has not ended: its driver will continue it.
    - A `Plan` has trials that are new to their stage, a `Measure` architectures that were not measured.
    - After `Over` nothing more is proposed, whatever the results still to come.
    - It wants every trial that it has planned, and passes over events that are no concern of it.
    """
    setting = _Setting(simulate_epoch, max_epochs)
    return [name_check(partial(examine, setting), examine.__doc__ or "") for examine in _PROMISES]


def check_search(make: Make[Search], simulate_epoch: EpochSimulator = simulate_epoch, max_epochs: int = 3) -> None:
    """Run all `search_checks`. Raises `AssertionError`, which lists the promises that are broken."""
    run_checks(search_checks(simulate_epoch, max_epochs), make)


@dataclass(frozen=True)
class _Setting:
    """What is the same in all runs of a search."""

    simulate_epoch: EpochSimulator
    max_epochs: int

    def run(
        self, make: Make[Search], slots: int | None = None, seed: int | None = None, events: Sequence[Event] = ()
    ) -> SlotRun:
        """A run to its end; `events` were read from a journal."""
        return SlotRun(make(), self.simulate_epoch, self.max_epochs, slots, seed, _read(events)).run(MOST_TURNS)

    def runs(self, make: Make[Search]) -> list[SlotRun]:
        """A run for each of `COURSES`."""
        return [self.run(make, slots, seed) for slots, seed in COURSES]


def _query(setting: _Setting, make: Make[Search]) -> None:
    """A step is a query: it changes nothing, and is the same until another event is observed."""
    for run in setting.runs(make):
        expect(not run.query_fault, run.query_fault)


def _fold(setting: _Setting, make: Make[Search]) -> None:
    """Who has observed the same events takes the same step."""
    for run in setting.runs(make):
        for place, step in _some(run.asked):
            search, state = _observing(make, run.events[:place])
            found = ask(search, state)
            expect_equal(f"the step of a new search that has observed the same {place} event(s)", found, step)


def _replaced(setting: _Setting, make: Make[Search]) -> None:
    """A driver that is replaced at any moment comes to the same trials and decisions."""
    for slots in (None, 1):
        whole = setting.run(make, slots)
        for cut in _some(whole.cuts):
            _expect_same(setting.run(make, slots, events=whole.events[:cut]).events, whole.events, cut)


def _cut_off(setting: _Setting, make: Make[Search]) -> None:
    """A run whose trials were stopped continues as if they had not been."""
    whole = setting.run(make)
    expected = list(whole.state.trials), [(one.what, one.values) for one in whole.state.decisions]
    for turns in _some(range(1, whole.turns)):
        run = SlotRun(make(), setting.simulate_epoch, setting.max_epochs).run(turns)
        for record in run.state.pending():
            run.record(
                TrialEnded(
                    **WHEN, trial_id=record.trial_id, state="stopped", reason="the budget ran out", by_budget=True
                )
            )
        run.record(RunClosed(**WHEN, state="partial", reason="the budget ran out"))
        run.record(RunOpened(**WHEN, versions={}, slots=1))
        again = setting.run(make, events=run.events)
        found = list(again.state.trials), [(one.what, one.values) for one in again.state.decisions]
        expect_equal(
            f"what comes of a run that was stopped after {turns} turn(s), its trials and decisions,", found, expected
        )


def _ends(setting: _Setting, make: Make[Search]) -> None:
    """It comes to an end, whatever the results, and never waits while nothing runs."""
    results: dict[str, EpochSimulator] = {
        "with the given results": setting.simulate_epoch,
        "where every trial diverges at once": lambda trial, epoch: None,
        "where every trial is as good as the others": _same_result,
    }
    for where, results_of in results.items():
        for run in _Setting(results_of, setting.max_epochs).runs(make):
            expect(not run.fault, f"{where}, {run.fault}")


def _new(setting: _Setting, make: Make[Search]) -> None:
    """A plan has trials that are new to their stage, and a measurement has new architectures."""
    for run in setting.runs(make):
        state = RunState()
        read = 0
        for place, step in run.asked:
            for event in run.events[read:place]:
                state.apply(event)
            read = place
            if isinstance(step, Plan):
                _expect_new(step, state)
            elif isinstance(step, Measure):
                known = [key for key in step.architectures if key in state.range_tests]
                expect(step.architectures, "a Measure has no architecture, expected one or Wait")
                expect(not known, f"a Measure has {known}, which were measured before")


def _over(setting: _Setting, make: Make[Search]) -> None:
    """After over comes nothing more, whatever the results still to come."""
    for run in setting.runs(make):
        answers = [step for _, step in run.asked]
        first = next((place for place, step in enumerate(answers) if isinstance(step, Over)), len(answers))
        for step in answers[first:]:
            expect_equal("a step after Over", step, Over())


def _wants(setting: _Setting, make: Make[Search]) -> None:
    """It wants every trial that it has planned."""
    for run in setting.runs(make):
        for search in (run.search, _observing(make, run.events)[0]):
            unwanted = [name for name in run.state.trials if not search.wants(name)]
            expect_equal("the planned trials that it does not want", unwanted, [])


def _unconcerned(setting: _Setting, make: Make[Search]) -> None:
    """Events of drivers and nodes change no step."""
    run = setting.run(make, slots=3, seed=1)
    for place, step in _some(run.asked):
        search, state = _observing(make, run.events[:place])
        for event in (
            RunClosed(**WHEN, state="partial", reason="killed"),
            RunOpened(**WHEN, versions={}, slots=3),
            NodesChanged(**WHEN, nodes=2),
        ):
            state.apply(event)
            search.observe(event)
        expect_equal("the step after another driver has opened the run", ask(search, state), step)


def _json(setting: _Setting, make: Make[Search]) -> None:
    """A decision gives its reason, and its values are plain JSON."""
    for run in setting.runs(make):
        for _, step in run.asked:
            if isinstance(step, Decide):
                expect(step.reason, f"the decision {step.what!r} gives no reason, expected a sentence for the report")
                values = dict(step.values)
                try:
                    read = json.loads(json.dumps(values, allow_nan=False))
                except (TypeError, ValueError) as error:
                    raise AssertionError(f"the values of the decision {step.what!r} are no JSON: {error}") from error
                expect_equal(f"what is read back of the values of the decision {step.what!r}", read, values)


_PROMISES: tuple[Callable[[_Setting, Make[Search]], None], ...] = (
    *(_query, _fold, _replaced, _cut_off, _ends, _new, _over, _wants, _unconcerned, _json),
)


def _read(events: Sequence[Event]) -> list[Event]:
    """`events` as a journal gives them back."""
    lines = (read_line(to_line(event), "the journal").event for event in events)
    return [event for event in lines if event is not None]


def _observing(make: Make[Search], events: Sequence[Event]) -> tuple[Search, RunState]:
    """A new search that has observed `events`, and their state."""
    search, read = make(), _read(events)
    for event in read:
        search.observe(event)
    return search, RunState(read)


def _expect_new(step: Plan, state: RunState) -> None:
    names = [trial.trial_id for trial in step.trials]
    expect(names, "a Plan has no trial, expected some, Wait or Over")
    expect_equal("a plan", names, list(dict.fromkeys(names)))
    for name in names:
        record = state.trials.get(name)
        is_known = record is not None and (record.stage, record.max_epochs) == (step.stage, step.max_epochs)
        expect(
            not is_known, f"a Plan has trial {name}, which stage {step.stage!r} has planned before, expected new trials"
        )


def _expect_same(found: Sequence[Event], expected: Sequence[Event], cut: int) -> None:
    where = f"where the driver was replaced after {cut} event(s)"
    for place, (one, other) in enumerate(zip(found, expected, strict=False)):
        expect(one == other, f"event {place} is {show(one)} {where}, expected {show(other)}")
    expect_equal(f"the number of events {where}", len(found), len(expected))


def _same_result(trial: TrialConfig, epoch: int) -> EpochResult:
    return EpochResult(epoch, 0.5, 0.5, 0.5, 0.5, train_s=1.0, evaluate_s=0.5)


def _some(items: Sequence[Item]) -> Sequence[Item]:
    """At most about `MOST_PLACES` of them, evenly spaced, the last one among them."""
    every = -(-len(items) // MOST_PLACES) or 1
    return items[::-every][::-1]
