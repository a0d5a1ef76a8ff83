"""Weights by CMA-ES: the strategy on known functions, and teams whose best weights are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ensembles.config import EnsembleConfig, Metric
from ensembles.metrics.scores import cost_of
from ensembles.selection.cma_es import STREAM, minimise
from ensembles.selection.select import select
from tests.ensembles.samples import make_pool, member


def test_it_finds_the_bottom_of_a_long_narrow_valley() -> None:
    scales = 10.0 ** np.linspace(0, 4, 5)
    target = np.array([1.0, -2.0, 0.5, 0.0, 3.0])

    def cost(point: np.ndarray) -> float:
        return float((scales * (point - target) ** 2).sum())

    assert minimise(cost, np.zeros(5), 0.5, 400, seed=1) == pytest.approx(target, abs=1e-4)


def test_it_never_ends_above_where_it_began_and_the_seed_alone_decides() -> None:
    def cost(point: np.ndarray) -> float:
        return 0.0 if not point.any() else 1.0

    assert not minimise(cost, np.zeros(3), 0.5, 5, seed=0).any()

    def bowl(point: np.ndarray) -> float:
        return float(((point - 1) ** 2).sum())

    first, again, other = (minimise(bowl, np.zeros(3), 0.5, 5, seed=seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def tutorial(
    cost: Callable[[np.ndarray], float], m: np.ndarray, sigma: float, generations: int, seed: int
) -> np.ndarray:
    """The program of Hansen's tutorial (appendix C), line by line and with its names. The best point that it has seen."""
    rng = np.random.default_rng([STREAM, seed])
    n = len(m)
    lam = 4 + int(np.floor(3 * np.log(n)))
    mu = lam // 2
    w = np.array([np.log((lam + 1) / 2) - np.log(i) for i in range(1, mu + 1)])
    w = w / w.sum()
    mueff = w.sum() ** 2 / (w**2).sum()
    cc = (4 + mueff / n) / (n + 4 + 2 * mueff / n)
    cs = (mueff + 2) / (n + mueff + 5)
    c1 = 2 / ((n + 1.3) ** 2 + mueff)
    cmu = min(1 - c1, 2 * (1 / 4 + mueff + 1 / mueff - 2) / ((n + 2) ** 2 + 2 * mueff / 2))
    damps = 1 + 2 * max(0, np.sqrt((mueff - 1) / (n + 1)) - 1) + cs
    chi_n = n**0.5 * (1 - 1 / (4 * n) + 1 / (21 * n**2))
    pc, ps, covariance = np.zeros(n), np.zeros(n), np.eye(n)
    seen = [(cost(m), m)]
    for g in range(1, generations + 1):
        squares, b = np.linalg.eigh(covariance)
        y = np.array([b @ (np.sqrt(squares) * rng.standard_normal(n)) for _ in range(lam)])
        f = [cost(m + sigma * each) for each in y]
        seen += [(f[k], m + sigma * y[k]) for k in range(lam)]
        y = y[np.argsort(f, kind="stable")][:mu]
        yw = sum(w[i] * y[i] for i in range(mu))
        m = m + sigma * yw
        ps = (1 - cs) * ps + np.sqrt(cs * (2 - cs) * mueff) * (b @ np.diag(squares**-0.5) @ b.T) @ yw
        hsig = np.linalg.norm(ps) / np.sqrt(1 - (1 - cs) ** (2 * g)) / chi_n < 1.4 + 2 / (n + 1)
        pc = (1 - cc) * pc + hsig * np.sqrt(cc * (2 - cc) * mueff) * yw
        rank_one = np.outer(pc, pc) + (1 - hsig) * cc * (2 - cc) * covariance
        rank_mu = sum(w[i] * np.outer(y[i], y[i]) for i in range(mu))
        covariance = (1 - c1 - cmu) * covariance + c1 * rank_one + cmu * rank_mu
        sigma = sigma * np.exp((cs / damps) * (np.linalg.norm(ps) / chi_n - 1))
    return min(seen, key=lambda each: each[0])[1]


# A first step that is too small makes the path of the step so long that the other path stalls. With more than five weights axes
# are of equal length after the first generation, and rounding chooses among them.
@pytest.mark.parametrize(("size", "step"), [(2, 0.5), (3, 0.01), (5, 3.0)])
@pytest.mark.parametrize("generations", [1, 2, 12])
def test_it_moves_as_the_program_of_the_tutorial(size: int, step: float, generations: int) -> None:
    target, scales = np.arange(size) - 1.7, 10.0 ** np.linspace(0, 2, size)

    def cost(point: np.ndarray) -> float:
        return float((scales * (point - target) ** 2).sum())

    for seed in range(3):
        expected = tutorial(cost, np.zeros(size), step, generations, seed)
        np.testing.assert_allclose(minimise(cost, np.zeros(size), step, generations, seed), expected, rtol=1e-9)


def test_the_better_of_two_weighs_more_as_its_log_loss_asks() -> None:
    # TrueClass .9 or .1 against the opposite, three to one: the best weight w of the first has .1 + .8 w = 3/4, so w = .8125.
    of_true_class = np.array([[0.9, 0.9, 0.9, 0.1], [0.1, 0.1, 0.1, 0.9]])
    pool = make_pool(np.stack([of_true_class, 1 - of_true_class], axis=2), [0] * 4)
    team = select(pool, EnsembleConfig(select="cma-es", size=2))
    assert team.members == (member(0), member(1))
    assert team.weights[0] == pytest.approx(0.8125, abs=0.01)
    assert team.picks == ()


def test_where_nothing_is_gained_all_weigh_the_same() -> None:
    twin = [[0.7, 0.3], [0.4, 0.6]]
    team = select(make_pool([twin, twin, twin], [0, 1]), EnsembleConfig(select="cma-es", metric="accuracy"))
    assert team.weights == pytest.approx((1 / 3,) * 3)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "balanced_accuracy", "macro_f1", "auc", "brier"])
def test_by_no_metric_is_it_worse_than_equal_weights(metric: Metric) -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 120)
    logits = rng.normal(size=(6, 120, 3)) + 0.8 * np.eye(3)[labels]
    table = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    pool = make_pool(table, labels)
    found = select(pool, EnsembleConfig(select="cma-es", size=6, metric=metric))
    equal = select(pool, EnsembleConfig(select="all", metric=metric))
    assert cost_of(metric, found.validation_score) <= cost_of(metric, equal.validation_score) + 1e-12


def test_at_most_size_members_vote() -> None:
    rng = np.random.default_rng(5)
    pool = make_pool(rng.dirichlet(np.ones(3), (9, 50)), rng.integers(0, 3, 50))
    assert len(select(pool, EnsembleConfig(select="cma-es", size=4)).members) <= 4
