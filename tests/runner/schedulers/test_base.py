"""What holds for every scheduler: the contract suite, its properties over more situations, and what is particular to ours."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.schedulers.asha import Asha
from runner.schedulers.asha_promote import PromotingAsha
from runner.schedulers.base import Unscheduled
from runner.schedulers.hyperband import HyperBand
from runner.schedulers.median import MedianStopping
from runner.testing.scheduler_run import SchedulerRun, Situation, level
from runner.testing.schedulers import compare_answers, compare_with_replaced, expect_ends, scheduler_checks

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
    return pytest.mark.parametrize("make", [MAKE[name] for name in names], ids=list(names))


accuracy = st.integers(0, 8).map(lambda eighths: eighths / 8)
full = st.lists(accuracy, min_size=LAST, max_size=LAST)
cut_short = st.lists(accuracy, max_size=LAST - 1)
turned_nan = st.integers(0, LAST - 1).map(lambda good: [0.75] * good + [math.nan] * (LAST - good))
sweeps = st.lists(full | cut_short | turned_nan, min_size=1, max_size=30).map(
    lambda curves: {f"t{number}": curve for number, curve in enumerate(curves)}
)
orders = st.lists(st.integers(0, 7), max_size=80)
slots = st.integers(1, 6)
replacements = st.lists(st.integers(1, 150), max_size=4)
situations = st.builds(Situation, sweeps, slots, orders, st.integers(1, 30), replacements)


@every(STOPPING)
@pytest.mark.parametrize("check", scheduler_checks(LAST, prunes=True), ids=str)
def test_it_keeps_the_promises_of_a_scheduler(make, check):
    check(make)


@pytest.mark.parametrize("check", scheduler_checks(LAST), ids=str)
def test_where_nothing_is_scheduled_the_promises_are_kept_too(check):
    check(Unscheduled)


@every(MAKE)
@settings(max_examples=40, deadline=None)
@given(situations)
def test_a_driver_that_is_replaced_decides_as_if_it_had_not_been(make, situation):
    compare_with_replaced(make, situation, LAST)


@every(MAKE)
@settings(max_examples=25, deadline=None)
@given(situations)
def test_the_same_calls_lead_to_the_same_answers(make, situation):
    compare_answers(make, situation, LAST)


@every(MAKE)
@settings(max_examples=25, deadline=None)
@given(sweeps, orders, slots)
def test_ours_may_be_asked_about_any_trial_at_any_time(make, curves, order, slots):
    first, second, added = make(), make(), []
    for method, *arguments in SchedulerRun(make, Situation(curves, slots, order), LAST).run().calls:
        for scheduler in (first, second):
            getattr(scheduler, method)(*arguments)
        added += arguments if method == "add" else []
        assert [first.decide(name) for name in added] == [second.decide(name) for name in added]


@every(MAKE)
@settings(max_examples=40, deadline=None)
@given(situations, st.integers(0, 30))
def test_every_trial_comes_to_an_end_also_where_the_budget_grew_in_between(make, situation, cap):
    expect_ends(make, situation, LAST, cap)


@every(STOPPING)
@settings(max_examples=25, deadline=None)
@given(st.permutations([place / 20 for place in range(20)]), orders, slots)
def test_the_best_at_every_rung_trains_to_its_end(make, accuracies, order, slots):
    run = SchedulerRun(make, Situation(level(accuracies, LAST), slots, order), LAST).run()
    assert run.state[f"t{accuracies.index(0.95)}"] == "finished"


@settings(deadline=None)
@given(sweeps, orders, slots)
def test_where_nothing_is_scheduled_every_trial_that_does_not_fail_trains_to_its_last_epoch(curves, order, slots):
    run = SchedulerRun(Unscheduled, Situation(curves, slots, order), LAST).run()
    assert run.state == {name: "finished" if len(curve) == LAST else "failed" for name, curve in curves.items()}


@every([name for name in MAKE if name not in PAUSING])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 24])
def test_where_nothing_pauses_trials_that_are_all_equal_all_finish(make, count):
    run = SchedulerRun(make, Situation(level([0.1] * count, LAST), slots=3), LAST).run()
    assert run.those("finished") == list(run.state)


@every(STOPPING)
@pytest.mark.parametrize("slots", [1, 4])
def test_an_accuracy_that_is_no_number_is_pruned_soon_and_the_reason_says_so(make, slots):
    run = SchedulerRun(make, Situation(level([math.nan, 0.1, 0.2, 0.3], LAST), slots), LAST).run()
    (change,) = (change for change in run.changes if change.trial_id == "t0")
    assert change.epoch <= 4
    assert change.reason.endswith("is not a number")
