"""Boosting of classifiers with many classes: SAMME (Zhu, Zou, Rosset and Hastie 2009), as pure arithmetic.

Each round sees the training images with other weights: those that the round before had wrong count more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class RoundOutcome:
    """What a round of SAMME comes to.

    error      share of the weights whose images it has wrong, 0 to 1
    weight     of its vote: log((1 - error) / error) + log(classes - 1); none above zero where it is no better than guessing
    weights    float64 (images,) for the round after it, adding up to one
    """

    error: float
    weight: float
    weights: npt.NDArray[np.float64]


def evaluate_round(weights: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_], classes: int) -> RoundOutcome:
    """The round that had the images `wrong` (images,), trained with `weights` (images,) that add up to one.

    A round without an error counts as if it had half an image of equal weight wrong: its vote would be infinite, where
    scikit-learn's `AdaBoostClassifier` gives it 1.

    >>> judged = evaluate_round(np.full(4, 0.25), np.array([True, False, False, False]), classes=3)
    >>> round(judged.weight, 4), judged.weights.round(4).tolist()  # log 3 + log 2 = log 6
    (1.7918, [0.6667, 0.1111, 0.1111, 0.1111])
    """
    error = float(weights[wrong].sum() / weights.sum())
    least = 0.5 / len(weights)
    bounded = min(max(error, least), 1 - least)
    vote = math.log((1 - bounded) / bounded) + math.log(classes - 1)
    raised = np.where(wrong, weights * math.exp(vote), weights)
    return RoundOutcome(error, vote, raised / raised.sum())
