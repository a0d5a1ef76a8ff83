"""The vote of a team: three ways to make one prediction of many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.choice import Choice
from ensembles.config import VoteMethod
from ensembles.pool import PredictionPool

VOTES: tuple[VoteMethod, ...] = ("hard", "soft", "weighted")


@dataclass(frozen=True, eq=False)
class Ballot:
    """What a team says of every image of a split.

    probabilities    float64 (images, classes); of a hard vote the shares of voices
    predicted        int64 (images,), positions in the class names
    """

    method: VoteMethod
    probabilities: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.int64]


def vote(pool: PredictionPool, choice: Choice, method: VoteMethod) -> Ballot:
    """The vote of the members of `choice` on the images of `pool`, a pool of any split.

    hard        each member has one voice, whatever its weight, and gives it to its likeliest class. The class with
                the most voices wins; of equals the one with the higher mean probability, then the lower class number
    soft        the mean of the members' probabilities, each member counted once
    weighted    the mean by `choice.weights`: what greedy selection has optimised

    Equal probabilities go to the lower class number. Raises `MismatchedPredictions` where a member has no predictions.
    """
    positions = [pool.position(member) for member in choice.members]
    # Equal weights are ones and divided by at the end: sums of float32 in float64 are exact, so that ties stay ties.
    weights = choice.weights if method == "weighted" else (1.0,) * len(positions)
    mean = np.zeros(pool.probabilities.shape[1:])
    for position, weight in zip(positions, weights, strict=True):  # one by one: a team may be hundreds of members
        mean += weight * pool.probabilities[position].astype(np.float64)
    mean /= 1 if method == "weighted" else len(positions)
    if method != "hard":
        return Ballot(method, mean, mean.argmax(1))
    voices = np.zeros(mean.shape, np.int64)
    images = np.arange(len(mean))
    for position in positions:
        voices[images, pool.probabilities[position].argmax(1)] += 1
    leads = voices == voices.max(1, keepdims=True)
    return Ballot(method, voices / len(positions), np.where(leads, mean, -1.0).argmax(1))
