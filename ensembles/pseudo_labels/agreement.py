"""Which images an ensemble labels: those on which its vote is sure of a class and enough members each say that class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.config import VoteMethod
from ensembles.pool.pool import PredictionPool
from ensembles.team import Team
from ensembles.voting.vote import vote

MEANS: frozenset[VoteMethod] = frozenset({"soft", "weighted", "geometric", "confidence"})
"""Votes that tell how sure they are of images they have not seen. Shares of vote_counts and of ranks say nothing of that, and a
stacked vote would have to be on record, with what it has learned, to give the same labels again."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """What a team says of images that have no labels.

    labels       int64 (images,), the class that the vote is for
    confidence   float32 (images,), the vote's probability of it
    agreeing     int64 (images,), members whose own likeliest class it is
    labelled     bool (images,), whether that is enough
    """

    labels: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    agreeing: npt.NDArray[np.int64]
    labelled: npt.NDArray[np.bool_]


def agree(pool: PredictionPool, team: Team, method: VoteMethod, confidence: float, agreement: int) -> Agreement:
    """What the members of `team` label of the images of `pool` (Lee 2013, with a vote in place of the one net).

    An image is labelled where the vote's highest probability is at least `confidence` and that class is the likeliest
    one of at least `agreement` members, each counted once whatever its weight. Votes that are no mean of probabilities
    are replaced by the soft one. Equal probabilities go to the lower class number. Raises `MismatchedPredictions` where a
    member has no predictions.
    """
    ballot = vote(pool, team, method if method in MEANS else "soft")
    # In float32, as it is written down: 0.95 as a float32 is a little below 0.95, and must still count as 0.95.
    top = ballot.probabilities.max(1).astype(np.float32)
    agreeing = np.zeros(len(top), np.int64)
    for member in team.members:
        agreeing += pool.probabilities[pool.position(member)].argmax(1) == ballot.predicted
    return Agreement(
        labels=ballot.predicted.astype(np.int64),
        confidence=top,
        agreeing=agreeing,
        labelled=(top >= np.float32(confidence)) & (agreeing >= agreement),
    )
