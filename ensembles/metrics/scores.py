"""Scores of predictions. The metrics themselves are in `trainables.scores`: a worker measures them after each epoch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainables.metric import LOW_IS_GOOD as LOW_IS_GOOD
from trainables.scores import LEAST_PROBABILITY as LEAST_PROBABILITY
from trainables.scores import accuracy as accuracy
from trainables.scores import balanced_accuracy as balanced_accuracy
from trainables.scores import brier as brier
from trainables.scores import cost_of as cost_of
from trainables.scores import log_loss as log_loss
from trainables.scores import macro_f1 as macro_f1
from trainables.scores import mean_auc as mean_auc
from trainables.scores import measure as measure

ECE_BINS = 15


def expected_calibration_error(
    confidence: npt.NDArray[np.floating], correct: npt.NDArray[np.bool_], bins: int = ECE_BINS
) -> float:
    """How far confidence is from accuracy, on average (Guo 2017): 0 is calibrated, 1 is as wrong as can be.

    confidence    (images,), the probability given to the predicted class
    correct       bool (images,), whether that class is true

    Bins are of equal width and hold their upper end: (0, 1/15], (1/15, 2/15] … as in Guo's equation 3.
    """
    upper = np.linspace(0, 1, bins + 1)[1:-1]
    place = np.digitize(confidence, upper, right=True)
    surplus = np.bincount(place, weights=confidence.astype(np.float64) - correct, minlength=bins)
    return float(np.abs(surplus).sum() / len(correct))
