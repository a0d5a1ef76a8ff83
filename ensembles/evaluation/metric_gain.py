"""How a vote does by any metric, and by how much it is better than another one on the same images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ensembles.metrics.intervals import BOOTSTRAP_SEED, Groups, draw_bootstraps
from ensembles.metrics.scores import LEAST_PROBABILITY, accuracy, balanced_accuracy, cost_of, macro_f1, measure
from ensembles.voting.vote import Ballot
from trainables.metric import Metric

RESAMPLES = 2000
FEW_RESAMPLES = 200
"""Bootstraps by AUC, which sorts the images once a class."""


_OF_CLASSES: dict[Metric, Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64], int], float]] = {
    "accuracy": lambda predicted, labels, _: accuracy(predicted, labels),
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
}
"""Metrics of predicted classes, of which the probabilities do not matter."""


def measure_ballot(metric: Metric, ballot: Ballot, labels: npt.NDArray[np.int64]) -> float:
    """`metric` of a vote on images with these true classes, int64 (images,): by what it predicts, which may be another class than the
    likeliest, or by its probabilities."""
    if score := _OF_CLASSES.get(metric):
        return score(ballot.predicted, labels, ballot.probabilities.shape[1])
    return measure(metric, ballot.probabilities, labels)


def measure_metric_gain(
    metric: Metric, ours: Ballot, theirs: Ballot, labels: npt.NDArray[np.int64], groups: Groups = None
) -> tuple[float, tuple[float, float]]:
    """By how much `ours` is better than `theirs` on the same images, above zero is better, whichever way the metric goes; and the 95 %
    percentile interval of that over paired bootstraps of the images (Efron 1979), or of whole `groups`.

    A class of which a bootstrap draws no image does not count in that bootstrap.
    """
    gain_on = _gain_on(metric, ours, theirs, labels)
    resamples = FEW_RESAMPLES if metric == "auc" else RESAMPLES
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = np.array([gain_on(rows) for rows in draw_bootstraps(rng, len(labels), groups, resamples)])
    low, high = np.percentile(drawn, [2.5, 97.5], method="inverted_cdf")
    return gain_on(np.arange(len(labels))), (float(low), float(high))


def _gain_on(
    metric: Metric, ours: Ballot, theirs: Ballot, labels: npt.NDArray[np.int64]
) -> Callable[[npt.NDArray[np.int64]], float]:
    """The gain on some of the images; of metrics that are means over images, from a table of their differences."""
    if metric in ("log_loss", "brier"):
        extra = _costs(metric, theirs, labels) - _costs(metric, ours, labels)
        return lambda rows: float(extra[rows].mean())
    if score := _OF_CLASSES.get(metric):
        classes = ours.probabilities.shape[1]

        def gain_of_classes(rows: npt.NDArray[np.int64]) -> float:
            truth = labels[rows]
            return score(ours.predicted[rows], truth, classes) - score(theirs.predicted[rows], truth, classes)

        return gain_of_classes

    def gain(rows: npt.NDArray[np.int64]) -> float:
        ends = [cost_of(metric, measure_ballot(metric, _take(one, rows), labels[rows])) for one in (theirs, ours)]
        return ends[0] - ends[1]

    return gain


def _costs(metric: Metric, ballot: Ballot, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Values whose mean is the metric, float64 (images,)."""
    table = ballot.probabilities.astype(np.float64)
    of_true_class = table[np.arange(len(labels)), labels]
    if metric == "log_loss":
        found: npt.NDArray[np.float64] = -np.log(np.maximum(of_true_class, LEAST_PROBABILITY))
    else:
        found = (table**2).sum(1) - 2 * of_true_class + 1
    return found


def _take(ballot: Ballot, rows: npt.NDArray[np.int64]) -> Ballot:
    return Ballot(ballot.method, ballot.probabilities[rows], ballot.predicted[rows])
