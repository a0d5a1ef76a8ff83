"""Multi-class boosting: SAMME (Zhu, Zou, Rosset and Hastie 2009), as pure arithmetic.

Each round has other weights of the training images: images that the previous round misclassifies count more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class RoundOutcome:
    """The outcome of a round of SAMME.

    error      share of the weights that belong to misclassified images, 0 to 1
    weight     weight of its vote: log((1 - error) / error) + log(classes - 1); not above zero where it is no better than guessing
    weights    float64 (images,) for the next round, adding up to one
    """

    error: float
    weight: float
    weights: npt.NDArray[np.float64]


def evaluate_round(weights: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_], classes: int) -> RoundOutcome:
    """The outcome of a round that misclassifies the images `wrong` (images,), trained with `weights` (images,) that add up to one.

    A round without an error counts as if it had misclassified half an image of equal weight: its vote would be infinite, where
    scikit-learn's `AdaBoostClassifier` gives it 1.

    >>> outcome = evaluate_round(np.full(4, 0.25), np.array([True, False, False, False]), classes=3)
    >>> round(outcome.weight, 4), outcome.weights.round(4).tolist()  # log 3 + log 2 = log 6
    (1.7918, [0.6667, 0.1111, 0.1111, 0.1111])
    """
    error = float(weights[wrong].sum() / weights.sum())
    least = 0.5 / len(weights)
    bounded = min(max(error, least), 1 - least)
    vote = math.log((1 - bounded) / bounded) + math.log(classes - 1)
    raised = np.where(wrong, weights * math.exp(vote), weights)
    return RoundOutcome(error, vote, raised / raised.sum())
