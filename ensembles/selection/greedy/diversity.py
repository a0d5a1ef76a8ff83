"""Finds candidates whose errors are least like the team's: used only among ties, because as an objective it harms (Abe 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ensembles.pool.pool import PredictionPool


class TeamErrors:
    """The images that the current team has wrong."""

    def __init__(self, pool: PredictionPool) -> None:
        self._pool = pool
        self._total = np.zeros(pool.probabilities.shape[1:])
        self._wrong = np.zeros(len(pool.labels), bool)

    def least_alike(self, equals: Sequence[int]) -> list[int]:
        """The positions in `equals` with the least share of common errors: of the images that the team or the candidate has wrong,
        those that both have (Jaccard 1901)."""
        if len(equals) < 2 or not self._wrong.any():
            return list(equals)
        shares = []
        for position in equals:
            wrong = self._pool.probabilities[position].argmax(1) != self._pool.labels
            shares.append(np.count_nonzero(wrong & self._wrong) / np.count_nonzero(wrong | self._wrong))
        return [position for position, share in zip(equals, shares, strict=True) if share == min(shares)]

    def add(self, position: int) -> None:
        """Add the candidate at `position` to the team."""
        self._total += self._pool.probabilities[position]
        self._wrong = self._total.argmax(1) != self._pool.labels
