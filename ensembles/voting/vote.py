"""The vote of a team: eight methods to combine its members' predictions into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from ensembles.config import VoteMethod
from ensembles.pool.pool import PredictionPool
from ensembles.team import Team
from ensembles.voting.counting import majority, mean_rank, plurality
from ensembles.voting.means import Tables, confident_mean, geometric_mean, mean_of, weighted_mean
from ensembles.voting.stacking import Stacking, fit_stacking
from trainables.errors import DamagedObject, MismatchedPredictions
from trainables.results.checkpoint import CheckpointId
from trainables.results.pruned_checkpoint import PrunedId

VOTES: tuple[VoteMethod, ...] = get_args(VoteMethod)


@dataclass(frozen=True, eq=False)
class Ballot:
    """A team's predictions for every image of a split.

    probabilities    float64 (images, classes); for a hard vote the shares of votes, for ranks the shares of points
    predicted        int64 (images,), positions in the class names: the likeliest class, the lower number of equals
    undecided        for a majority vote the number of images on which no class has more than half of the votes, so that the
                     soft vote decides; 0 for other votes
    """

    method: VoteMethod
    probabilities: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.int64]
    undecided: int = 0


@dataclass(frozen=True)
class Voter:
    """A team that is ready to vote on any split, valid by construction.

    members     the checkpoints that vote
    weights     one a member, adding up to one; only the weighted vote uses them
    stacking    the regression of a stacked vote, else None
    """

    method: VoteMethod
    members: tuple[CheckpointId, ...]
    weights: tuple[float, ...]
    stacking: Stacking | None = None

    def __post_init__(self) -> None:
        if self.method not in VOTES or not self.members or len(self.weights) != len(self.members):
            raise ValueError(f"a {self.method} vote of {len(self.members)} members with {len(self.weights)} weights")
        if (self.stacking is not None) != (self.method == "stacked"):
            raise ValueError("a stacked vote, and no other, has a regression: make it with `fit_voter`")
        if self.stacking is not None and len(self.stacking.weights) != len(self.members):
            raise ValueError(f"{len(self.stacking.weights)} stacked weights for {len(self.members)} members")

    def vote(self, pool: PredictionPool, rows: npt.NDArray[np.int64] | None = None) -> Ballot:
        """The vote on the images of `pool`, a pool of any split, or on those at `rows` alone.

        hard          each member has one vote, whatever its weight, and gives it to its likeliest class. The class with
                      the most votes wins; of equals the one with the higher mean probability, then the lower number
        majority      the same, but only more than half of the votes win; else the soft vote decides
        soft          the mean of the members' probabilities, each member counted once
        geometric     their geometric mean, each row scaled to a sum of one
        weighted      the mean by `weights`, which greedy selection has optimised
        confidence    the mean, weighted on each image by each member's certainty there
        rank          the mean of the ranks that the members give to the classes; ties as in a hard vote
        stacked       a logistic regression on the members' log-probabilities

        Equal probabilities go to the lower class number. Members are processed by name, so that their order changes no bit.
        Raises `MismatchedPredictions` if a member has no predictions, or the classes differ.
        """
        order = self._order()
        tables = _tables(pool, [self.members[place] for place in order], rows)
        match self.method:
            case "hard":
                return Ballot(self.method, *plurality(tables))
            case "majority":
                return Ballot(self.method, *majority(tables))
            case "rank":
                return Ballot(self.method, *mean_rank(tables))
            case "soft":
                mean = mean_of(tables)
            case "geometric":
                mean = geometric_mean(tables)
            case "weighted":
                mean = weighted_mean(tables, [self.weights[place] for place in order])
            case "confidence":
                mean = confident_mean(tables)
            case "stacked":
                mean = self._stack(tables, order)
        return Ballot(self.method, mean, mean.argmax(1))

    def to_dict(self) -> dict[str, Any]:
        """All fields for JSON; `read_voter` is the inverse."""
        payload: dict[str, Any] = {
            "method": self.method,
            "members": [asdict(member) for member in self.members],
            "weights": list(self.weights),
        }
        return payload if self.stacking is None else payload | {"stacking": self.stacking.to_dict()}

    def _order(self) -> list[int]:
        return sorted(range(len(self.members)), key=lambda place: str(self.members[place]))

    def _stack(self, tables: Tables, order: list[int]) -> npt.NDArray[np.float64]:
        assert self.stacking is not None
        classes = len(self.stacking.bias)
        if tables[0].shape[1] != classes:
            raise MismatchedPredictions(
                f"the stacked vote was fitted to {classes} classes, but these predictions have {tables[0].shape[1]}: fit it again"
            )
        weights = tuple(self.stacking.weights[place] for place in order)
        return Stacking(weights, self.stacking.bias).combine(tables)


def fit_voter(
    validation: PredictionPool, team: Team, method: VoteMethod, rows: npt.NDArray[np.int64] | None = None
) -> Voter:
    """The voter of `team` by `method`, fitted on `validation`, or on its `rows` alone.

    Only `stacked` is fitted. Raises `MismatchedPredictions` if it would be fitted on another split than validation, or if a
    member has no predictions there.
    """
    if method != "stacked":
        return Voter(method, team.members, team.weights)
    if validation.split != "validation":
        raise MismatchedPredictions(
            f"a stacked vote was to be fitted on split {validation.split}: it learns from validation, so that test can judge it"
        )
    order = sorted(range(len(team.members)), key=lambda place: str(team.members[place]))
    tables = _tables(validation, [team.members[place] for place in order], None)
    found = fit_stacking(tables, validation.labels, rows)
    weights = tuple(found.weights[order.index(place)] for place in range(len(order)))
    return Voter(method, team.members, team.weights, Stacking(weights, found.bias))


def vote(pool: PredictionPool, team: Team, method: VoteMethod) -> Ballot:
    """The vote of the members of `team` on the images of `pool`, a pool of any split; see `Voter.vote`.

    Raises `MismatchedPredictions` if a member has no predictions, and `ValueError` for a stacked vote, which has to be
    fitted first: `fit_voter(validation, team, method).vote(pool)`.
    """
    return Voter(method, team.members, team.weights).vote(pool)


def read_voter(payload: Mapping[str, Any]) -> Voter:
    """The inverse of `Voter.to_dict`. Raises `DamagedObject`."""
    try:
        stacking = Stacking.read(payload["stacking"]) if "stacking" in payload else None
        return Voter(
            payload["method"],
            tuple((PrunedId if "sparsity" in one else CheckpointId)(**one) for one in payload["members"]),
            tuple(map(float, payload["weights"])),
            stacking,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedObject(
            f"the vote on record is not readable ({type(error).__name__}: {error}): fit and write it again"
        ) from None


def _tables(pool: PredictionPool, members: list[CheckpointId], rows: npt.NDArray[np.int64] | None) -> Tables:
    """The predictions of each member, in that order: views of the pool, or copies of `rows`."""
    found = [pool.probabilities[pool.position(member)] for member in members]
    return found if rows is None else [table[rows] for table in found]
