"""Every calibration by hand and against scikit-learn, and what must hold of all of them."""

from __future__ import annotations

import json
import math
from unittest.mock import patch

import numpy as np
import pytest
import scipy.optimize
import sklearn.isotonic
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ensembles.calibration.calibrate import calibrate, cross_fit, fit_calibration, read_calibrator, split_folds
from ensembles.calibration.isotonic import Isotonic, fit_isotonic
from ensembles.calibration.temperature import HOTTEST, Temperature, fit_temperature
from ensembles.calibration.vector import VectorScale, fit_vector
from ensembles.config import Calibration
from ensembles.metrics.logits import log_floored, log_softmax, softmax
from ensembles.metrics.scores import accuracy, expected_calibration_error, log_loss
from ensembles.voting.vote import VOTES, Ballot, fit_voter, vote
from tests.ensembles.samples import make_pool, make_team
from trainables.errors import DamagedObject, MismatchedPredictions
from trainables.plugins.kinds import CALIBRATION

KINDS: tuple[Calibration, ...] = CALIBRATION.names


def draw(images: int, classes: int, temperature: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels that are drawn from them at `temperature`: the one that calibrates them."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(images, classes))
    honest = softmax(logits / temperature)
    labels = (honest.cumsum(1) < rng.random((images, 1))).sum(1).clip(max=classes - 1)
    return softmax(logits), labels


def ece(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return expected_calibration_error(probabilities.max(1), probabilities.argmax(1) == labels)


def test_a_temperature_is_a_power() -> None:
    # Roots of 0.9 and 0.1 are as 3 to 1; squares of 0.75 and 0.25 as 9 to 1.
    np.testing.assert_allclose(Temperature(2.0).apply(np.array([[0.9, 0.1]])), [[0.75, 0.25]], rtol=1e-12)
    np.testing.assert_allclose(Temperature(0.5).apply(np.array([[0.75, 0.25]])), [[0.9, 0.1]], rtol=1e-12)


def test_the_temperature_by_hand() -> None:
    # All images say 0.9, and 3 of 4 are right: the power that makes 0.75 of 0.9 is 1/2. Nothing pulls without a ridge.
    probabilities, labels = np.tile([0.9, 0.1], (400, 1)), np.arange(400) % 4 // 3
    assert fit_temperature(probabilities, labels, ridge=0).temperature == pytest.approx(2, rel=1e-9)
    assert fit_temperature(probabilities, labels).temperature == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_the_labels_were_drawn_with_is_found(temperature) -> None:
    assert fit_temperature(*draw(20_000, 6, temperature)).temperature == pytest.approx(temperature, rel=0.05)


def test_no_temperature_has_a_lower_loss() -> None:
    probabilities, labels = draw(500, 4, 1.7)
    best = fit_temperature(probabilities, labels, ridge=0)
    least = log_loss(best.apply(probabilities), labels)
    for factor in (0.9, 0.99, 1.01, 1.1):
        assert log_loss(Temperature(factor * best.temperature).apply(probabilities), labels) > least


def test_a_vote_that_is_always_right_is_not_made_infinitely_sure() -> None:
    # With b for 1 / temperature the 50 images gain 50 ln 9 / (1 + 9^b) by a larger one, which costs 1 - 1 / b.
    probabilities = np.tile([0.9, 0.1], (50, 1))
    found = fit_temperature(probabilities, np.zeros(50, np.int64))
    slope = 50 * math.log(9) / (1 + 9 ** (1 / found.temperature))
    assert slope == pytest.approx(1 - found.temperature, rel=1e-6)
    assert 0.3 < found.temperature < 0.6
    assert fit_temperature(probabilities, np.zeros(50, np.int64), ridge=0).temperature < 0.1


def test_a_vote_that_knows_nothing_is_made_flat() -> None:
    probabilities = np.tile([0.9, 0.1], (100, 1))
    assert fit_temperature(probabilities, np.arange(100) % 2, ridge=0).temperature == HOTTEST
    assert fit_temperature(probabilities, np.arange(100) % 2).temperature > 10


def test_one_hot_probabilities_become_the_share_that_is_right() -> None:
    labels = np.arange(1000) % 3
    probabilities = np.eye(3)[np.where(np.arange(1000) < 900, labels, (labels + 1) % 3)]
    for kind in ("temperature", "vector"):
        found = fit_calibration(kind, probabilities, labels).apply(probabilities)
        assert found.max(1).mean() == pytest.approx(0.9, abs=0.02)


@given(st.integers(2, 6), st.integers(0, 2**32 - 1), st.floats(-4, 4))
def test_a_temperature_never_changes_the_predicted_class(classes: int, seed: int, power: float) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.2), 40)
    probabilities[:20, 1] = np.nextafter(probabilities[:20, 0], 1)  # ahead by the least there is
    probabilities[20:30] = np.eye(classes)[rng.integers(0, classes, 10)]
    found = Temperature(float(10**power)).apply(probabilities)
    np.testing.assert_array_equal(found.argmax(1), probabilities.argmax(1))


