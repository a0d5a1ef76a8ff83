"""Checks which candidates still fit: a team's parameters, operations and latency against its budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.config import CostBudget
from trainables.errors import SweepFileError
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialCost


@dataclass(frozen=True, eq=False)
class RemainingBudget:
    """The share of a budget that each candidate takes.

    shares    float64 (limits, members): each candidate's cost as a share of each limit
    limits    (key of the budget, its limit), for messages
    """

    shares: npt.NDArray[np.float64]
    limits: tuple[tuple[str, float], ...]

    def empty(self) -> Spent:
        """The spending of an empty team."""
        return Spent(self)

    def too_small(self) -> SweepFileError:
        """The error if not even one candidate fits."""
        nearest = int(self.shares.max(0).argmin())
        worst = int(self.shares[:, nearest].argmax())
        key, limit = self.limits[worst]
        needs = self.shares[worst, nearest] * limit
        return SweepFileError(
            f"ensemble.budget.{key} is {limit:g}, but none of {self.shares.shape[1]} checkpoints fits; the nearest takes "
            f"{needs:g}: raise ensemble.budget.{key}"
        )


class Spent:
    """The spending of a team: the sum over its different members."""

    def __init__(self, remaining: RemainingBudget) -> None:
        self._shares = remaining.shares
        self._inside = np.zeros(remaining.shares.shape[1], bool)

    def fits(self) -> npt.NDArray[np.bool_]:
        """Candidates that still fit, bool (members,). Members of the team fit again, at no cost."""
        spent = self._shares[:, self._inside].sum(1)
        # Sums are rounded: a team that takes exactly the limit fits.
        found: npt.NDArray[np.bool_] = self._inside | (spent[:, np.newaxis] + self._shares <= 1 + 1e-9).all(0)
        return found

    def prices(self) -> npt.NDArray[np.float64]:
        """The largest share of any limit that each candidate would take, float64 (members,)."""
        return np.where(self._inside, 0.0, self._shares.max(0))

    def add(self, position: int) -> None:
        """Add the candidate at `position` to the team."""
        self._inside[position] = True


def start_budget(
    budget: CostBudget, members: Sequence[CheckpointId], costs: Mapping[str, TrialCost] | None
) -> RemainingBudget | None:
    """The budget before the first pick; None if nothing is limited. `costs` are by trial_id; raises `SweepFileError` if the cost
    of a candidate is missing."""
    limits = tuple((key, float(limit)) for key, limit in budget.model_dump().items() if limit is not None)
    if not limits:
        return None
    given_costs = costs or {}
    missing = list(dict.fromkeys(member.trial_id for member in members if member.trial_id not in given_costs))
    if missing:
        raise SweepFileError(
            f"ensemble.budget.{limits[0][0]} is set, but what {len(missing)} trials cost is not known, {missing[0]} "
            "among them: leave ensemble.budget out, or train these again"
        )
    shares = [[getattr(given_costs[member.trial_id], key) / limit for member in members] for key, limit in limits]
    return RemainingBudget(np.array(shares, np.float64), limits)
