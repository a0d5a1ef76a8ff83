"""Intervals and tests of images that come in groups: whole groups are the evidence."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from ensembles.metrics.intervals import (
    accuracy_interval,
    count_effective,
    mcnemar_p,
    paired_bootstrap,
    wilson_interval,
)


def test_groups_of_one_image_change_nothing_of_the_test() -> None:
    after, before = np.array([1, 1, 1, 1, 0, 1, 1], bool), np.array([0, 0, 0, 1, 1, 0, 1], bool)
    assert mcnemar_p(after, before, np.arange(7)) == pytest.approx(mcnemar_p(after, before), abs=1e-12)


def test_the_test_of_groups_counts_all_signs() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), [3, 2, 4, 1, 2, 3])
    after, before = rng.random(15) < 0.8, rng.random(15) < 0.5
    gains = np.bincount(groups, weights=after.astype(int) - before)
    sums = [abs(np.dot(signs, gains)) for signs in product((-1, 1), repeat=6)]
    assert mcnemar_p(after, before, groups) == pytest.approx(np.mean([total >= abs(gains.sum()) for total in sums]))


def test_ten_copies_of_an_image_are_one_image() -> None:
    after, before = np.array([1, 1, 1, 0, 1, 1], bool), np.array([0, 0, 0, 0, 1, 0], bool)
    ten = [np.repeat(right, 10) for right in (after, before)]
    groups = np.repeat(np.arange(6), 10)
    assert mcnemar_p(*ten, groups) == pytest.approx(mcnemar_p(after, before))  # 4 gained, none lost: 1/8
    assert mcnemar_p(*ten, groups) == pytest.approx(0.125)
    assert mcnemar_p(*ten) < 1e-10
    assert count_effective(np.repeat(after, 10).astype(float), groups) == pytest.approx(
        5
    )  # 6 groups, less one for the mean
    assert accuracy_interval(np.repeat(after, 10), groups) == pytest.approx(wilson_interval(5 / 6 * 5, 5))


def test_images_without_groups_count_all() -> None:
    right = np.array([True] * 9 + [False])
    assert count_effective(right.astype(float), None) == 10
    assert accuracy_interval(right) == wilson_interval(9, 10)


def test_where_all_are_right_each_group_counts_once() -> None:
    assert count_effective(np.ones(20), np.repeat(np.arange(4), 5)) == 4


def test_a_bootstrap_of_groups_is_wider_where_groups_are_right_as_a_whole() -> None:
    rng = np.random.default_rng(1)
    whole = np.repeat(rng.random(40) < 0.7, 10)
    groups = np.repeat(np.arange(40), 10)
    before = np.zeros(400, bool)
    alone, together = paired_bootstrap(whole, before, 0), paired_bootstrap(whole, before, 0, groups=groups)
    assert 2.5 < (together[1] - together[0]) / (alone[1] - alone[0]) < 4  # the square root of 10


def test_intervals_of_groups_cover_the_truth_where_those_of_images_do_not() -> None:
    rng = np.random.default_rng(2)
    covered = np.zeros(2)
    for _ in range(400):
        chance = np.repeat(
            rng.beta(2, 1, 60), 8
        )  # each of 60 objects is easier or harder: right on two thirds of the images
        right, groups = rng.random(480) < chance, np.repeat(np.arange(60), 8)
        for at, (low, high) in enumerate((accuracy_interval(right), accuracy_interval(right, groups))):
            covered[at] += low <= 2 / 3 <= high
    assert covered[0] / 400 < 0.88
    assert 0.92 < covered[1] / 400 < 0.98
