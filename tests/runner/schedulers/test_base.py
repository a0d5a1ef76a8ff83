"""What holds for every scheduler, seen through a small caller that does what a run does with one."""

import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.schedulers.asha import Asha
from runner.schedulers.asha_promote import PromotingAsha
from runner.schedulers.base import Scheduler, Unscheduled
from runner.schedulers.hyperband import HyperBand
from runner.schedulers.median import MedianStopping

LAST = 9

MAKE = {
    "none": Unscheduled,
    "asha": lambda: Asha(LAST, 3, 1),
    "asha with brackets": lambda: Asha(LAST, 2, 1, brackets=3, seed=1),
    "asha-promote": lambda: PromotingAsha(LAST, 3, 1),
    "asha-promote by halves": lambda: PromotingAsha(LAST, 2, 2),
    "hyperband": lambda: HyperBand(LAST, 3, 1),
    "hyperband by halves": lambda: HyperBand(LAST, 2, 1),
    "median": lambda: MedianStopping(2, 3),
}
STOPPING = [name for name in MAKE if name != "none"]
PAUSING = [name for name in MAKE if "promote" in name or "hyperband" in name]


def every(names):
    return pytest.mark.parametrize("make", [MAKE[name] for name in names], ids=names)


class Caller:
    """Runs trials with known accuracies, one an epoch; one whose accuracies run out fails. `calls` are on record."""

    def __init__(self, make, curves, slots=2, order=(), planned_at_a_time=1, replaced_at=()):
        self.make, self.curves, self.slots = make, curves, slots
        self.order, self.replaced_at = iter(order), set(replaced_at)
        self.planned_at_a_time = planned_at_a_time
        self.scheduler: Scheduler = make()
        self.calls, self.decisions = [], []
        self.unplanned = list(curves)
        self.queue, self.running = [], []
        self.begun, self.state = set(), {}
        self.epochs = dict.fromkeys(curves, 0)
        self.turns = 0

    def call(self, *call):
        self.calls.append(call)
        getattr(self.scheduler, call[0])(*call[1:])

    def ask(self, query, *arguments):
        answer = getattr(self.scheduler, query)(*arguments)
        assert getattr(self.scheduler, query)(*arguments) == answer, "a query changed something"
        return answer

    def replace(self):
        """As a driver that was killed: what is not on record is gone."""
        former, self.scheduler = self.scheduler, self.make()
        for call in self.calls:
            getattr(self.scheduler, call[0])(*call[1:])
        return former

    def run(self, cap=math.inf):
        """Until nothing is left to do, with no more than `cap` trials begun."""
        while True:
            while len(self.running) < self.slots and self.fill(cap):
                pass
            if not self.running:
                return self
            self.turns += 1
            if self.turns in self.replaced_at:
                self.replace()
            self.train(self.running[next(self.order, 0) % len(self.running)])
            self.resolve_paused()

    def fill(self, cap):
        """Something for a free slot; whether there is any."""
        if self.queue:
            name = self.queue.pop(0)
            if name in self.begun or len(self.begun) < cap:
                self.begun.add(name)
                self.running.append(name)
            return True
        if self.promote():
            return True
        if self.unplanned:
            for name in self.unplanned[: self.planned_at_a_time]:
                self.call("add", name)
                self.queue.append(name)
            del self.unplanned[: self.planned_at_a_time]
            return True
        if self.running:
            return False
        self.scheduler.close()
        return self.promote() or self.resolve_paused()

    def promote(self):
        promoted = self.ask("promote")
        if promoted:
            assert self.state[promoted[0]] == "paused"
            self.decide("resume", promoted[0], "promoted", promoted[1])
            self.queue.append(promoted[0])
        return promoted is not None

    def resolve_paused(self):
        pruned = self.ask("resolve_paused")
        for name, reason in pruned:
            assert self.state[name] == "paused"
            self.decide("end", name, "pruned", reason)
        return bool(pruned)

    def train(self, name):
        if self.epochs[name] == len(self.curves[name]):
            self.running.remove(name)
            self.decide("end", name, "failed", "")
            return
        self.epochs[name] += 1
        self.call("record", name, self.epochs[name], self.curves[name][self.epochs[name] - 1])
        decision = self.ask("decide", name)
        if self.epochs[name] == LAST:
            self.running.remove(name)
            self.decide("end", name, "finished", "")
        elif decision:
            self.running.remove(name)
            self.decide("pause" if decision.state == "paused" else "end", name, decision.state, decision.reason)

    def decide(self, call, name, state, reason):
        self.state[name] = state
        self.decisions.append((name, self.epochs[name], state, reason))
        self.call(call, name)

    def who(self, state):
        return [name for name, its in self.state.items() if its == state]


def level(values):
    """Trials whose accuracy is the same at all epochs."""
    return {f"t{number}": [value] * LAST for number, value in enumerate(values)}


accuracy = st.integers(0, 8).map(lambda eighths: eighths / 8)
full = st.lists(accuracy, min_size=LAST, max_size=LAST)
cut_short = st.lists(accuracy, max_size=LAST - 1)
turned_nan = st.integers(0, LAST - 1).map(lambda good: [0.75] * good + [math.nan] * (LAST - good))
sweeps = st.lists(full | cut_short | turned_nan, min_size=1, max_size=30).map(
    lambda curves: {f"t{number}": curve for number, curve in enumerate(curves)}
)
orders = st.lists(st.integers(0, 7), max_size=80)


