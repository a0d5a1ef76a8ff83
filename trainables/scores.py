"""Scores of predictions. Pure functions of arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainables.metric import LOW_IS_GOOD, Metric

LEAST_PROBABILITY = 1e-12
"""Log-loss clips smaller probabilities to this: else one image on which a softmax, or a hard vote, gives zero to the true
class would make the whole loss infinite. Such an image costs 27.6 nats instead."""


def accuracy(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> float:
    """Share of images whose class was predicted. Both int64 (images,), at least one image."""
    return float(np.mean(predicted == labels))


def log_loss(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """Mean negative log-likelihood in nats of the true classes. (images, classes) and int64 (images,).

    Probabilities below `LEAST_PROBABILITY` count as that; rows are not normalised to a sum of one.
    """
    of_true_class = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.mean(np.log(np.maximum(of_true_class, LEAST_PROBABILITY))))


def measure(metric: Metric, probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """`metric` of a prediction: probabilities (images, classes), labels int64 (images,), at least one image.

    The likeliest class is predicted; of equals the lower one. Of `LOW_IS_GOOD` low is good, of the others high.
    """
    match metric:
        case "log_loss":
            return log_loss(probabilities, labels)
        case "brier":
            return brier(probabilities, labels)
        case "auc":
            return mean_auc(probabilities, labels)
    predicted = probabilities.argmax(1)
    match metric:
        case "accuracy":
            return accuracy(predicted, labels)
        case "balanced_accuracy":
            return balanced_accuracy(predicted, labels, probabilities.shape[1])
        case "macro_f1":
            return macro_f1(predicted, labels, probabilities.shape[1])


def cost_of(metric: Metric, score: float) -> float:
    """The score, with its sign changed if necessary so that low is good."""
    return score if metric in LOW_IS_GOOD else -score


def balanced_accuracy(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], classes: int) -> float:
    """Mean over the classes that occur in `labels` of the share of their images that is right (recall)."""
    images = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[predicted == labels], minlength=classes)
    return float(np.mean(right[images > 0] / images[images > 0]))


def macro_f1(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], classes: int) -> float:
    """Mean F1 of the classes that occur in `labels` or are predicted; a class that is never right has 0."""
    true = np.bincount(labels, minlength=classes)
    named = np.bincount(predicted, minlength=classes)
    right = np.bincount(labels[predicted == labels], minlength=classes)
    seen = true + named > 0
    return float(np.mean(2 * right[seen] / (true + named)[seen]))


def brier(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """Mean over images of the squared distance to the one-hot label, summed over classes (Brier 1950): 0 to 2.

    scikit-learn's for two classes is that of one of them, half of this.
    """
    images = np.arange(len(labels))
    square = np.einsum("ij,ij->i", probabilities, probabilities, dtype=np.float64)
    return float(np.mean(square - 2 * probabilities[images, labels].astype(np.float64) + 1))


def mean_auc(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """Mean over classes of the area under the ROC curve of that class against the rest; equal probabilities count half.

    Classes of which there are all images or none have no such curve and are left out; 0.5 where no class has one.
    """
    from scipy.stats import rankdata

    areas = []
    for position in range(probabilities.shape[1]):
        of_class = labels == position
        inside = int(np.count_nonzero(of_class))
        outside = len(labels) - inside
        if inside and outside:
            ranks = rankdata(probabilities[:, position])
            areas.append((float(ranks[of_class].sum()) - inside * (inside + 1) / 2) / (inside * outside))
    return float(np.mean(areas)) if areas else 0.5