def test_a_vote_that_is_hardly_sure_and_always_right_becomes_sure_also_beside_an_impossible_class() -> None:
    # 10,000 times 0.55 against 0.45: at sharpness s the loss falls by a log-odds of 0.2 x 10,000 / (1 + exp(0.2 s)), and the prior
    # costs 1 - 1 / s. Zeros count as 1e-12, of which the power of s is beyond what a float holds.
    odds = math.log(0.55 / 0.45)
    sharpness = scipy.optimize.brentq(lambda s: 1e4 * odds / (1 + math.exp(odds * s)) - 1 + 1 / s, 1, 99)
    assert sharpness > 30
    probabilities = np.tile([0.55, 0.45, 0.0], (10_000, 1))
    found = fit_calibration("temperature", probabilities, np.zeros(10_000, np.int64)).apply(probabilities[:1])
    np.testing.assert_allclose(
        found, [[1 - 1 / (1 + math.exp(odds * sharpness)), 1 / (1 + math.exp(odds * sharpness)), 0]], atol=1e-9
    )


def test_vector_scaling_by_hand() -> None:
    # Scales of 1/2 and 1, a bias of log 2 on the second: the root of 0.81 against twice 0.19.
    found = VectorScale((0.5, 1.0), (0.0, math.log(2))).apply(np.array([[0.81, 0.19]]))
    np.testing.assert_allclose(found, [[0.9 / 1.28, 0.38 / 1.28]], rtol=1e-12)


def test_vector_scaling_of_two_classes_is_logistic_regression_on_both_logarithms() -> None:
    probabilities, labels = draw(4000, 2, 1.6)
    found = fit_vector(probabilities, labels, ridge=1e-7).apply(probabilities)
    logs = np.log(probabilities)
    theirs = LogisticRegression(C=1e8, tol=1e-10, max_iter=10_000).fit(logs, labels).predict_proba(logs)
    np.testing.assert_allclose(found, theirs, atol=1e-5)


def test_vector_scaling_is_the_least_of_the_plain_formula() -> None:
    probabilities, labels = draw(300, 3, 1.6)
    sharpness = 1 / fit_temperature(probabilities, labels).temperature
    logs = sharpness * log_floored(probabilities)

    def cost(at: np.ndarray) -> float:
        logs_of_classes = log_softmax(logs * at[:3] + at[3:])
        return -logs_of_classes[np.arange(300), labels].sum() + 5 * ((at[:3] - 1) ** 2).sum() + 5 * (at[3:] ** 2).sum()

    best = scipy.optimize.minimize(cost, np.zeros(6), method="BFGS", options={"gtol": 1e-5})
    found = fit_vector(probabilities, labels)
    np.testing.assert_allclose([*found.scale, *found.bias], best.x * np.repeat([sharpness, 1], 3), atol=1e-4)


def test_vector_scaling_gives_a_neglected_class_its_share() -> None:
    probabilities, labels = draw(5000, 3)
    shy = probabilities * [1, 1, 0.2]
    shy /= shy.sum(1, keepdims=True)
    found = fit_vector(shy, labels)
    assert found.bias[2] - found.bias[0] == pytest.approx(math.log(5), abs=0.2)
    np.testing.assert_allclose(found.apply(shy).mean(0), np.bincount(labels) / 5000, atol=5e-3)


