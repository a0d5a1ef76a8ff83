"""The stacked vote against scikit-learn, scipy and what its ridge promises."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from sklearn.linear_model import LogisticRegression

from ensembles.metrics.logits import log_floored, log_softmax, softmax
from ensembles.metrics.scores import log_loss
from ensembles.voting.means import geometric_mean
from ensembles.voting.stacking import BLOCK_VALUES, Stacking, fit_stacking


def draw(members: int, images: int, classes: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Members that share most of their noise, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    shared = rng.normal(size=(images, classes))
    tables = []
    for _ in range(members):
        own = rng.normal(size=(images, classes))
        tables.append(softmax(1.5 * (np.eye(classes)[labels] * 1.8 + shared + 0.6 * own)).astype(np.float32))
    return tables, labels


def test_of_two_classes_it_is_the_logistic_regression_of_scikit_learn() -> None:
    tables, labels = draw(3, 2000, 2)
    found = fit_stacking(tables, labels, ridge=1e-7)
    odds = np.stack([np.log(table[:, 1].astype(float) / table[:, 0]) for table in tables], axis=1)
    theirs = LogisticRegression(C=1e8, tol=1e-10, max_iter=10_000).fit(odds, labels)
    assert found.weights == pytest.approx(theirs.coef_[0], abs=1e-4)
    assert found.bias[1] - found.bias[0] == pytest.approx(theirs.intercept_[0], abs=1e-4)
    np.testing.assert_allclose(found.combine(tables), theirs.predict_proba(odds), atol=1e-4)


def test_of_more_classes_it_is_the_least_of_the_plain_formula() -> None:
    tables, labels = draw(4, 300, 5)
    logs = log_floored(np.stack(tables))

    def cost(at: np.ndarray) -> float:
        logs_of_classes = log_softmax(np.tensordot(at[:4], logs, 1) + at[4:])
        return (
            -logs_of_classes[np.arange(300), labels].sum()
            + 0.5 * 16 * ((at[:4] - 0.25) ** 2).sum()
            + 0.5 * (at[4:] ** 2).sum()
        )

    best = scipy.optimize.minimize(cost, np.zeros(9), method="BFGS", options={"gtol": 1e-4})
    found = fit_stacking(tables, labels)
    np.testing.assert_allclose([*found.weights, *found.bias], best.x, atol=1e-4)


def test_blocks_change_nothing_but_roundings() -> None:
    tables, labels = draw(3, 500, 4)
    whole = fit_stacking(tables, labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ensembles.voting.stacking.BLOCK_VALUES", 3 * 4 * 7)
        parts = fit_stacking(tables, labels)
    assert BLOCK_VALUES > 3 * 4 * 500
    np.testing.assert_allclose(whole.weights, parts.weights, rtol=1e-9)
    np.testing.assert_allclose(whole.bias, parts.bias, atol=1e-9)


def test_some_rows_are_as_good_as_a_pool_of_them() -> None:
    tables, labels = draw(3, 200, 3)
    rows = np.arange(0, 200, 3)
    assert fit_stacking(tables, labels, rows) == fit_stacking([table[rows] for table in tables], labels[rows])


def test_without_images_it_is_the_geometric_vote() -> None:
    tables, labels = draw(3, 50, 4)
    nothing = fit_stacking(tables, labels, np.arange(0))
    assert nothing == Stacking((1 / 3,) * 3, (0.0,) * 4)
    np.testing.assert_allclose(nothing.combine(tables), geometric_mean(tables), rtol=1e-12)


def test_a_larger_ridge_is_nearer_to_the_geometric_vote() -> None:
    tables, labels = draw(4, 300, 3)
    off = [np.abs(np.array(fit_stacking(tables, labels, ridge=ridge).weights) - 0.25).max() for ridge in (0.1, 10, 1e6)]
    assert off[0] > off[1] > off[2]
    assert off[2] < 1e-3


def test_members_that_are_alike_share_the_weight() -> None:
    tables, labels = draw(2, 300, 3)
    weights = fit_stacking([tables[0], tables[0], tables[1]], labels).weights
    assert weights[0] == pytest.approx(weights[1], rel=1e-6)


def test_a_class_without_images_keeps_a_finite_bias() -> None:
    tables, labels = draw(3, 400, 4)
    found = fit_stacking(tables, labels, np.flatnonzero(labels != 2))
    assert found.bias[2] == min(found.bias)
    assert -10 < found.bias[2] < 0


def test_one_hot_members_are_weighed_too() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    tables = []
    for share in (0.9, 0.6, 0.5):
        said = np.where(rng.random(600) < share, labels, rng.integers(0, 3, 600))
        tables.append(np.eye(3, dtype=np.float32)[said])
    found = fit_stacking(tables, labels)
    assert found.weights[0] > found.weights[1] > found.weights[2] > 0
    assert log_loss(found.combine(tables), labels) < 0.5 < log_loss(geometric_mean(tables), labels)


def test_a_team_of_one_votes_as_it_is_and_one_image_is_enough() -> None:
    tables, labels = draw(2, 1, 3)
    np.testing.assert_allclose(fit_stacking(tables[:1], labels).combine(tables[:1]), tables[0], atol=1e-6)
    assert np.isfinite(fit_stacking(tables, labels).combine(tables)).all()


def test_a_large_team_of_few_images_is_held_back() -> None:
    # 100 members on 150 images: without the ridge the fit is perfect there and worth little elsewhere.
    tables, labels = draw(100, 1150, 3)
    seen, rest, truth = np.arange(150), [table[150:] for table in tables], labels[150:]
    geometric = log_loss(geometric_mean(rest), truth)
    assert log_loss(fit_stacking(tables, labels, seen).combine(rest), truth) < 1.05 * geometric
    assert log_loss(fit_stacking(tables, labels, seen, ridge=1e-6).combine(rest), truth) > 4 * geometric
