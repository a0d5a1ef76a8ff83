"""Greedy by log-loss with exactly the picks of AutoGluon and of auto-sklearn, at a fraction of their time.

They normalise every candidate team's rows to a sum of one and score it in full. Here candidates pass three filters: float32
with an error bound; float64, still of the true class alone, with the normalisation to first order; and for the one or two that
are left, or if the sixth decimal is in doubt, the libraries' own arithmetic.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ensembles.config import TieRule
from ensembles.selection.greedy.by_loss import (
    BLOCK_VALUES,
    UNIT,
    near_least,
    rough_error,
    rough_losses,
    take_true_class,
)
from ensembles.selection.greedy.running_mean import make_sum, norms
from ensembles.selection.greedy.ties import DECIMALS, ROUNDED_ABOVE


class ReferenceLossCosts:
    """Log-loss of the team with each candidate, in the arithmetic of `ties`."""

    def __init__(self, probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], ties: TieRule) -> None:
        self._pool, self._labels, self._ties = probabilities, labels, ties
        self._of_true_class = take_true_class(probabilities, labels)
        self._team = make_sum(ties, probabilities.shape[1:])
        self._images = np.arange(len(labels))
        step = max(1, BLOCK_VALUES // probabilities.shape[2])
        self._blocks = [slice(start, start + step) for start in range(0, len(labels), step)]
        self._rounded = False
        members, _, classes = probabilities.shape
        self._mean_norm, self._norm_error = np.empty(members), np.full(members, classes * UNIT)
        self._off = np.empty(members)
        for position, one in enumerate(probabilities):
            norm = np.einsum("ij->i", one)
            self._mean_norm[position] = norm.mean(dtype=np.float64)
            self._off[position] = max(float(norm.max()) - 1, 1 - float(norm.min())) + classes * UNIT

    def costs_with_each(self, allowed: npt.NDArray[np.bool_], everyone: bool = False) -> npt.NDArray[np.float64]:
        """Cost of the team with each candidate, float64 (members,); see `Costs`."""
        costs = np.full(len(self._of_true_class), np.inf)
        if everyone:
            for position in np.flatnonzero(allowed).tolist():
                costs[position] = self._round(self._score(position))
            return costs
        team = self._team
        norm = np.concatenate([team.base(rows).sum(axis=1) for rows in self._blocks])
        # Of 1 + d, the logarithm is d but for d squared.
        off = float(np.abs(norm + team.share - 1).max()) + team.share * self._off
        error = off**2 + 4 * UNIT * team.share + 2e-15 * self._pool.shape[2] + 1e-13
        scaling = float(norm.mean()) - 1
        true_cells = (self._images, self._labels)
        rough = rough_losses(self._of_true_class, team.base(true_cells), team.share, team.least)
        rough += scaling + team.share * self._mean_norm
        wrong = error + rough_error(rough) + team.share * self._norm_error + self._at_the_floor(off)
        step = 10.0**-DECIMALS if self._rounded else 0.0
        near = near_least(rough, wrong + step / 2, allowed)
        for position in near:
            self._measure_norm(position)
            of_true_class = np.maximum(team.join(self._of_true_class[position], true_cells), team.least)
            floor = np.count_nonzero(of_true_class <= 2 * team.least) / len(of_true_class) * off[position]
            loss = -float(np.log(of_true_class).mean()) + scaling + team.share * self._mean_norm[position]
            rough[position], wrong[position] = loss, error[position] + floor + 1e-12 * (1 + abs(loss))
        low, high = rough[near] - wrong[near], rough[near] + wrong[near]
        if self._rounded:
            low, high = low.round(DECIMALS), high.round(DECIMALS)
        for place in np.flatnonzero(low <= high.min() * (1 + 1e-9)):
            sure = self._rounded and low[place] == high[place]
            costs[near[place]] = low[place] if sure else self._round(self._score(near[place]))
        return costs

    def add(self, position: int) -> None:
        """Add the candidate at `position` to the team."""
        if self._ties == "autogluon" and not self._team.count:
            self._rounded = abs(self._score(position)) > ROUNDED_ABOVE
        self._team.add(self._pool[position])

    def _round(self, loss: float) -> float:
        return float(np.float64(loss).round(DECIMALS)) if self._rounded else loss

    def _score(self, position: int) -> float:
        """The exact loss of the team with the candidate at `position`."""
        of_true_class, norm = np.empty(len(self._labels)), np.empty(len(self._labels))
        for rows in self._blocks:
            joined = self._team.join(self._pool[position, rows], rows)
            of_true_class[rows] = joined[np.arange(len(joined)), self._labels[rows]]
            norm[rows] = norms(self._team, joined)
        return self._team.loss(of_true_class, norm)

    def _measure_norm(self, position: int) -> None:
        """The mean of a candidate's row sums in float64, once it matters."""
        if self._norm_error[position]:
            self._mean_norm[position] = self._pool[position].sum(dtype=np.float64) / len(self._labels)
            self._norm_error[position] = 0.0

    def _at_the_floor(self, off: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Rows that give zero to the true class are not normalised: error bound of treating all rows as normalised."""
        base = self._team.base((self._images, self._labels))
        share: float = np.count_nonzero(base <= 2 * self._team.least) / len(base)
        return off * share
