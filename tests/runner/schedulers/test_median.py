import math
from statistics import mean, median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.schedulers.median import MedianStopping


def report(scheduler, trial_id, epoch, accuracy):
    scheduler.record(trial_id, epoch, accuracy)
    decision = scheduler.decide(trial_id)
    assert decision is None or decision.state == "pruned"
    return decision and decision.reason


def with_curves(scheduler, curves):
    for name, curve in curves.items():
        for epoch, accuracy in enumerate(curve, start=1):
            scheduler.record(name, epoch, accuracy)
    return scheduler


THREE = {"a": [0.2, 0.4], "b": [0.4, 0.6], "c": [0.6, 1.0]}  # running averages up to epoch 2: 0.3 0.5 0.8


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([0.1, 0.45], "pruned at epoch 2, best 45.0% below the median 50.0% of 3 trials"),
        ([0.1, 0.5], None),  # equal to the median
        ([0.55, 0.1], None),  # its best so far counts, not its newest
        ([0.1, 0.49999], "pruned at epoch 2, best 49.9990% below the median 50.0000% of 3 trials"),
    ],
)
def test_the_best_so_far_is_compared_to_the_median_of_the_running_averages(accuracies, expected):
    scheduler = with_curves(MedianStopping(grace_epochs=2), THREE)
    assert report(scheduler, "x", 1, accuracies[0]) is None
    assert report(scheduler, "x", 2, accuracies[1]) == expected


def test_an_even_number_of_others_has_its_median_in_between():
    scheduler = with_curves(MedianStopping(1), {"a": [0.2], "b": [0.4], "c": [0.6], "d": [0.9]})
    assert report(scheduler, "x", 1, 0.49) == "pruned at epoch 1, best 49.0% below the median 50.0% of 4 trials"


def test_nothing_is_pruned_before_the_grace_epochs_nor_with_too_few_others():
    scheduler = with_curves(MedianStopping(3, min_trials=4), {**THREE, "d": [0.9, 0.9, 0.9]})
    assert [report(scheduler, "x", epoch, 0.0) for epoch in (1, 2, 3, 4)] == [None] * 4


def test_others_that_stopped_earlier_do_not_count_at_a_later_epoch():
    scheduler = with_curves(MedianStopping(1), {**THREE, "d": [0.1, 0.1, 0.1]})
    assert report(scheduler, "d", 4, 0.9) is None  # best 0.9, above the median 0.5 at epoch 2
    assert len(scheduler._averages[3]) == 1


def test_who_is_first_at_each_epoch_is_compared_where_the_others_are():
    scheduler = MedianStopping(1)
    assert report(scheduler, "first", 1, 0.1) is None
    for name in "abc":
        assert report(scheduler, name, 1, 0.5) is None
    expected = "pruned at epoch 2, best 20.0% below the median 50.0% of 3 trials at epoch 1"
    assert report(scheduler, "first", 2, 0.2) == expected


def test_who_began_from_a_checkpoint_has_the_average_of_its_own_epochs():
    scheduler = with_curves(MedianStopping(1), THREE)
    assert report(scheduler, "child", 2, 0.4) == "pruned at epoch 2, best 40.0% below the median 50.0% of 3 trials"
    assert scheduler._averages[2] == pytest.approx([0.3, 0.4, 0.5, 0.8])
    late = with_curves(MedianStopping(1), THREE)
    assert report(late, "child", 3, 0.1) is None  # it was at no epoch where the others were


def test_a_trial_with_an_accuracy_that_is_no_number_is_pruned_and_no_other_compared_to_it():
    scheduler = with_curves(MedianStopping(2), THREE)
    assert report(scheduler, "x", 1, math.nan) is None
    assert report(scheduler, "x", 2, 0.9) == "pruned at epoch 2: a validation accuracy is not a number"
    assert scheduler._averages[2] == pytest.approx([0.3, 0.5, 0.8])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=4, max_size=12))
def test_it_decides_as_the_formula_written_out(curves):
    *others, mine = curves
    scheduler = with_curves(MedianStopping(1), {str(number): curve for number, curve in enumerate(others)})
    for epoch in (1, 2, 3, 4):
        scheduler.record("own", epoch, mine[epoch - 1])
        compared = median(mean(other[:epoch]) for other in others)
        assert (scheduler.decide("own") is not None) == (max(mine[:epoch]) < compared - 1e-9)


def test_trials_that_come_later_to_an_earlier_epoch_change_nothing():
    scheduler = with_curves(MedianStopping(1), {**THREE, "d": [0.8, 0.9], "x": [0.55, 0.5]})
    expected = "pruned at epoch 2, best 55.0% below the median 65.0% of 4 trials"
    assert scheduler.decide("x").reason == expected
    scheduler.record("late", 1, 0.0)
    assert scheduler.decide("x").reason == expected
