"""The contract suite of searches on searches that break it: each fault is found, and the message says what was expected."""

from __future__ import annotations

import random
from typing import Any

import pytest

from runner.journal.events import Decided, Event, RunOpened, TrialEnded, TrialPlanned
from runner.journal.state import RunState
from runner.search.base.protocol import Decide, Over, Plan, Search, Step, Wait
from runner.testing.searches import check_search, search_checks
from trainables.config.trial import TrialConfig
from trainables.results.record import ENDED

QUERY = "A step is a query: it changes nothing, and is the same until another event is observed"
FOLD = "Who has observed the same events takes the same step"
REPLACED = "A driver that is replaced at any moment comes to the same trials and decisions"
CUT_OFF = "A run whose trials were stopped continues as if they had not been"
ENDS = "It comes to an end, whatever the results, and never waits while nothing runs"
NEW = "A plan has trials that are new to their stage, and a measurement has new architectures"
OVER = "After over comes nothing more, whatever the results still to come"
WANTS = "It wants every trial that it has planned"
UNCONCERNED = "Events of drivers and nodes change no step"
JSON = "A decision gives its reason, and its values are plain JSON"


def make_trial(seed: int) -> TrialConfig:
    return TrialConfig(data_id="data", seed=seed)


class Five(Search):
    """Three trials, a decision once they have ended, and two more trials."""

    def __init__(self) -> None:
        self.planned: list[str] = []
        self.ended: set[str] = set()
        self.found: dict[str, Any] | None = None

    def step(self, state: RunState) -> Step:
        if len(self.planned) < 3:
            return Plan((make_trial(len(self.planned)),))
        if self.found is None:
            return self.decide(state) if len(self.ended) == 3 else Wait()
        if len(self.planned) < 5:
            return Plan((make_trial(self.found["seed"] + len(self.planned)),))
        return Over()

    def decide(self, state: RunState) -> Step:
        epochs = sum(len(record.epochs) for record in state.trials.values())
        return Decide("best", "the first half is over", {"seed": 10 * epochs + 10})

    def observe(self, event: Event) -> None:
        match event:
            case TrialPlanned() if event.trial_id not in self.planned:
                self.planned.append(event.trial_id)
            case TrialEnded() if event.state in ENDED:
                self.ended.add(event.trial_id)
            case Decided():
                self.found = event.values

    def wants(self, trial_id: str) -> bool:
        return True