def test_an_isotonic_curve_by_hand() -> None:
    # Class 1 at 0.2 0.4 0.6 0.8 is true in 0 1 0 1: the middle two are pooled to 1/2. With four images the least share is
    # 1/6 and the highest 5/6; class 0 is the mirror image, so that sums are one. Halfway between knots is halfway.
    given = np.array([0.2, 0.4, 0.6, 0.8])
    curve = fit_isotonic(np.stack([1 - given, given], 1), np.array([0, 1, 0, 1]))
    seen = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9])
    found = curve.apply(np.stack([1 - seen, seen], 1))[:, 1]
    np.testing.assert_allclose(found, [1 / 6, 1 / 6, 1 / 3, 1 / 2, 1 / 2, 1 / 2, 5 / 6, 5 / 6], atol=1e-8)


def test_isotonic_calibration_is_that_of_scikit_learn() -> None:
    probabilities, labels = draw(3000, 4, 1.8)

    class FixedClassifier(ClassifierMixin, BaseEstimator):
        """A classifier whose answers are its input."""

        classes_ = np.arange(4)

        def fit(self, x: np.ndarray, y: np.ndarray) -> FixedClassifier:
            return self

        def predict_proba(self, x: np.ndarray) -> np.ndarray:
            return x

        def predict(self, x: np.ndarray) -> np.ndarray:
            return x.argmax(1)

        def __sklearn_is_fitted__(self) -> bool:
            return True

    theirs = CalibratedClassifierCV(FrozenEstimator(FixedClassifier()), method="isotonic")
    theirs.fit(probabilities, labels)
    fresh, _ = draw(1000, 4, 1.8, seed=1)
    ours = fit_isotonic(probabilities, labels).apply(fresh)
    # Apart from the ends, which are 0 and 1 there and 1/3002 off that here.
    assert np.abs(ours - theirs.predict_proba(fresh)).max() < 2 / 3002
    plain = sklearn.isotonic.IsotonicRegression(y_min=0, y_max=1).fit(probabilities[:, 1], labels == 1)
    curve = fit_isotonic(probabilities, labels).curves[1]
    assert curve is not None
    inside = (np.array(curve[1]) > 1e-3) & (np.array(curve[1]) < 0.999)
    np.testing.assert_allclose(np.array(curve[1])[inside], plain.predict(np.array(curve[0])[inside]), atol=1e-12)


def test_classes_on_the_same_step_keep_the_order_of_the_vote() -> None:
    flat = Isotonic((((0.0, 1.0), (0.5, 0.5)),) * 2)
    assert flat.apply(np.array([[0.3, 0.7], [0.7, 0.3]])).argmax(1).tolist() == [1, 0]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "none"])
def test_an_overconfident_vote_is_calibrated_on_images_it_has_not_seen(kind) -> None:
    probabilities, labels = draw(10_000, 5, 2.5)
    calibrator = fit_calibration(kind, probabilities[:4000], labels[:4000])
    before, after = probabilities[4000:], calibrator.apply(probabilities[4000:])
    assert ece(before, labels[4000:]) > 0.2
    assert ece(after, labels[4000:]) < 0.03
    assert log_loss(after, labels[4000:]) < log_loss(before, labels[4000:]) - 0.2


def test_none_changes_nothing() -> None:
    probabilities, labels = draw(50, 3)
    found = fit_calibration("none", probabilities, labels).apply(probabilities)
    np.testing.assert_array_equal(found, probabilities)
    assert found is not probabilities


