"""Weights by CMA-ES: for metrics that have no gradient, such as accuracy (Purucker and Beel 2023 weigh AutoML teams so).

A plain strategy in 60 lines instead of a dependency: scipy has none, and a team has few weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ensembles.config import EnsembleConfig
from ensembles.metrics.scores import LEAST_PROBABILITY, cost_of, measure
from ensembles.pool.pool import PredictionPool
from ensembles.selection.greedy.by_loss import take_true_class
from ensembles.selection.ranking import rank_members, weigh
from ensembles.team import Team

Floats = npt.NDArray[np.float64]

STEP = 0.5
"""First standard deviation of the logarithms of the weights: most first teams lie within a factor of three of equal weights."""
GENERATIONS = 100
PULL = 1e-3
"""Cost of one nat of divergence from equal weights: if the metric sees no difference, members weigh the same."""
LEAST_WEIGHT = 0.01
"""Members that weigh less than this share of an equal weight are left out."""
STREAM = 0xC3A
"""Keeps these draws apart from others with the same seed."""


def select_by_cma_es(pool: PredictionPool, config: EnsembleConfig) -> Team:
    """The `config.size` best candidates, with the weights that optimise their mean by `config.metric`; never worse than equal
    weights."""
    chosen = rank_members(pool, config.metric)[: config.size]
    equal = weigh(pool, config, chosen)
    cost = _make_cost(pool, config, chosen)
    if len(chosen) == 1:
        return equal

    def regularised(logs: Floats) -> float:
        weights = _softmax(logs)
        return cost(weights) + PULL * float(weights @ np.log(np.maximum(weights * len(weights), 1e-300)))

    logs = minimise(regularised, np.zeros(len(chosen)), STEP, GENERATIONS, config.seed)
    weights = _softmax(logs)
    heavy_enough = [
        place for place in np.argsort(-weights, kind="stable") if weights[place] * len(chosen) >= LEAST_WEIGHT
    ]
    found = weigh(
        pool, config, [chosen[place] for place in heavy_enough], [float(weights[place]) for place in heavy_enough]
    )
    better = cost_of(config.metric, found.validation_score) < cost_of(config.metric, equal.validation_score)
    return found if better else equal


def minimise(cost: Callable[[Floats], float], start: Floats, step: float, generations: int, seed: int) -> Floats:
    """The best point seen by a (mu/mu_w, lambda)-CMA-ES, `start` among them; the constants are those of Hansen (2016),
    "The CMA evolution strategy: a tutorial", table 1, without negative weights. The same arguments give the same point."""
    rng = np.random.default_rng([STREAM, seed])
    size = len(start)
    offspring = 4 + int(3 * math.log(size))
    parents = offspring // 2
    share = math.log((offspring + 1) / 2) - np.log(np.arange(1, parents + 1))
    share /= share.sum()
    effective = 1 / float((share**2).sum())
    c_path = (4 + effective / size) / (size + 4 + 2 * effective / size)
    c_step = (effective + 2) / (size + effective + 5)
    damping = 1 + 2 * max(0.0, math.sqrt((effective - 1) / (size + 1)) - 1) + c_step
    c_one = 2 / ((size + 1.3) ** 2 + effective)
    c_mu = min(1 - c_one, 2 * (0.25 + effective + 1 / effective - 2) / ((size + 2) ** 2 + effective))
    expected = math.sqrt(size) * (1 - 1 / (4 * size) + 1 / (21 * size**2))
    mean, covariance = start.astype(np.float64), np.eye(size)
    path, step_path = np.zeros(size), np.zeros(size)
    best, least = mean.copy(), cost(mean)
    for generation in range(1, generations + 1):
        squares, axes = np.linalg.eigh((covariance + covariance.T) / 2)
        lengths = np.sqrt(np.maximum(squares, 1e-20))
        moves = (rng.standard_normal((offspring, size)) * lengths) @ axes.T
        costs = [cost(mean + step * move) for move in moves]
        order = np.argsort(costs, kind="stable")
        if costs[order[0]] < least:
            best, least = mean + step * moves[order[0]], costs[order[0]]
        parents_moves = moves[order[:parents]]
        move = share @ parents_moves
        mean = mean + step * move
        step_path = (1 - c_step) * step_path + math.sqrt(c_step * (2 - c_step) * effective) * (
            axes @ ((axes.T @ move) / lengths)
        )
        length = float(np.linalg.norm(step_path))
        stalled = length / math.sqrt(1 - (1 - c_step) ** (2 * generation)) >= (1.4 + 2 / (size + 1)) * expected
        path = (1 - c_path) * path + (0 if stalled else math.sqrt(c_path * (2 - c_path) * effective)) * move
        retained_share = 1 - c_one - c_mu + (c_one * c_path * (2 - c_path) if stalled else 0)
        covariance = (
            retained_share * covariance
            + c_one * np.outer(path, path)
            + c_mu * (parents_moves.T * share) @ parents_moves
        )
        step *= math.exp((c_step / damping) * (length / expected - 1))
    return best


def _make_cost(pool: PredictionPool, config: EnsembleConfig, chosen: list[int]) -> Callable[[Floats], float]:
    probabilities = pool.probabilities[chosen]
    if config.metric == "log_loss":
        of_true_class = take_true_class(probabilities, pool.labels)
        return lambda weights: -float(np.log(np.maximum(weights @ of_true_class, LEAST_PROBABILITY)).mean())
    return lambda weights: cost_of(
        config.metric, measure(config.metric, np.tensordot(weights, probabilities, 1), pool.labels)
    )


def _softmax(logs: Floats) -> Floats:
    shares = np.exp(logs - logs.max())
    return np.asarray(shares / shares.sum())
