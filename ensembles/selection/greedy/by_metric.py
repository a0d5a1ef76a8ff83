"""Greedy by any metric, every candidate's team measured in full; by the Brier score only those that can be the best."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ensembles.config import Metric, TieRule
from ensembles.metrics.scores import LOW_IS_GOOD, cost_of, measure

BRIER_ERROR = 1e-9
"""How far sums of products may be off if they are added in another order."""


def to_cost(score: float, metric: Metric, ties: TieRule) -> float:
    """The score as a cost, so that low is good; both libraries use one minus the score. Applying it again inverts it."""
    return cost_of(metric, score) if ties == "caucus" or metric in LOW_IS_GOOD else 1 - score


class MeasuredCosts:
    """`metrics.measure` of the team with each candidate; sums in float64."""

    def __init__(
        self, probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], metric: Metric, ties: TieRule
    ) -> None:
        self._pool, self._labels, self._metric, self._ties = probabilities, labels, metric, ties
        self._total = np.zeros(probabilities.shape[1:])
        self._count = 0
        self._brier = _BrierSums(probabilities, labels) if metric == "brier" else None

    def costs_with_each(self, allowed: npt.NDArray[np.bool_], everyone: bool = False) -> npt.NDArray[np.float64]:
        """Cost of the team with each candidate, float64 (members,); see `Costs`."""
        near = np.flatnonzero(allowed)
        if self._brier and not everyone:
            rough = np.where(allowed, self._brier.scores(self._count + 1), np.inf)
            near = np.flatnonzero(rough <= rough.min() + 2 * BRIER_ERROR)
        costs = np.full(len(self._pool), np.inf)
        for position in near:
            joined = self._total + self._pool[position]
            joined /= self._count + 1
            costs[position] = to_cost(measure(self._metric, joined, self._labels), self._metric, self._ties)
        return costs

    def add(self, position: int) -> None:
        """Add the candidate at `position` to the team."""
        self._total += self._pool[position]
        self._count += 1
        if self._brier:
            self._brier.add(position)


class _BrierSums:
    """The squared distance of a sum to the one-hot labels, from products of pairs: a pick costs one product a candidate."""

    def __init__(self, probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> None:
        self._pool = probabilities
        images = np.arange(len(labels))
        self._images = len(labels)
        self._of_true_class = np.array([table[images, labels].sum(dtype=np.float64) for table in probabilities])
        self._squares = np.array([_product(table, table) for table in probabilities])
        self._with_team = np.zeros(len(probabilities))
        self._team_square = self._team_of_true_class = 0.0

    def scores(self, count: int) -> npt.NDArray[np.float64]:
        """Brier score of the team of `count` with each candidate, float64 (members,)."""
        square = self._team_square + 2 * self._with_team + self._squares
        of_true_class = self._team_of_true_class + self._of_true_class
        scores: npt.NDArray[np.float64] = (square / count**2 - 2 * of_true_class / count) / self._images + 1
        return scores

    def add(self, position: int) -> None:
        self._team_square += float(2 * self._with_team[position] + self._squares[position])
        self._team_of_true_class += float(self._of_true_class[position])
        newcomer = self._pool[position].astype(np.float64)
        self._with_team += np.array([_product(table, newcomer) for table in self._pool])


def _product(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float:
    return float(np.einsum("ij,ij->", one, other, dtype=np.float64))