class Popping(Five):
    """Takes the trial off its list when it is asked, and not when it is recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.left = [make_trial(seed) for seed in range(3)]

    def step(self, state: RunState) -> Step:
        return Plan((self.left.pop(0),)) if self.left else super().step(state)


class Tidying(Five):
    """Sorts the state that it is given."""

    def step(self, state: RunState) -> Step:
        step = super().step(state)
        if isinstance(step, Wait):
            state.decisions.append(Decided(at_unix_s=1.0, elapsed_s=1.0, what="mine", reason="mine"))
        return step


class Repeating(Five):
    def step(self, state: RunState) -> Step:
        step = super().step(state)
        return Plan((make_trial(0),)) if isinstance(step, Plan) and len(self.planned) >= 3 else step


class Vain(Five):
    def step(self, state: RunState) -> Step:
        step = super().step(state)
        return Plan(()) if isinstance(step, Over) else step


class Keeping(Five):
    """Keeps for itself what it should have decided."""

    kept = 0

    def decide(self, state: RunState) -> Step:
        self.kept = 100
        return Decide("best", "the first half is over", {"seed": 10})

    def step(self, state: RunState) -> Step:
        step = super().step(state)
        return Plan((make_trial(self.kept + len(self.planned)),)) if isinstance(step, Plan) and self.found else step


class Chance(Five):
    def __init__(self) -> None:
        super().__init__()
        self.first = random.randrange(10**6)

    def step(self, state: RunState) -> Step:
        step = super().step(state)
        return Plan((make_trial(self.first + len(self.planned)),)) if isinstance(step, Plan) else step


class Tuple(Five):
    """What it decided comes back as another type, which it takes for something else."""

    def decide(self, state: RunState) -> Step:
        return Decide("best", "the first half is over", {"seed": 10, "pair": (1, 2)})

    def step(self, state: RunState) -> Step:
        is_over = bool(self.found) and self.found.get("pair") != (1, 2) and len(self.planned) == 4
        return Over() if is_over else super().step(state)


class Stopping(Five):
    """Takes a trial that was stopped for one that has ended."""

    def observe(self, event: Event) -> None:
        super().observe(event)
        if isinstance(event, TrialEnded):
            self.ended.add(event.trial_id)


class Hoping(Five):
    """Waits until three trials have finished, also where they never do."""

    def observe(self, event: Event) -> None:
        if not (isinstance(event, TrialEnded) and event.state == "diverged"):
            super().observe(event)


class Endless(Five):
    def step(self, state: RunState) -> Step:
        return Plan((make_trial(len(self.planned)),))


class Reviving(Five):
    """Says that it is over, and goes on once the trials have ended."""

    def step(self, state: RunState) -> Step:
        step = super().step(state)
        return Over() if isinstance(step, Wait) else step


class Picky(Five):
    def wants(self, trial_id: str) -> bool:
        return trial_id != make_trial(1).trial_id


class Restarting(Five):
    """Begins anew with every driver."""

    def observe(self, event: Event) -> None:
        if isinstance(event, RunOpened):
            self.planned.clear()
        super().observe(event)


class Terse(Five):
    def decide(self, state: RunState) -> Step:
        return Decide("best", "", {"seed": 10})


@pytest.mark.parametrize(
    ("make", "promise", "message"),
    [
        (Popping, QUERY, r"step\(\) is Plan.* when it is asked again with nothing in between, expected Plan"),
        (Tidying, QUERY, r"step\(\) changed the state that it was given, expected that it changes nothing"),
        (Repeating, NEW, "a Plan has trial .*, which stage '' has planned before, expected new trials"),
        (Vain, NEW, "a Plan has no trial, expected some, Wait or Over"),
        (Keeping, FOLD, r"the step of a new search that has observed the same \d+ event\(s\) is Plan.*, expected Plan"),
        (
            Keeping,
            REPLACED,
            r"event \d+ is .* where the driver was replaced after \d+ event\(s\), expected TrialPlanned",
        ),
        (Chance, FOLD, r"the step of a new search that has observed the same 0 event\(s\) is Plan"),
        (Tuple, JSON, r"the values of the decision 'best' is .*\[1, 2\].*, expected .*\(1, 2\)"),
        (Tuple, FOLD, r"is Over\(\), expected Plan"),
        (Stopping, CUT_OFF, r"a run that was stopped after \d+ turn\(s\), its trials and decisions, is .*, expected"),
        (Hoping, ENDS, r"with the given results, it answers Wait\(\) while nothing is running, expected a"),
        (Endless, ENDS, r"with the given results, it is not over after 1000 turns, with \d+ trials planned"),
        (Reviving, OVER, r"a step after Over is Decide.*, expected Over\(\)"),
        (Picky, WANTS, r"the planned trials that it does not want is \['.*'\], expected \[\]"),
        (Restarting, UNCONCERNED, "the step after another driver has opened the run is Plan.*, expected"),
        (Terse, JSON, "the decision 'best' gives no reason, expected a sentence for the report"),
    ],
)
def test_a_search_that_breaks_a_promise_is_told_which_and_what_was_expected(
    make: type[Search], promise: str, message: str
) -> None:
    (check,) = (check for check in search_checks() if str(check) == promise)
    with pytest.raises(AssertionError, match=f"^{promise}: .*{message}"):
        check(make)


@pytest.mark.parametrize(("make", "broken"), [(Reviving, [OVER]), (Picky, [WANTS]), (Terse, [JSON]), (Hoping, [ENDS])])
def test_only_what_is_broken_is_listed(make: type[Search], broken: list[str]) -> None:
    with pytest.raises(AssertionError) as caught:
        check_search(make)
    listed = [line.removeprefix("- ") for line in str(caught.value).splitlines()[1:]]
    assert [
        promise for promise in map(str, search_checks()) if any(line.startswith(promise) for line in listed)
    ] == broken


def test_a_search_that_keeps_them_passes() -> None:
    check_search(Five)
