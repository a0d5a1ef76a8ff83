"""Reliability, risk by coverage, and the loss at the best temperature, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensembles.calibration.reliability import Bin, nll_at_best_temperature, reliability, risk_coverage
from ensembles.calibration.temperature import Temperature
from ensembles.metrics.scores import expected_calibration_error, log_loss

# Confidences 0.6 0.7 0.7 1.0, of which the second and the last are right.
PROBABILITIES = np.array([[0.6, 0.4], [0.3, 0.7], [0.7, 0.3], [0.0, 1.0]])
LABELS = np.array([1, 1, 1, 1])


def test_bins_by_hand() -> None:
    found = reliability(PROBABILITIES, LABELS, bins=5)
    assert [one.images for one in found] == [0, 0, 1, 2, 1]  # 0.6 ends the third bin, and is in it
    assert found[0] == Bin(0.0, 0.2, 0, 0.0, 0.0)
    assert (found[2].confidence, found[2].accuracy) == pytest.approx((0.6, 0))
    assert (found[3].confidence, found[3].accuracy) == pytest.approx((0.7, 0.5))
    assert (found[4].low, found[4].high) == pytest.approx((0.8, 1))
    assert (found[4].confidence, found[4].accuracy) == (1, 1)


def test_the_class_that_won_a_tie_may_be_given() -> None:
    tied, labels = np.array([[0.5, 0.5]]), np.array([1])
    assert reliability(tied, labels, bins=2)[0].accuracy == 0
    assert reliability(tied, labels, bins=2, predicted=np.array([1]))[0].accuracy == 1
    assert risk_coverage(tied, labels, predicted=np.array([1])) == ((1.0, 0.0),)


@given(st.integers(1, 60), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_gaps_of_the_bins_are_the_calibration_error(images: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(classes, 0.3), images)
    table[::4] = 1 / classes
    labels = rng.integers(0, classes, images)
    found = reliability(table, labels)
    assert len(found) == 15
    assert sum(one.images for one in found) == images
    gaps = sum(one.images * abs(one.confidence - one.accuracy) for one in found) / images
    right = table.argmax(1) == labels
    assert gaps == pytest.approx(expected_calibration_error(table.max(1), right), abs=1e-12)
    assert sum(one.images * one.accuracy for one in found) == pytest.approx(right.sum())


def test_risk_by_coverage_by_hand() -> None:
    # 1.0 is right; of the two at 0.7 one is wrong, so either makes half an error; 0.6 is wrong.
    found = risk_coverage(PROBABILITIES, LABELS)
    np.testing.assert_allclose(found, [(0.25, 0), (0.5, 0.25), (0.75, 1 / 3), (1, 0.5)])


def test_many_images_give_evenly_spread_points_from_one_image_to_all() -> None:
    rng = np.random.default_rng(0)
    confidence = np.sort(rng.uniform(0.5, 1, 5000))[::-1]
    wrong = rng.random(5000) < 1 - confidence
    found = risk_coverage(np.stack([confidence, 1 - confidence], 1), wrong.astype(np.int64))
    share, risk = np.array(found).T
    assert len(found) == 101
    assert (share[0], share[-1]) == (1 / 5000, 1)
    assert np.abs(np.diff(share) - 0.01).max() < 3e-4
    counts = (share * 5000).round().astype(int)
    np.testing.assert_allclose(risk, np.cumsum(wrong)[counts - 1] / counts)
    assert risk[-1] == wrong.mean() > 2 * risk[20]


def test_images_in_another_order_give_the_same_curve() -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(1, 4, (200, 3)) / 9  # many of equal confidence
    table[:, 2] = 1 - table[:, :2].sum(1)
    labels, order = rng.integers(0, 3, 200), rng.permutation(200)
    np.testing.assert_allclose(risk_coverage(table, labels), risk_coverage(table[order], labels[order]), rtol=1e-12)


def test_the_loss_at_the_best_temperature_by_hand() -> None:
    # Says 0.9 and is right in 3 of 4: at temperature 2 it says 0.75, whose loss is the entropy of that.
    probabilities, labels = np.tile([0.9, 0.1], (40, 1)), np.arange(40) % 4 // 3
    loss, temperature = nll_at_best_temperature(probabilities, labels)
    assert temperature == pytest.approx(2, rel=1e-6)
    assert loss == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25), rel=1e-9)


# Made sharper than to the second power, the least probabilities would meet the floor of 1e-12 and be lost.
@given(st.floats(0.5, 3), st.integers(0, 2**32 - 1))
def test_another_temperature_beforehand_does_not_change_the_loss_at_the_best(before: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table, labels = rng.dirichlet(np.ones(4), 200), rng.integers(0, 4, 200)
    truth = rng.random(200) < 0.7
    labels[truth] = table[truth].argmax(1)
    loss, temperature = nll_at_best_temperature(table, labels)
    again, other = nll_at_best_temperature(Temperature(before).apply(table), labels)
    assert again == pytest.approx(loss, rel=1e-5)
    assert other * before == pytest.approx(temperature, rel=1e-3)
    assert loss <= log_loss(table, labels) + 1e-12
