"""Metrics against tables made by hand, and against scikit-learn and scipy where they have the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from ensembles.metrics.intervals import mcnemar_p, paired_bootstrap, wilson_interval
from ensembles.metrics.scores import (
    accuracy,
    balanced_accuracy,
    brier,
    cost_of,
    expected_calibration_error,
    log_loss,
    macro_f1,
    mean_auc,
    measure,
)

PROBABILITIES = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5]])
LABELS = np.array([0, 1, 1])


def flags(right: int, wrong: int) -> np.ndarray:
    return np.array([True] * right + [False] * wrong)


def test_accuracy_is_the_share_that_is_right() -> None:
    assert accuracy(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])) == 0.75


def test_log_loss_by_hand() -> None:
    assert log_loss(PROBABILITIES, LABELS) == pytest.approx(-(math.log(0.5) + math.log(0.8) + math.log(0.25)) / 3)


def test_log_loss_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    probabilities, labels = rng.dirichlet(np.ones(7), 400), rng.integers(0, 7, 400)
    theirs = sklearn.metrics.log_loss(labels, probabilities, labels=list(range(7)))
    assert log_loss(probabilities, labels) == pytest.approx(theirs, rel=1e-12)


def test_zero_for_the_true_class_costs_27_6_nats_not_infinity() -> None:
    assert log_loss(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1, 0])) == pytest.approx(-math.log(1e-12) / 2)


def test_float32_probabilities_lose_nothing_more() -> None:
    assert log_loss(PROBABILITIES.astype(np.float32), LABELS) == pytest.approx(
        log_loss(PROBABILITIES, LABELS), rel=1e-7
    )


def test_calibration_error_by_hand() -> None:
    # Bin (9/15, 10/15]: two images at 0.65, one right: |0.65 - 0.5| x 2. Bin (13/15, 14/15]: two at 0.9, both right:
    # |0.9 - 1| x 2. Bin (14/15, 1]: one at 1.0, wrong: 1. Together (0.3 + 0.2 + 1) / 5.
    confidence = np.array([0.65, 0.65, 0.9, 0.9, 1.0])
    correct = np.array([True, False, True, True, False])
    assert expected_calibration_error(confidence, correct) == pytest.approx(0.3)


def test_surplus_and_lack_in_one_bin_cancel_and_in_two_bins_add() -> None:
    correct = np.array([True, False])
    assert expected_calibration_error(np.array([0.5, 0.5]), correct) == pytest.approx(0)
    assert expected_calibration_error(np.array([0.45, 0.55]), correct) == pytest.approx(0.55)


def test_a_bin_holds_its_upper_end() -> None:
    # 0.25 and 0.5 end the first two of four bins; were they to start the next, 0.5 would share a bin with 0.6.
    confidence, correct = np.array([0.5, 0.6]), np.array([True, False])
    assert expected_calibration_error(confidence, correct, bins=4) == pytest.approx((0.5 + 0.6) / 2)
    assert expected_calibration_error(np.array([0.0]), np.array([False]), bins=4) == 0


def test_calibration_error_is_that_of_the_plain_formula() -> None:
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.1, 1, 1000)
    correct = rng.random(1000) < confidence**2
    expected = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    assert expected_calibration_error(confidence, correct) == pytest.approx(expected)


@pytest.mark.parametrize(("correct", "images"), [(0, 10), (10, 10), (1, 1), (81, 263), (9170, 10_000)])
def test_the_wilson_interval_is_that_of_scipy(correct: int, images: int) -> None:
    theirs = scipy.stats.binomtest(correct, images).proportion_ci(0.95, method="wilson")
    assert wilson_interval(correct, images) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_the_wilson_interval_by_hand() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    low, high = wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_the_bootstrap_is_close_to_drawing_image_by_image() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random(500) < 0.8, rng.random(500) < 0.75
    theirs = scipy.stats.bootstrap(
        (a.astype(float) - b,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    low, high = paired_bootstrap(a, b, seed=0, resamples=4000)
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_the_bootstrap_pairs_images() -> None:
    # Equally right on the same images: no doubt at all, however far 50 % is from certain.
    same = flags(50, 50)
    assert paired_bootstrap(same, same, seed=0) == (0, 0)
    low, high = paired_bootstrap(same, same[::-1], seed=0)
    assert low < -0.15 < 0.15 < high


def test_the_bootstrap_is_the_same_for_the_same_seed_and_turns_with_its_arguments() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.random(300) < 0.9, rng.random(300) < 0.8
    assert paired_bootstrap(a, b, seed=7) == paired_bootstrap(a, b, seed=7)
    low, high = paired_bootstrap(a, b, seed=7)
    assert 0 < low < high
    assert paired_bootstrap(b, a, seed=7)[1] < 0


def test_one_image_won_is_no_gain_above_zero() -> None:
    assert paired_bootstrap(flags(91, 9), flags(90, 10), seed=0)[0] == 0


def test_mcnemar_by_hand() -> None:
    # Ten images on which one of both is right, nine of them won: 2 x (1 + 10) / 2^10.
    a = np.array([True] * 9 + [False] + [True] * 5)
    b = np.array([False] * 9 + [True] + [True] * 5)
    assert mcnemar_p(a, b) == pytest.approx(22 / 1024)
    assert mcnemar_p(b, a) == pytest.approx(22 / 1024)


@pytest.mark.parametrize(
    ("gained", "lost"), [(0, 1), (1, 4), (37, 12), (300, 280), (4000, 3600), (0, 900), (5000, 5000)]
)
def test_mcnemar_is_the_exact_test_of_scipy(gained: int, lost: int) -> None:
    a = np.array([True] * gained + [False] * lost)
    assert mcnemar_p(a, ~a) == pytest.approx(scipy.stats.binomtest(gained, gained + lost, 0.5).pvalue, rel=1e-9)


def test_mcnemar_sees_no_difference_where_there_is_none() -> None:
    assert mcnemar_p(flags(3, 2), flags(3, 2)) == 1
    assert mcnemar_p(np.array([True, False]), np.array([False, True])) == 1


def test_balanced_accuracy_and_macro_f1_by_hand() -> None:
    # Class 0: 2 of 3 right, class 1: 1 of 1; class 2 has no image, but is predicted once.
    predicted, labels = np.array([0, 0, 2, 1]), np.array([0, 0, 0, 1])
    assert balanced_accuracy(predicted, labels, 4) == pytest.approx((2 / 3 + 1) / 2)
    assert macro_f1(predicted, labels, 4) == pytest.approx((2 * 2 / (3 + 2) + 1 + 0) / 3)


def test_brier_and_auc_by_hand() -> None:
    # 0.5² + 0.25² + 0.25², then 0.1² + 0.2² + 0.1², then 0.25² + 0.75² + 0.5².
    assert brier(PROBABILITIES, LABELS) == pytest.approx((0.375 + 0.06 + 0.875) / 3)
    # Class 0: 0.5 is above 0.1 and 0.25: 1. Class 1: 0.8 is above 0.25, 0.25 is equal to it: 3/4. Class 2 has no image.
    assert mean_auc(PROBABILITIES, LABELS) == pytest.approx((1 + 0.75) / 2)


def test_without_two_classes_there_is_no_curve() -> None:
    assert mean_auc(PROBABILITIES, np.array([1, 1, 1])) == 0.5


@pytest.mark.parametrize("classes", [2, 7])
def test_all_metrics_are_those_of_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(2)
    probabilities, labels = rng.dirichlet(np.ones(classes), 300).round(2), rng.integers(0, classes, 300)
    probabilities /= probabilities.sum(1, keepdims=True)
    predicted, one_hot = probabilities.argmax(1), np.eye(classes)[labels]
    theirs = {
        "accuracy": sklearn.metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(labels, predicted),
        "macro_f1": sklearn.metrics.f1_score(labels, predicted, average="macro"),
        "auc": sklearn.metrics.roc_auc_score(one_hot, probabilities, average="macro"),
        "brier": np.mean(np.sum((probabilities - one_hot) ** 2, axis=1)),
        "log_loss": sklearn.metrics.log_loss(labels, np.maximum(probabilities, 1e-12)),
    }
    for metric, value in theirs.items():
        assert measure(metric, probabilities, labels) == pytest.approx(value, abs=1e-9)  # type: ignore[arg-type]


def test_costs_are_low_where_scores_are_good() -> None:
    assert (cost_of("accuracy", 0.9), cost_of("log_loss", 0.3), cost_of("brier", 0.1)) == (-0.9, 0.3, 0.1)
