import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ray.tune.schedulers.async_hyperband import _Bracket

from runner.schedulers.rung import Rung, rung_epochs


def rung_of(accuracies):
    rung = Rung("rung 1")
    for number, accuracy in enumerate(accuracies):
        rung.add(f"t{number}", accuracy)
    return rung


@pytest.mark.parametrize(
    ("accuracies", "reduction", "cutoff"),
    [
        ([0.5], 3, 0.5),
        ([0.5, 0.4], 2, 0.45),
        ([0.4, 0.5, 0.6], 3, 0.5 + 0.1 / 3),
        ([0.6, 0.4, 0.53, 0.5], 3, 0.53),  # position 3 / 3 from the top: the second best itself
        ([0.4, 0.5, 0.53, 0.55, 0.6], 3, 0.53 + 0.02 * 2 / 3),
    ],
)
def test_the_cut_off_lies_between_neighbours(accuracies, reduction, cutoff):
    assert rung_of(accuracies).cutoff(reduction) == pytest.approx(cutoff, abs=1e-15)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1) | st.just(math.nan), min_size=1, max_size=60), st.integers(2, 9))
@example([math.nan, 0.3, math.nan], 3)
def test_the_cut_off_is_the_percentile_of_numpy_and_of_ray(accuracies, reduction):
    mine = rung_of(accuracies).cutoff(reduction)
    if all(map(math.isnan, accuracies)):
        assert mine is None
        return
    assert mine == pytest.approx(np.nanpercentile(accuracies, (1 - 1 / reduction) * 100), rel=0, abs=1e-12)
    theirs = _Bracket(1, 81, reduction, 0).cutoff(dict(enumerate(accuracies)))
    assert mine == pytest.approx(theirs, rel=0, abs=1e-12)


def test_an_accuracy_that_is_no_number_ranks_last_and_leaves_the_cut_off_alone():
    rung = rung_of([0.5, math.nan, 0.7, -math.inf, 0.6])
    assert [rung.rank(f"t{number}") for number in range(5)] == [3, 4, 1, 4, 2]
    assert rung.cutoff(2) == rung_of([0.5, 0.7, 0.6]).cutoff(2) == 0.6
    assert [rung.passes(f"t{number}", 2) for number in range(5)] == [False, False, True, False, True]
    assert rung.describe("t1") == "rung 1, rank 4 of 5: its validation accuracy is not a number"
    assert rung.describe("t4") == "rung 1, rank 2 of 5"


def test_a_lone_accuracy_that_is_no_number_does_not_pass():
    rung = rung_of([math.nan])
    assert not rung.passes("t0", 3)
    assert not rung.is_among_best("t0", 1)


def test_equals_share_a_rank_and_the_first_to_come_is_among_the_best():
    rung = rung_of([0.5, 0.9, 0.9, 0.9])
    assert [rung.rank(f"t{number}") for number in range(4)] == [4, 1, 1, 1]
    assert [rung.is_among_best(f"t{number}", 2) for number in range(4)] == [False, True, True, False]
    assert list(rung.ranked()) == ["t1", "t2", "t3", "t0"]
    assert list(rung) == ["t0", "t1", "t2", "t3"]


@pytest.mark.parametrize(
    ("first", "reduction", "last", "epochs"),
    [(1, 3, 243, [1, 3, 9, 27, 81, 243]), (2, 10, 1999, [2, 20, 200]), (5, 2, 5, [5])],
)
def test_rungs_rise_by_the_reduction(first, reduction, last, epochs):
    assert rung_epochs(first, reduction, last) == epochs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1, 1, 9), "reduction is 1"), ((0, 3, 9), "first rung is epoch 0"), ((10, 3, 9), "max_epochs, which is 9")],
)
def test_rungs_that_would_not_end_or_not_begin_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        rung_epochs(*arguments)


def test_a_rung_knows_its_trials_and_the_keys_that_sort_them():
    rung = rung_of([0.5, math.nan, 0.7])
    assert ("t0" in rung, "t1" in rung, "t3" in rung) == (True, True, False)
    assert [rung.key(name) for name in rung] == [(-0.5, 0, "t0"), (math.inf, 1, "t1"), (-0.7, 2, "t2")]
    assert list(rung.ranked()) == ["t2", "t0"]
