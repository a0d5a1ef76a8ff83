"""A growing team's mean prediction, in the arithmetic of the library whose picks are reproduced, rounding for rounding."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from ensembles.config import TieRule

Floats = npt.NDArray[np.float64]
ROWS = slice(None)

SKLEARN_LEAST = float(np.finfo(np.float64).eps)
"""Smallest probability in scikit-learn's log-loss, as AutoGluon 1.6 calls it."""
OLD_LEAST = 1e-15
"""The same of scikit-learn 0.24, the last that auto-sklearn runs with."""


class TeamSum(Protocol):
    """The sum of the current team, and its mean with one more member."""

    least: float
    count: int

    def add(self, one: npt.NDArray[np.float32]) -> None:
        """Add the predictions `one`: float32 (images, classes), or any other shape that the sum was made with."""

    def base(self, rows: Any = ROWS) -> Floats:
        """The team's part of the mean with one more member; the new member's part is its prediction times `share`."""

    def join(self, one: npt.NDArray[np.float32], rows: Any = ROWS) -> Floats:
        """The mean with `one`, which has only these rows, before it is normalised to a sum of one."""

    def scale(self, joined: Floats) -> Floats:
        """The result of `join`, normalised as it is scored."""

    def loss(self, of_true_class: Floats, norm: Floats) -> float:
        """Log-loss in nats from the probabilities of the true class in `join`, (images,), and the rows' sums."""

    @property
    def share(self) -> float:
        """Weight of the new member in the mean."""


class PlainSum(TeamSum):
    """Sums in float64, as `vote` adds up."""

    least = 1e-12

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self._total = np.zeros(shape)

    @override
    def add(self, one: npt.NDArray[np.float32]) -> None:
        self._total += one
        self.count += 1

    @override
    def base(self, rows: Any = ROWS) -> Floats:
        part: Floats = self._total[rows] * self.share
        return part

    def join(self, one: npt.NDArray[np.float32], rows: Any = ROWS) -> Floats:
        """The sum, not the mean: sums of float32 are exact in float64, so that ties stay ties."""
        summed: Floats = self._total[rows] + one
        return summed

    @override
    def scale(self, joined: Floats) -> Floats:
        return joined

    @override
    def loss(self, of_true_class: Floats, norm: Floats) -> float:
        raise NotImplementedError("by log-loss, sums in float64 need the true class alone: see LossCosts")

    @property
    @override
    def share(self) -> float:
        return 1.0 / (self.count + 1)


class AutoGluonSum(TeamSum):
    """As AutoGluon's `EnsembleSelection` proceeds from pick to pick: the mean in float64, shares of float32 in float32."""

    least = SKLEARN_LEAST

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self._mean = np.zeros(shape)

    @override
    def add(self, one: npt.NDArray[np.float32]) -> None:
        self.count += 1
        self._mean *= (self.count - 1) / self.count
        self._mean += one / self.count

    @override
    def base(self, rows: Any = ROWS) -> Floats:
        part: Floats = (self.count / float(self.count + 1)) * self._mean[rows]
        return part

    @override
    def join(self, one: npt.NDArray[np.float32], rows: Any = ROWS) -> Floats:
        joined = self.base(rows)
        joined += self.share * one  # a Python float leaves float32 as it is: this product is rounded to 24 bits
        return joined

    @override
    def scale(self, joined: Floats) -> Floats:
        joined /= joined.sum(axis=1)[:, np.newaxis]
        return joined

    @override
    def loss(self, of_true_class: Floats, norm: Floats) -> float:
        from scipy.special import (
            xlogy,
        )  # its logarithm is not numpy's in the last bit, and it is what scikit-learn asks

        clipped = np.clip(of_true_class / norm, self.least, 1 - self.least)
        return float(np.mean(-xlogy(np.ones(len(clipped)), clipped)))

    @property
    @override
    def share(self) -> float:
        return 1.0 / float(self.count + 1)


class AutoSklearnSum(PlainSum):
    """As auto-sklearn's `EnsembleSelection` does in its fast mode: a sum in float64, then its mean, which by accuracy is not
    scaled."""

    least = OLD_LEAST

    def join(self, one: npt.NDArray[np.float32], rows: Any = ROWS) -> Floats:
        """The mean, of the same sum."""
        joined = super().join(one, rows)
        joined *= self.share
        return joined

    def loss(self, of_true_class: Floats, norm: Floats) -> float:
        """Here `norm` is the sum of the clipped row."""
        clipped = np.clip(of_true_class, self.least, 1 - self.least) / norm
        return float(np.mean(-np.log(clipped)))


def make_sum(ties: TieRule, shape: tuple[int, ...]) -> TeamSum:
    """The sum of an empty team."""
    kinds: dict[TieRule, type[PlainSum] | type[AutoGluonSum]] = {
        "caucus": PlainSum,
        "autogluon": AutoGluonSum,
        "auto-sklearn": AutoSklearnSum,
    }
    return kinds[ties](shape)


def norms(team: TeamSum, joined: Floats) -> Floats:
    """Divisors (images,) of the rows of `join` when they are scored by log-loss."""
    if isinstance(team, AutoSklearnSum):
        joined = np.clip(joined, team.least, 1 - team.least)
    found: Floats = joined.sum(axis=1)
    return found