@given(st.sampled_from(KINDS), st.integers(2, 5), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_rows_add_up_to_one_whatever_was_learned(kind: Calibration, classes: int, images: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(classes, 0.3), images + 20)
    table[::3] = np.eye(classes)[rng.integers(0, classes, len(table[::3]))]
    labels = rng.integers(0, rng.integers(1, classes + 1), images)  # not every class
    calibrator = fit_calibration(kind, table[:images], labels)
    found = calibrator.apply(table)
    assert found.min() >= 0
    assert found.sum(1) == pytest.approx(1, abs=1e-9)
    again = read_calibrator(json.loads(json.dumps(calibrator.to_dict())))
    assert again == calibrator
    np.testing.assert_array_equal(again.apply(table), found)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_with_a_nan_stay_and_teach_nothing(kind) -> None:
    probabilities, labels = draw(200, 3, 2)
    spoilt = np.concatenate([probabilities, [[np.nan, 0.5, 0.5], [np.inf, 0.0, 0.0]]])
    calibrator = fit_calibration(kind, spoilt, np.append(labels, [0, 1]))
    assert calibrator == fit_calibration(kind, probabilities, labels)
    found = calibrator.apply(spoilt)
    np.testing.assert_array_equal(found[200:], spoilt[200:])
    assert np.isfinite(found[:200]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_without_images_can_still_be_predicted(kind) -> None:
    probabilities, labels = draw(400, 4)
    rows = labels != 2
    calibrator = fit_calibration(kind, probabilities[rows], labels[rows])
    assert calibrator.apply(np.array([[0.01, 0.01, 0.97, 0.01]])).argmax(1).tolist() == [2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_no_image_teaches_nothing_and_one_little(kind, classes) -> None:
    table = np.random.default_rng(0).dirichlet(np.ones(classes), 20)
    for images in (0, 1):
        found = fit_calibration(kind, table[:images], np.zeros(images, np.int64)).apply(table)
        assert np.abs(found - table).max() < (0.4 if images else 1e-12)
        assert fit_calibration(kind, table, np.zeros(20, np.int64)).apply(table[:0]).shape == (0, classes)


@pytest.mark.parametrize("kind", ["vector", "isotonic"])
def test_other_classes_are_refused(kind) -> None:
    calibrator = fit_calibration(kind, *draw(50, 3))
    with pytest.raises(MismatchedPredictions, match="fitted to 3 classes, but these probabilities have 4"):
        calibrator.apply(np.full((2, 4), 0.25))


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"kind": "sigmoid"},
        {"kind": "temperature"},
        {"kind": "temperature", "temperature": "warm"},
        {"kind": "temperature", "temperature": 0.0},
        {"kind": "temperature", "temperature": float("nan")},
        {"kind": "vector", "scale": [1.0], "bias": []},
        {"kind": "isotonic", "curves": [[[0.5], []]]},
        {"kind": "isotonic", "curves": 3},
    ],
)
def test_an_unreadable_calibration_raises(payload) -> None:
    with pytest.raises(DamagedObject, match="the calibration on record is not readable"):
        read_calibrator(payload)


def test_a_calibrated_ballot_keeps_the_tie_rule() -> None:
    pool = make_pool([[[0.6, 0.4, 0.0]], [[0.3, 0.7, 0.0]]], [0])
    ballot = vote(pool, make_team(0.5, 0.5), "hard")
    found = calibrate(ballot, Temperature(3.0))
    assert (ballot.predicted.tolist(), found.predicted.tolist()) == ([1], [1])
    np.testing.assert_allclose(found.probabilities, Temperature(3.0).apply(ballot.probabilities))
    moved = calibrate(Ballot("soft", np.array([[0.6, 0.4]]), np.array([0])), VectorScale((1.0, 1.0), (0.0, 5.0)))
    assert moved.predicted.tolist() == [1]


def test_folds_have_every_class_in_equal_shares() -> None:
    labels = np.repeat([0, 1, 2], [50, 23, 4])
    fold = split_folds(labels, 5, seed=3)
    counts = np.array([np.bincount(labels[fold == number], minlength=3) for number in range(5)])
    assert (counts.max(0) - counts.min(0)).max() <= 1
    assert np.ptp(counts.sum(1)) <= 1
    np.testing.assert_array_equal(fold, split_folds(labels, 5, seed=3))
    assert (fold != split_folds(labels, 5, seed=4)).any()


def make_validation(images: int = 300):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, images)
    logits = 2 * (rng.normal(size=(3, images, 3)) + 1.2 * np.eye(3)[labels])
    return make_pool(np.stack([softmax(each) for each in logits]), labels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["soft", "stacked"])
def test_a_cross_fitted_vote_is_that_of_the_other_folds(method, kind) -> None:
    pool, team = make_validation(), make_team(0.5, 0.25, 0.25)
    found = cross_fit(pool, team, method, kind, folds=3, seed=7)
    fold = split_folds(pool.labels, 3, 7)
    for number in range(3):
        held, others = fold == number, np.flatnonzero(fold != number)
        inside = make_pool(pool.probabilities[:, others], pool.labels[others])
        voter = fit_voter(inside, team, method)
        calibrator = fit_calibration(kind, voter.vote(inside).probabilities, inside.labels)
        np.testing.assert_allclose(found[held], calibrator.apply(voter.vote(pool).probabilities)[held], rtol=1e-9)


