"""A team: its members, their weights, and how it was selected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ensembles.config import Metric, SelectMethod
from trainables.results.checkpoint import CheckpointId


@dataclass(frozen=True)
class Team:
    """A team and how it was selected, valid by construction.

    members             the checkpoints that vote, all different: for greedy in the order of their first pick, for `top` and
                        `best` the best first, for `all` as in the pool
    weights             one a member, above zero, adding up to one: for greedy the share of the picks, for `best`, `top` and
                        `all` all equal
    how                 the rule, as `ensemble.select` names it
    metric              the unit of `path` and `validation_score`; low is good for log_loss (nats) and brier, high for the others
    picks               every pick of greedy in order, including those after the best team; empty for other rules
    path                validation score of the team after each pick
    validation_score    score of the weighted team on the images that selected it: optimistic, never to be reported as its worth
    kept                how many of `picks` make the team; 0: up to the first with the best score
    """

    members: tuple[CheckpointId, ...]
    weights: tuple[float, ...]
    how: SelectMethod
    metric: Metric
    picks: tuple[CheckpointId, ...]
    path: tuple[float, ...]
    validation_score: float
    kept: int = 0

    def __post_init__(self) -> None:
        if not self.members or len(set(self.members)) != len(self.members):
            raise ValueError(f"a team needs members, each once: {', '.join(map(str, self.members)) or 'none'}")
        if len(self.weights) != len(self.members) or not all(weight > 0 for weight in self.weights):
            raise ValueError(f"weights are {self.weights}: one above zero for each of {len(self.members)} members")
        if not math.isclose(sum(self.weights), 1, rel_tol=1e-9):
            raise ValueError(f"weights add up to {sum(self.weights)}, not to one")
        if len(self.picks) != len(self.path):
            raise ValueError(f"{len(self.picks)} picks, but {len(self.path)} scores of picks")
        if self.path and self.validation_score not in self.path:
            raise ValueError(f"the team's score of {self.validation_score} was reached by no pick")
        if not 0 <= self.kept <= len(self.picks):
            raise ValueError(f"{self.kept} of {len(self.picks)} picks cannot make the team")

    @property
    def kept_picks(self) -> int:
        """How many of `picks` make the team; 0 if there are no picks."""
        if self.kept:
            return self.kept
        return self.path.index(self.validation_score) + 1 if self.path else 0


def team_of_equals(
    members: Sequence[CheckpointId],
    how: SelectMethod = "all",
    metric: Metric = "accuracy",
    validation_score: float = 0.0,
) -> Team:
    """A team with equal weights, for comparison: it has no picks, and a score only if one is passed.

    Raises `ValueError` if there are no members, or one occurs twice.
    """
    share = 1 / max(1, len(members))  # `Team` raises if there are no members
    return Team(tuple(members), (share,) * len(members), how, metric, (), (), validation_score)
