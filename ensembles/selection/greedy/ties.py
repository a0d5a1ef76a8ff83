"""Tie rules of greedy: which of equal picks it takes, and how many picks make the team at the end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from ensembles.config import TieRule

TIE = 1e-12
"""Costs that differ by less than this share are equal: rounding must not decide which members vote."""
DECIMALS = 6
"""Decimals to which AutoGluon rounds costs after its first pick."""
ROUNDED_ABOVE = 1e-4
"""AutoGluon rounds nothing if the first pick costs less than this."""


class TieBreak(Protocol):
    """A rule for ties."""

    def equals(self, costs: npt.NDArray[np.float64]) -> list[int]:
        """Positions with the least cost, rising."""

    def choose(self, equals: Sequence[int], team: Collection[int]) -> int:
        """The position in `equals` that is picked."""

    def round_cost(self, cost: float) -> float:
        """The cost after a pick, rounded as it is recorded in the path."""

    def team_size(self, path: Sequence[float], start: int) -> int:
        """How many picks make the team, at least `start`, by the costs after each."""


class FirstOfTeam(TieBreak):
    """`caucus`: a member of the team first, then the lowest position. The first of the best teams is returned."""

    @override
    def equals(self, costs: npt.NDArray[np.float64]) -> list[int]:
        least = float(costs.min())
        return [int(position) for position in np.flatnonzero(costs <= least + TIE * abs(least))]

    @override
    def choose(self, equals: Sequence[int], team: Collection[int]) -> int:
        return next((position for position in equals if position in team), equals[0])

    @override
    def round_cost(self, cost: float) -> float:
        return cost

    @override
    def team_size(self, path: Sequence[float], start: int) -> int:
        least = min(path[start - 1 :] if start else path)
        return next(
            count for count, cost in enumerate(path, start=1) if count >= start and cost <= least + TIE * abs(least)
        )


class AutoGluonTies(TieBreak):
    """A member of the team first, then a random one; the first of the best teams is returned (AutoGluon 1.6, `EnsembleSelection`)."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.RandomState(seed)
        self._rounded: bool | None = None

    @override
    def equals(self, costs: npt.NDArray[np.float64]) -> list[int]:
        if self._rounded:
            costs = costs.round(DECIMALS)
        close = np.isclose(costs, costs.min(), atol=0, rtol=TIE)
        return [int(position) for position in np.flatnonzero(close)]

    @override
    def choose(self, equals: Sequence[int], team: Collection[int]) -> int:
        members = [position for position in equals if position in team]
        return int(self._rng.choice(members or list(equals)))

    def round_cost(self, cost: float) -> float:
        """The first pick decides whether costs are rounded, its own among them."""
        if self._rounded is None:
            self._rounded = cost > ROUNDED_ABOVE
        return float(np.float64(cost).round(DECIMALS)) if self._rounded else cost

    @override
    def team_size(self, path: Sequence[float], start: int) -> int:
        first = max(start - 1, 0)
        return list(path).index(min(path[first:]), first) + 1


class AutoSklearnTies(TieBreak):
    """A random one of exact equals; the last team is returned, not the best (auto-sklearn 0.15, `EnsembleSelection`)."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.RandomState(seed)

    @override
    def equals(self, costs: npt.NDArray[np.float64]) -> list[int]:
        return [int(position) for position in np.flatnonzero(costs == costs.min())]

    @override
    def choose(self, equals: Sequence[int], team: Collection[int]) -> int:
        return int(self._rng.choice(list(equals)))

    @override
    def round_cost(self, cost: float) -> float:
        return cost

    @override
    def team_size(self, path: Sequence[float], start: int) -> int:
        return len(path)


def make_tie_break(ties: TieRule, seed: int) -> TieBreak:
    """The rule of that name. Random draws are those of numpy's `RandomState(seed)`, as in the two libraries."""
    match ties:
        case "caucus":
            return FirstOfTeam()
        case "autogluon":
            return AutoGluonTies(seed)
        case "auto-sklearn":
            return AutoSklearnTies(seed)
