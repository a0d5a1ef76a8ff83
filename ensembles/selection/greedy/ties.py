"""Which of equal picks greedy takes, and which of its teams it keeps at the end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ensembles.config import TieRule

TIE = 1e-12
"""Costs that differ by less than this share are equal: rounding must not decide who votes."""
DECIMALS = 6
"""That AutoGluon rounds costs to after its first pick."""
ROUNDED_ABOVE = 1e-4
"""Where the first pick costs less, AutoGluon rounds nothing."""


class TieBreak(Protocol):
    """A rule for equals."""

    def equals(self, costs: npt.NDArray[np.float64]) -> list[int]:
        """Positions with the least cost, rising."""

    def choose(self, equals: Sequence[int], team: Collection[int]) -> int:
        """One of them."""

    def settle(self, cost: float) -> float:
        """The cost after a pick, as it stands in the path."""

    def keep(self, path: Sequence[float], start: int) -> int:
        """How many picks make the team, at least `start`, by the costs after each."""


class FirstOfTeam:
    """`caucus`: one of the team, then the lowest position. The first of the best teams is kept."""

    def equals(self, costs: npt.NDArray[np.float64]) -> list[int]:
        """See `TieBreak`."""
        least = float(costs.min())
        return [int(position) for position in np.flatnonzero(costs <= least + TIE * abs(least))]

    def choose(self, equals: Sequence[int], team: Collection[int]) -> int:
        """See `TieBreak`."""
        return next((position for position in equals if position in team), equals[0])

    def settle(self, cost: float) -> float:
        """See `TieBreak`."""
        return cost

    def keep(self, path: Sequence[float], start: int) -> int:
        """See `TieBreak`."""
        least = min(path[start - 1 :] if start else path)
        return next(
            count for count, cost in enumerate(path, start=1) if count >= start and cost <= least + TIE * abs(least)
        )


class AutoGluonTies:
    """One of the team, then a random one; the first of the best teams is kept (AutoGluon 1.6, `EnsembleSelection`)."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.RandomState(seed)
        self._rounded: bool | None = None

    def equals(self, costs: npt.NDArray[np.float64]) -> list[int]:
        """See `TieBreak`."""
        if self._rounded:
            costs = costs.round(DECIMALS)
        close = np.isclose(costs, costs.min(), atol=0, rtol=TIE)
        return [int(position) for position in np.flatnonzero(close)]

    def choose(self, equals: Sequence[int], team: Collection[int]) -> int:
        """See `TieBreak`."""
        members = [position for position in equals if position in team]
        return int(self._rng.choice(members or list(equals)))

    def settle(self, cost: float) -> float:
        """The first pick decides whether costs are rounded, its own among them."""
        if self._rounded is None:
            self._rounded = cost > ROUNDED_ABOVE
        return float(np.float64(cost).round(DECIMALS)) if self._rounded else cost

    def keep(self, path: Sequence[float], start: int) -> int:
        """See `TieBreak`."""
        first = max(start - 1, 0)
        return list(path).index(min(path[first:]), first) + 1


class AutoSklearnTies:
    """A random one of exact equals; the last team is kept, not the best (auto-sklearn 0.15, `EnsembleSelection`)."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.RandomState(seed)

    def equals(self, costs: npt.NDArray[np.float64]) -> list[int]:
        """See `TieBreak`."""
        return [int(position) for position in np.flatnonzero(costs == costs.min())]

    def choose(self, equals: Sequence[int], team: Collection[int]) -> int:
        """See `TieBreak`."""
        return int(self._rng.choice(list(equals)))

    def settle(self, cost: float) -> float:
        """See `TieBreak`."""
        return cost

    def keep(self, path: Sequence[float], start: int) -> int:
        """See `TieBreak`."""
        return len(path)


def make_tie_break(ties: TieRule, seed: int) -> TieBreak:
    """The rule of that name. Random choices are those of numpy's `RandomState(seed)`, as in the two libraries."""
    match ties:
        case "caucus":
            return FirstOfTeam()
        case "autogluon":
            return AutoGluonTies(seed)
        case "auto-sklearn":
            return AutoSklearnTies(seed)