def test_a_label_does_not_reach_its_own_calibrated_vote() -> None:
    pool, team = make_validation(60), make_team(0.5, 0.25, 0.25)
    fold = split_folds(pool.labels, 5, 0)
    one, other = np.flatnonzero(fold == 0)[:2]
    swapped = pool.labels.copy()
    held = np.flatnonzero(fold == 0)
    swapped[held] = pool.labels[held][::-1]  # the classes, and so the folds of the others, stay
    assert swapped[one] != pool.labels[one] or swapped[other] != pool.labels[other]
    with patch("ensembles.calibration.calibrate.split_folds", return_value=fold):
        before = cross_fit(pool, team, "stacked", "vector")
        after = cross_fit(make_pool(pool.probabilities, swapped), team, "stacked", "vector")
    np.testing.assert_array_equal(before[held], after[held])
    assert (before != after).any()


def test_a_cross_fitted_score_is_less_flattering() -> None:
    # Labels are noise: by its own images an isotonic calibration finds something, by others it does not.
    rng = np.random.default_rng(1)
    pool = make_pool(rng.dirichlet(np.ones(3), (2, 300)), rng.integers(0, 3, 300))
    team = make_team(0.5, 0.5)
    probabilities = vote(pool, team, "soft").probabilities
    flattering = log_loss(fit_isotonic(probabilities, pool.labels).apply(probabilities), pool.labels)
    honest = log_loss(cross_fit(pool, team, "soft", "isotonic"), pool.labels)
    assert flattering < math.log(3) - 0.005 < math.log(3) < honest


@pytest.mark.parametrize("images", [1, 2, 4])
def test_fewer_images_than_folds_can_be_cross_fitted(images) -> None:
    pool = make_pool(make_validation().probabilities[:, :images], np.zeros(images, np.int64))
    for method in VOTES:
        for kind in KINDS:
            found = cross_fit(pool, make_team(0.5, 0.25, 0.25), method, kind)
            assert found.sum(1) == pytest.approx(1, abs=1e-6)


def test_cross_fitting_is_for_validation_and_needs_two_folds() -> None:
    pool = make_validation(20)
    with pytest.raises(MismatchedPredictions, match="calibrated on split test"):
        cross_fit(make_pool(pool.probabilities, pool.labels, split="test"), make_team(1.0), "soft", "none")
    with pytest.raises(ValueError, match="folds is 1"):
        cross_fit(pool, make_team(1.0), "soft", "none", folds=1)


def test_a_team_as_on_fashion_mnist_comes_to_an_ece_below_0_015() -> None:
    """Eight small nets of 91 % on 10,000 validation and 10,000 test images of ten classes, each too sure of itself."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 10, 20_000)
    shared = rng.normal(size=(20_000, 10))

    def predict() -> np.ndarray:
        own = rng.normal(size=(20_000, 10))
        return softmax(3.2 * (2.9 * np.eye(10)[labels] + 0.8 * shared + 0.5 * own)).astype(np.float32)

    table = np.stack([predict() for _ in range(8)])
    validation = make_pool(table[:, :10_000], labels[:10_000])
    test = make_pool(table[:, 10_000:], labels[10_000:], split="test")
    team = make_team(*[1 / 8] * 8)
    ballot = vote(test, team, "soft")
    alone = accuracy(test.probabilities[0].argmax(1), test.labels)
    assert 0.89 < alone < 0.93
    assert accuracy(ballot.predicted, test.labels) > alone + 0.003
    for kind in ("temperature", "vector", "isotonic"):
        calibrator = fit_calibration(kind, vote(validation, team, "soft").probabilities, validation.labels)
        found = calibrate(ballot, calibrator)
        assert ece(found.probabilities, test.labels) <= 0.015 < ece(ballot.probabilities, test.labels)
        honest = cross_fit(validation, team, "soft", kind)
        assert log_loss(honest, validation.labels) == pytest.approx(
            log_loss(found.probabilities, test.labels), abs=0.02
        )


def test_two_folds_are_enough_and_one_is_refused() -> None:
    pool = make_pool(np.random.default_rng(0).dirichlet(np.ones(3), (2, 12)), np.arange(12) % 3)
    team = make_team(0.5, 0.5)
    assert cross_fit(pool, team, "soft", "temperature", folds=2).shape == (12, 3)
    with pytest.raises(ValueError, match="folds is 1: at least 2"):
        cross_fit(pool, team, "soft", "temperature", folds=1)
