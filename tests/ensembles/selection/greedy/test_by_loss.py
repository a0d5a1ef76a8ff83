"""The true class alone is enough for log-loss; and what sieves out must be sure to be worse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensembles.config import EnsembleConfig
from ensembles.selection.greedy.by_loss import LossCosts, greedy_by_loss, rough_error, rough_losses, take_true_class
from ensembles.selection.select import select
from tests.ensembles.samples import make_pool, member
from trainables.errors import MismatchedPredictions


def test_true_class_probabilities_alone_give_the_same_picks() -> None:
    rng = np.random.default_rng(2)
    pool = make_pool(rng.dirichlet(np.full(5, 0.3), (9, 300)), rng.integers(0, 5, 300))
    team = select(pool, EnsembleConfig(size=7))
    steps = list(greedy_by_loss(take_true_class(pool.probabilities, pool.labels), 7))
    assert team.picks == tuple(member(position) for position, _ in steps)
    assert team.path == tuple(loss for _, loss in steps)


def test_the_true_class_is_taken_from_every_row() -> None:
    pool = make_pool([[[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], [[1, 0, 0], [0, 1, 0]]], [2, 0])
    assert take_true_class(pool.probabilities, pool.labels).tolist() == np.float32([[0.7, 0.5], [0, 0]]).tolist()


@pytest.mark.parametrize(
    "truth", [np.ones((2, 3)), np.ones(3, np.float32), np.ones((0, 3), np.float32), np.ones((2, 0), np.float32)]
)
def test_what_is_no_table_of_true_class_probabilities_is_refused(truth: np.ndarray) -> None:
    with pytest.raises(MismatchedPredictions, match=r"not float32 \(members, images\)"):
        list(greedy_by_loss(truth, 2))


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 8),
    st.integers(1, 3000),
    st.sampled_from([0.02, 0.3, 5.0]),
    st.integers(1, 60),
    st.integers(0, 2**32 - 1),
)
def test_the_sieve_errs_by_no_more_than_it_says(members: int, images: int, shape: float, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.beta(shape, 1, (members, images)).astype(np.float32)
    base = rng.beta(shape, 1, images) * (count - 1) / count
    exact = -np.log(np.maximum(base + truth.astype(np.float64) / count, 1e-12)).mean(1)
    rough = rough_losses(truth, base, 1 / count, 1e-12)
    assert (np.abs(rough - exact) <= rough_error(rough)).all()


def test_candidates_that_cannot_win_are_not_scored_unless_asked() -> None:
    costs = LossCosts(np.float32([[0.9, 0.9], [0.1, 0.2], [0.9, 0.9]]))
    assert np.isinf(costs.costs_with_each(np.ones(3, bool))).tolist() == [False, True, False]
    assert costs.costs_with_each(np.ones(3, bool), everyone=True).tolist() == pytest.approx(
        [-np.log(0.9), -np.log(0.02) / 2, -np.log(0.9)], rel=1e-6
    )
    assert np.isinf(costs.costs_with_each(np.array([False, True, False]))).tolist() == [True, False, True]