@every(MAKE)
@settings(max_examples=40, deadline=None)
@given(sweeps, orders, st.integers(1, 6), st.integers(1, 30), st.lists(st.integers(1, 150), max_size=4))
def test_a_driver_that_is_replaced_decides_as_if_it_had_not_been(make, curves, order, slots, planned, replaced_at):
    undisturbed = Caller(make, curves, slots, order, planned).run()
    assert Caller(make, curves, slots, order, planned, replaced_at).run().decisions == undisturbed.decisions


@every(MAKE)
@settings(max_examples=25, deadline=None)
@given(sweeps, orders, st.integers(1, 6))
def test_the_same_calls_lead_to_the_same_answers(make, curves, order, slots):
    caller = Caller(make, curves, slots, order).run()
    first, second = make(), make()
    added = []
    for call in caller.calls:
        for scheduler in (first, second):
            getattr(scheduler, call[0])(*call[1:])
        added += [call[1]] if call[0] == "add" else []
        assert [first.decide(name) for name in added] == [second.decide(name) for name in added]
        assert (first.promote(), first.resolve_paused()) == (second.promote(), second.resolve_paused())


@every(MAKE)
@settings(max_examples=40, deadline=None)
@given(sweeps, orders, st.integers(1, 6), st.integers(1, 30), st.integers(0, 30))
def test_every_trial_comes_to_an_end_also_where_the_budget_grew_in_between(make, curves, order, slots, planned, cap):
    caller = Caller(make, curves, slots, order, planned).run(cap)
    assert set(caller.state.values()) <= {"pruned", "finished", "failed"}
    caller.replace()
    caller.unplanned = []
    caller.queue = [name for name in curves if name not in caller.begun]
    caller.run()
    assert set(caller.state) == set(curves)
    assert set(caller.state.values()) <= {"pruned", "finished", "failed"}


@every(MAKE)
@settings(max_examples=25, deadline=None)
@given(st.permutations([place / 20 for place in range(20)]), orders, st.integers(1, 6))
def test_the_best_at_every_rung_trains_to_its_end(make, accuracies, order, slots):
    caller = Caller(make, level(accuracies), slots, order).run()
    assert caller.state[f"t{accuracies.index(0.95)}"] == "finished"


@every(MAKE)
@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 24])
def test_trials_that_are_all_equal_come_to_an_end_and_the_first_is_promoted(make, count):
    caller = Caller(make, level([0.1] * count), slots=3).run()
    assert caller.state["t0"] == "finished"
    assert set(caller.state.values()) <= {"pruned", "finished"}
    if make not in [MAKE[name] for name in PAUSING]:
        assert caller.who("finished") == list(caller.state)


@every(STOPPING)
def test_the_first_trial_is_not_immortal(make):
    curves = level([0.1, *(0.5 + place / 100 for place in range(15))])
    round_robin = [turn for _ in range(200) for turn in range(16)]
    caller = Caller(make, curves, slots=16, order=round_robin, planned_at_a_time=16).run()
    assert caller.state["t0"] == "pruned"


@every(STOPPING)
def test_an_accuracy_that_is_no_number_is_pruned_and_never_promoted(make):
    curves = level([math.nan, 0.1, 0.2, 0.3])
    for slots in (1, 4):
        decisions = [decision for decision in Caller(make, curves, slots).run().decisions if decision[0] == "t0"]
        assert len(decisions) == 1
        _, epoch, state, reason = decisions[0]
        assert state == "pruned"
        assert epoch <= 4
        assert reason.endswith("is not a number")


@every(PAUSING)
def test_trials_added_after_a_close_are_scheduled_as_well(make):
    caller = Caller(make, level([0.3, 0.2, 0.1, 0.4, 0.5])).run()
    more = {f"u{number}": [0.6 + number / 100] * LAST for number in range(12)}
    caller.curves.update(more)
    caller.epochs.update(dict.fromkeys(more, 0))
    caller.unplanned = list(more)
    caller.run()
    assert set(caller.state) == set(caller.curves)
    assert caller.state["u11"] == "finished"
    assert set(caller.state.values()) <= {"pruned", "finished"}


@every(MAKE)
def test_a_call_costs_the_same_however_many_trials_there_are(make):
    """Counted in lines of Python carried out; what bisect and a list's insert do below that is not seen."""

    def lines_per_turn(trials, measured=300):
        caller = Caller(make, {f"t{number}": [(number * 7919 % 10007) / 10007] * LAST for number in range(trials)}, 4)
        lines = 0

        def count(frame, event, argument):
            nonlocal lines
            if "schedulers" not in frame.f_code.co_filename or "tests" in frame.f_code.co_filename:
                return None
            lines += event == "line"
            return count

        former = sys.gettrace()
        for turn in range(LAST * trials):
            while len(caller.running) < caller.slots and (caller.queue or caller.unplanned or caller.ask("promote")):
                caller.fill(math.inf)
            if len(caller.unplanned) < measured and not former and sys.gettrace() is None:
                first = turn
                sys.settrace(count)
            if not caller.unplanned:
                break
            caller.train(caller.running[0])
            caller.resolve_paused()
        sys.settrace(former)
        return lines / (turn - first)

    assert lines_per_turn(8000) < 1.6 * lines_per_turn(800)
