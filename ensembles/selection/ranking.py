"""Ranks candidates by their own scores, and selects the teams that follow at once: the best, the top ones, all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ensembles.config import EnsembleConfig, Metric
from ensembles.metrics.scores import accuracy, cost_of, log_loss, measure
from ensembles.pool.pool import PredictionPool
from ensembles.team import Team
from trainables.errors import SweepFileError


def rank_members(pool: PredictionPool, metric: Metric = "accuracy") -> list[int]:
    """Positions of the pool's members, best first: by `metric`, of equals the higher accuracy, then the lower log-loss,
    then the position."""

    def place(position: int) -> tuple[float, float, float, int]:
        alone = pool.probabilities[position]
        right, loss = accuracy(alone.argmax(1), pool.labels), log_loss(alone, pool.labels)
        score = {"accuracy": right, "log_loss": loss}.get(metric)
        return cost_of(metric, measure(metric, alone, pool.labels) if score is None else score), -right, loss, position

    return sorted(range(len(pool.members)), key=place)


def rank_for(pool: PredictionPool, config: EnsembleConfig) -> list[int]:
    """Rank by `ensemble.metric` where that is said, else by accuracy."""
    return rank_members(pool, config.deciding_metric)


def select_ranked(pool: PredictionPool, config: EnsembleConfig) -> Team:
    """The team of `best`, `top` or `all`. Raises `SweepFileError` if `top` asks for more than there are."""
    order = list(range(len(pool.members))) if config.select == "all" else rank_for(pool, config)
    if config.select == "top" and config.size > len(order):
        raise SweepFileError(
            f"ensemble.size is {config.size}, but only {len(order)} checkpoints can vote: "
            "lower ensemble.size or raise search.trials"
        )
    return weigh(pool, config, order[: {"best": 1, "top": config.size, "all": len(order)}[config.select]])


def weigh(
    pool: PredictionPool, config: EnsembleConfig, positions: Sequence[int], weights: Sequence[float] = ()
) -> Team:
    """The team of the members at `positions`, with equal weights if none are given, and its score."""
    mean = np.zeros(pool.probabilities.shape[1:])
    for position, weight in zip(positions, weights or [1.0] * len(positions), strict=True):
        mean += (
            pool.probabilities[position] if weight == 1 else weight * pool.probabilities[position].astype(np.float64)
        )
    mean /= sum(weights) or len(positions)
    return Team(
        members=tuple(pool.members[position] for position in positions),
        weights=tuple(weight / sum(weights) for weight in weights) or (1 / len(positions),) * len(positions),
        how=config.select,
        metric=config.metric,
        picks=(),
        path=(),
        validation_score=measure(config.metric, mean, pool.labels),
    )
