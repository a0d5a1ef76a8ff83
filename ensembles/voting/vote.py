"""The vote of a team: one of eight methods, or a plug-in, combines its members' predictions into one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from ensembles.config import VoteMethod
from ensembles.pool.pool import PredictionPool
from ensembles.team import Team
from ensembles.voting.arrays import Array, Tables, check_probabilities
from ensembles.voting.stacking import Stacking
from trainables.errors import DamagedObject, MismatchedPredictions, PluginUnusable
from trainables.plugins.call import choose_keys, naming
from trainables.plugins.kind import is_plugin
from trainables.plugins.kinds import VOTE
from trainables.results.checkpoint import CheckpointId
from trainables.results.pruned_checkpoint import PrunedId

VOTES: tuple[VoteMethod, ...] = VOTE.names
"""The built-in methods."""

Combine = Callable[..., Array]
"""A vote that learns nothing: `combine(tables, weights, **keys)`. `tables` are the members' predictions, float (images, classes) each,
as arrays of numpy or, in the program of a bundle, of torch; `weights` one number a member, adding up to one. It returns
probabilities (images, classes), each row adding up to one; the likeliest class is predicted, of equals the lower number. A plug-in
that uses numpy alone works too, but then a bundle has no program."""


class FittedVote(Protocol):
    """A vote that learns from validation: a class with these methods is one; its instances are frozen."""

    @classmethod
    def fit(cls, tables: Sequence[Array], labels: npt.NDArray[np.int64], **keys: Any) -> Self:
        """The vote fitted to the members' predictions of validation and to the labels, int64 (images,)."""
        ...

    def combine(self, tables: Sequence[Array], weights: Sequence[float]) -> Array:
        """As `Combine`. The members come in the order of `fit`."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """All that was learned, for JSON."""
        ...

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        ...


@dataclass(frozen=True, eq=False)
class Ballot:
    """A team's predictions for every image of a split.

    probabilities    float64 (images, classes); for a hard vote the shares of votes, for ranks the shares of points
    predicted        int64 (images,), positions in the class names: the likeliest class, the lower number of equals
    """

    method: VoteMethod
    probabilities: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Voter:
    """A team that is ready to vote on any split, valid by construction.

    members     the checkpoints that vote
    weights     one a member, adding up to one; votes that count or average all members alike ignore them
    fitted      what a vote has learned, with the members in the order of their names; None for one that learns nothing
    keys        the keys of a plug-in
    """

    method: VoteMethod
    members: tuple[CheckpointId, ...]
    weights: tuple[float, ...]
    fitted: FittedVote | None = None
    keys: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        VOTE.check(self.method)
        if not self.members or len(self.weights) != len(self.members):
            raise ValueError(f"a {self.method} vote of {len(self.members)} members with {len(self.weights)} weights")
        if not is_plugin(self.method) and (self.fitted is not None) != is_fitted(self.method):
            raise ValueError("a stacked vote, and no other, has a regression: make it with `fit_voter`")
        if isinstance(self.fitted, Stacking) and len(self.fitted.weights) != len(self.members):
            raise ValueError(f"{len(self.fitted.weights)} stacked weights for {len(self.members)} members")

    def vote(self, pool: PredictionPool, rows: npt.NDArray[np.int64] | None = None) -> Ballot:
        """The vote on the images of `pool`, a pool of any split, or on those at `rows` alone.

        Raises `MismatchedPredictions` if a member has no predictions, or the classes differ, and `PluginUnusable` where a plug-in
        fails or returns anything but probabilities.
        """
        probabilities = self.combine(_tables(pool, self.members, rows))
        return Ballot(self.method, probabilities, probabilities.argmax(1))

    def combine(self, tables: Sequence[Array]) -> Array:
        """The team's probabilities, float64 (images, classes), from those of its members in their order, in numpy or torch.

        Members are processed by name, so that their order changes no bit.
        """
        order = by_name(self.members)
        tables, weights = [tables[place] for place in order], [self.weights[place] for place in order]
        if self.fitted is not None:
            combine: Combine = self.fitted.combine
        else:
            combine = VOTE.find(self.method)
        if not is_plugin(self.method):
            return combine(tables, weights)
        where = f"ensemble.vote is {self.method}"
        with naming(where):
            found = combine(tables, weights, **choose_keys(combine, 2, {}, self.keys))
        return check_probabilities(where, found, tables[0])

    def to_dict(self) -> dict[str, Any]:
        """All fields for JSON; `read_voter` is the inverse."""
        payload: dict[str, Any] = {
            "method": self.method,
            "members": [asdict(member) for member in self.members],
            "weights": list(self.weights),
        }
        payload |= {"keys": dict(self.keys)} if self.keys else {}
        return payload if self.fitted is None else payload | {"fitted": self.fitted.to_dict()}


def is_fitted(method: VoteMethod) -> bool:
    """Whether a vote learns from validation. Raises `PluginUnusable` where a plug-in cannot be imported."""
    return hasattr(VOTE.find(method), "fit")


def by_name(members: Sequence[CheckpointId]) -> list[int]:
    """Places of `members` in the order of their names."""
    return sorted(range(len(members)), key=lambda place: str(members[place]))


def fit_voter(
    validation: PredictionPool,
    team: Team,
    method: VoteMethod,
    rows: npt.NDArray[np.int64] | None = None,
    keys: Mapping[str, Any] | None = None,
) -> Voter:
    """The voter of `team` by `method`, fitted on `validation`, or on its `rows` alone. `keys` are those of a plug-in.

    Only `stacked` and some plug-ins are fitted. Raises `MismatchedPredictions` if one would be fitted on another split than
    validation, or if a member has no predictions there.
    """
    keys = {} if keys is None or not is_plugin(method) else keys
    if not is_fitted(method):
        return Voter(method, team.members, team.weights, keys=keys)
    if validation.split != "validation":
        raise MismatchedPredictions(
            f"a {method} vote was to be fitted on split {validation.split}: it learns from validation, so that test can judge it"
        )
    vote_class: type[FittedVote] = VOTE.find(method)
    members = [team.members[place] for place in by_name(team.members)]
    if not is_plugin(method):
        tables = _tables(validation, members, None)
        return Voter(method, team.members, team.weights, vote_class.fit(tables, validation.labels, rows=rows))
    labels = validation.labels if rows is None else validation.labels[rows]
    with naming(f"ensemble.vote is {method}"):
        fitted = vote_class.fit(_tables(validation, members, rows), labels, **choose_keys(vote_class.fit, 2, {}, keys))
    return Voter(method, team.members, team.weights, fitted, keys)


def vote(pool: PredictionPool, team: Team, method: VoteMethod) -> Ballot:
    """The vote of the members of `team` on the images of `pool`, a pool of any split; see `Voter.vote`.

    Raises `MismatchedPredictions` if a member has no predictions, and `ValueError` for a stacked vote, which has to be
    fitted first: `fit_voter(validation, team, method).vote(pool)`.
    """
    return Voter(method, team.members, team.weights).vote(pool)


def read_voter(payload: Mapping[str, Any]) -> Voter:
    """The inverse of `Voter.to_dict`. Raises `DamagedObject`, and `PluginUnusable` for a fitted plug-in that may not be imported."""
    try:
        members = tuple((PrunedId if "sparsity" in one else CheckpointId)(**one) for one in payload["members"])
        weights, keys = tuple(map(float, payload["weights"])), dict(payload.get("keys") or {})
        fitted = payload.get("fitted")
        if "stacking" in payload:  # a bundle of a former version, whose weights are in the order of its members
            theirs = payload["stacking"]["weights"]
            fitted = {**payload["stacking"], "weights": [theirs[place] for place in by_name(members)]}
        found = VOTE.find(VOTE.check(payload["method"])).read(fitted) if fitted is not None else None
        return Voter(payload["method"], members, weights, found, keys)
    except PluginUnusable:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DamagedObject(
            f"the vote on record is not readable ({type(error).__name__}: {error}): fit and write it again"
        ) from None


def _tables(pool: PredictionPool, members: Sequence[CheckpointId], rows: npt.NDArray[np.int64] | None) -> Tables:
    """The predictions of each member, in that order: views of the pool, or copies of `rows`."""
    found = [pool.probabilities[pool.position(member)] for member in members]
    return found if rows is None else [table[rows] for table in found]
