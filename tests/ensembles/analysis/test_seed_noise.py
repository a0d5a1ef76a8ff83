"""The noise of seeds by hand: two groups that vary, two of a single seed."""

from __future__ import annotations

import math

import pytest

from ensembles.analysis.seed_noise import SeedNoise, measure_noise
from tests.ensembles.samples import make_record
from trainables.results.record import TrialRecord


def group(*best: float) -> tuple[TrialRecord, ...]:
    """The last epoch is not the best one."""
    return tuple(make_record((value, value - 0.1), seed=seed) for seed, value in enumerate(best))


def measured(*groups: tuple[TrialRecord, ...]) -> SeedNoise:
    found = measure_noise(groups)
    assert found is not None
    return found


def test_the_deviation_is_pooled_within_groups() -> None:
    # Squares: 0.0002 in each group; 1 + 2 degrees of freedom. The 10 points between the groups do not count.
    found = measured(group(0.90, 0.92), group(0.80, 0.81, 0.82))
    assert found.degrees == 3
    assert found.sd == pytest.approx(math.sqrt(0.0004 / 3))


def test_groups_are_sorted_and_tied_as_far_as_the_noise_reaches() -> None:
    # t(3) is 3.182446, so t * s is 0.036748: times sqrt(1/2 + 1) for a single seed it reaches 0.0450 below 0.91.
    found = measured(group(0.80, 0.81, 0.82), group(0.88), group(0.90, 0.92), group(0.86))
    assert [each.mean for each in found.groups] == pytest.approx([0.91, 0.88, 0.86, 0.81])
    assert [each.tied for each in found.groups] == [True, True, False, False]
    assert [len(each.records) for each in found.groups] == [2, 1, 1, 3]


def test_groups_without_any_spread_are_tied_only_where_they_are_equal() -> None:
    found = measured(group(0.9, 0.9), group(0.9, 0.9), group(0.899, 0.899))
    assert found.sd == 0
    assert [each.tied for each in found.groups] == [True, True, False]


def test_trials_that_did_not_finish_are_left_out_and_counted() -> None:
    pruned = make_record((0.2,), "pruned", seed=7)
    found = measured((*group(0.90, 0.92), pruned), (make_record((), "failed"),))
    assert (found.degrees, found.left_out, len(found.groups)) == (1, 2, 1)
    assert found.sd == pytest.approx(math.sqrt(0.0002))


def test_without_a_second_seed_nothing_is_known() -> None:
    assert measure_noise([]) is None
    assert measure_noise([group(0.9), group(0.8)]) is None
    assert measure_noise([(*group(0.9), make_record((0.2,), "pruned", seed=1))]) is None
