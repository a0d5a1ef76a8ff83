"""Changes of images that are right before and after, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles.evaluation.comparison import Change, measure_change


@pytest.mark.parametrize(
    ("ci95", "p", "direction"),
    [
        ((0.001, 0.02), 0.049, "better"),
        ((0.001, 0.02), 0.05, "alike"),  # 4 gained, 0 lost: the interval lies above zero, p is 0.125
        ((0.0, 0.02), 0.01, "alike"),
        ((-0.02, -0.001), 0.049, "worse"),
        ((-0.02, -0.001), 0.05, "alike"),
        ((-0.02, 0.0), 0.001, "alike"),
        ((-0.02, 0.001), 0.001, "alike"),
    ],
)
def test_interval_and_test_have_to_agree(ci95: tuple[float, float], p: float, direction: str) -> None:
    assert Change(0.9, 0.9, 0.0, ci95, p).direction == direction


def test_ten_images_gained_and_none_lost_are_better_and_the_other_way_round_worse() -> None:
    wrong, right = np.zeros(10, bool), np.ones(10, bool)
    gained = measure_change(right, wrong)
    assert (gained.before, gained.after, gained.difference, gained.ci95) == (0.0, 1.0, 1.0, (1.0, 1.0))
    assert gained.mcnemar_p == pytest.approx(2 / 2**10)
    assert gained.direction == "better"
    lost = measure_change(wrong, right)
    assert (lost.before, lost.after, lost.difference, lost.ci95) == (1.0, 0.0, -1.0, (-1.0, -1.0))
    assert lost.direction == "worse"


def test_three_images_gained_of_four_may_be_luck() -> None:
    found = measure_change(np.array([True, True, True, True]), np.array([False, False, False, True]))
    assert (found.before, found.after, found.difference) == (0.25, 1.0, 0.75)
    assert found.ci95[0] > 0
    assert found.mcnemar_p == pytest.approx(0.25)  # twice the chance that three of three go one way
    assert found.direction == "alike"
