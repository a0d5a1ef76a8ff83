"""Who votes: members and weights, chosen on validation alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ensembles.choice import Choice
from ensembles.config import EnsembleConfig
from ensembles.metrics import LEAST_PROBABILITY, accuracy, log_loss
from ensembles.pool import PredictionPool
from trainables.errors import MismatchedPredictions, SweepFileError
from trainables.predictions import SUM_TOLERANCE

BLOCK_VALUES = 2**19
"""Numbers that are worked on at a time, 4 MiB: 200 members, 10,000 images, 10 classes and 50 picks take 0.3 s by
log-loss and 0.5 s by accuracy on one core; blocks of half a MiB take twice as long by log-loss."""

TIE = 1e-12
"""Losses that differ by less than this share are equal: rounding must not decide who votes."""


def select(pool: PredictionPool, config: EnsembleConfig) -> Choice:
    """The team that `config` asks for, from the candidates of `pool`, whose split must be validation.

    Raises `MismatchedPredictions` for another split, and `SweepFileError` where `top` asks for more than there are.
    """
    if pool.split != "validation":
        raise MismatchedPredictions(
            f"members were to be chosen on split {pool.split}: a team is chosen on validation, so that test can judge it"
        )
    if config.select == "greedy":
        return _select_greedily(pool, config)
    order = list(range(len(pool.members))) if config.select == "all" else rank_members(pool)
    if config.select == "top" and config.size > len(order):
        raise SweepFileError(
            f"ensemble.size is {config.size}, but only {len(order)} checkpoints can vote: "
            "lower ensemble.size or raise search.trials"
        )
    chosen = order[: {"best": 1, "top": config.size, "all": len(order)}[config.select]]
    mean = np.zeros(pool.probabilities.shape[1:])
    for position in chosen:
        mean += pool.probabilities[position]
    mean /= len(chosen)
    loss = config.metric == "log_loss"
    return Choice(
        members=tuple(pool.members[position] for position in chosen),
        weights=(1 / len(chosen),) * len(chosen),
        how=config.select,
        metric=config.metric,
        picks=(),
        path=(),
        validation_score=log_loss(mean, pool.labels) if loss else accuracy(mean.argmax(1), pool.labels),
    )


def rank_members(pool: PredictionPool) -> list[int]:
    """Positions of the pool's members, best first: by accuracy, of equals the lower log-loss, then the position."""

    def place(position: int) -> tuple[float, float, int]:
        alone = pool.probabilities[position]
        return -accuracy(alone.argmax(1), pool.labels), log_loss(alone, pool.labels), position

    return sorted(range(len(pool.members)), key=place)


def _select_greedily(pool: PredictionPool, config: EnsembleConfig) -> Choice:
    """Forward selection with replacement (Caruana 2004): each pick is the one that leaves the best team.

    Equal picks go to a member that is in the team already, else to the lowest position. The team is the first of the
    best scores along the way, not the last: where Caruana stops at the first pick that does not help, this looks
    further, and takes back what did not help in the end. No bagging, and no start from the best members together.
    """
    steps = _steps_by_loss(pool, config.size) if config.metric == "log_loss" else _steps_by_accuracy(pool, config.size)
    positions, costs = zip(*steps, strict=True)
    least = min(costs)
    kept = next(count for count, cost in enumerate(costs, start=1) if cost <= least + TIE * abs(least))
    counts = Counter(positions[:kept])
    path = costs if config.metric == "log_loss" else tuple(-cost for cost in costs)
    return Choice(
        members=tuple(pool.members[position] for position in counts),
        weights=tuple(count / kept for count in counts.values()),
        how="greedy",
        metric=config.metric,
        picks=tuple(pool.members[position] for position in positions),
        path=path,
        validation_score=path[kept - 1],
    )


def _steps_by_loss(pool: PredictionPool, picks: int) -> Iterator[tuple[int, float]]:
    """Position and log-loss after each pick. Log-loss needs what each member gives to the true class, nothing else."""
    images = len(pool.labels)
    told = pool.probabilities[:, np.arange(images), pool.labels].astype(np.float64)
    total, team = np.zeros(images), set[int]()
    block = max(1, BLOCK_VALUES // images)
    costs = np.empty(len(told))
    for count in range(1, picks + 1):
        for start in range(0, len(told), block):
            summed = total + told[start : start + block]
            np.maximum(summed, count * LEAST_PROBABILITY, out=summed)
            costs[start : start + block] = math.log(count) - np.log(summed, out=summed).mean(1)
        position = _first_of_least(costs, team)
        total += told[position]
        team.add(position)
        yield position, float(costs[position])


def _steps_by_accuracy(pool: PredictionPool, picks: int) -> Iterator[tuple[int, float]]:
    """Position and negative accuracy after each pick.

    An image on which the team's first class leads its second by more than one vote is decided, whoever is picked
    next; after a few picks most are. Only the others are counted again for every candidate.
    """
    candidates, images, classes = pool.probabilities.shape
    total, team = np.zeros((images, classes)), set[int]()
    for _ in range(picks):
        highest = np.partition(total, -2, axis=1)[:, -2:] if classes > 1 else np.zeros((images, 2))
        undecided = np.flatnonzero(highest[:, 1] - highest[:, 0] <= 1 + 2 * SUM_TOLERANCE)
        decided = int(np.count_nonzero(total.argmax(1) == pool.labels))
        decided -= int(np.count_nonzero(total[undecided].argmax(1) == pool.labels[undecided]))
        right = np.full(candidates, decided)
        block = max(1, BLOCK_VALUES // (candidates * classes))
        for start in range(0, len(undecided), block):
            rows = undecided[start : start + block]
            right += ((total[rows] + pool.probabilities[:, rows]).argmax(2) == pool.labels[rows]).sum(1)
        position = _first_of_least(-right.astype(np.float64), team)
        total += pool.probabilities[position]
        team.add(position)
        yield position, -float(right[position] / images)


def _first_of_least(costs: npt.NDArray[np.float64], team: set[int]) -> int:
    """The position of the least cost; of equals one of the team, then the lowest."""
    least = costs.min()
    equals = np.flatnonzero(costs <= least + TIE * abs(least)).tolist()
    return next((position for position in equals if position in team), equals[0])
