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
"""Votes whose probabilities are confidences on images that they have not seen. Shares of votes and of ranks are none, and a
stacked vote would have to be stored, with its fitted coefficients, to give the same labels again."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """A team's vote on images that have no labels.

    labels       int64 (images,), the class that the vote predicts
    confidence   float32 (images,), the vote's probability of that class
    agreeing     int64 (images,), members whose own likeliest class it is
    labelled     bool (images,), whether confidence and agreement are sufficient
    """

    labels: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    agreeing: npt.NDArray[np.int64]
    labelled: npt.NDArray[np.bool_]


def agree(pool: PredictionPool, team: Team, method: VoteMethod, confidence: float, agreement: int) -> Agreement:
    """The pseudo-labels that the members of `team` give to the images of `pool` (Lee 2013, with a vote in place of one net).

    An image is labelled where the vote's highest probability is at least `confidence` and that class is the likeliest
    one of at least `agreement` members, each counted once whatever its weight. Votes that are no mean of probabilities
    are replaced by the soft vote. Equal probabilities go to the lower class number. Raises `MismatchedPredictions` if a
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
