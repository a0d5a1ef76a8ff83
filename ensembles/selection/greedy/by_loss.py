"""Greedy by log-loss, which needs only each candidate's probability of the true class."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ensembles.metrics.scores import LEAST_PROBABILITY
from ensembles.selection.greedy.ties import FirstOfTeam
from trainables.errors import MismatchedPredictions

BLOCK_VALUES = 2**16
"""Numbers that are processed at a time, 256 KiB: they fit in the cache of one core."""

UNIT = 2.0**-24
"""Half the distance from 1 to the next float32: the largest relative error of one rounding."""


class LossCosts:
    """Log-loss of the team with each candidate, picks in `caucus` order; sums in float64, rows are not scaled."""

    def __init__(self, of_true_class: npt.NDArray[np.float32]) -> None:
        self._of_true_class = of_true_class
        self._total = np.zeros(of_true_class.shape[1])
        self._count = 0

    def costs_with_each(self, allowed: npt.NDArray[np.bool_], everyone: bool = False) -> npt.NDArray[np.float64]:
        """Cost of the team with each candidate, float64 (members,); see `Costs`."""
        count = self._count + 1
        near = np.flatnonzero(allowed)
        if not everyone:
            rough = rough_losses(self._of_true_class, self._total / count, 1 / count, LEAST_PROBABILITY)
            near = near_least(rough, rough_error(rough), allowed)
        costs = np.full(len(self._of_true_class), np.inf)
        for position in near:
            summed = self._total + self._of_true_class[position]
            np.maximum(summed, count * LEAST_PROBABILITY, out=summed)
            costs[position] = math.log(count) - float(np.log(summed, out=summed).mean())
        return costs

    def add(self, position: int) -> None:
        """Add the candidate at `position` to the team."""
        self._total += self._of_true_class[position]
        self._count += 1


def greedy_by_loss(of_true_class: npt.NDArray[np.float32], size: int) -> Iterator[tuple[int, float]]:
    """Position and log-loss in nats of the team after each of `size` picks with replacement (Caruana 2004).

    of_true_class    float32 (members, images), each candidate's probability of the true class

    Of equal picks a member of the team comes first, then the lowest position. Nothing is copied: beside `of_true_class` this
    takes some numbers an image. 1,000 candidates, 6,300 images and 8 picks take 0.07 s on one core.
    """
    if of_true_class.ndim != 2 or of_true_class.dtype != np.float32 or 0 in of_true_class.shape:
        raise MismatchedPredictions(
            f"true-class probabilities are {of_true_class.dtype}{of_true_class.shape}, not float32 (members, images), at least one of each"
        )
    costs, rule, team = LossCosts(of_true_class), FirstOfTeam(), list[int]()
    allowed = np.ones(len(of_true_class), bool)
    for _ in range(size):
        found = costs.costs_with_each(allowed)
        position = rule.choose(rule.equals(found), team)
        costs.add(position)
        team.append(position)
        yield position, float(found[position])


def rough_losses(
    of_true_class: npt.NDArray[np.float32], base: npt.NDArray[np.float64], share: float, least: float
) -> npt.NDArray[np.float64]:
    """float64 (members,): log-loss of `base` and `share` of each of `of_true_class`, in float32; see `rough_error`."""
    members, images = of_true_class.shape
    team, floor, part = base.astype(np.float32), np.float32(least), np.float32(share)
    block = max(1, BLOCK_VALUES // images)
    buffer = np.empty((min(block, members), images), np.float32)
    sums = np.empty(members, np.float32)
    for start in range(0, members, block):
        one = of_true_class[start : start + block]
        work = np.multiply(one, part, out=buffer[: len(one)])
        work += team
        np.maximum(work, floor, out=work)
        np.log(work, out=work)
        np.add.reduce(work, axis=1, out=sums[start : start + block])
    losses: npt.NDArray[np.float64] = sums.astype(np.float64) / -images
    return losses


def rough_error(rough: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far `rough_losses` may be off: three roundings of each number, 8 units in the last place of its logarithm (numpy
    promises 4), and 32 for the pairwise sum of up to a million of them (Higham 1993)."""
    error: npt.NDArray[np.float64] = UNIT * (6 + 48 * (np.abs(rough) + 0.01))
    return error


def near_least(
    costs: npt.NDArray[np.float64], error: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Allowed positions that may have the least cost, given that each cost may be off by its `error`."""
    most = np.min(costs + error, initial=np.inf, where=allowed)
    return np.flatnonzero(allowed & (costs - error <= most))


def take_true_class(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Probabilities of the true class, float32 (members, images), from (members, images, classes)."""
    members, images, classes = probabilities.shape
    cells = np.arange(images) * classes + labels
    of_true_class = np.empty((members, images), np.float32)
    for one, row in zip(probabilities, of_true_class, strict=True):
        np.take(one.reshape(-1), cells, out=row, mode="clip")  # the default mode would copy first
    return of_true_class
