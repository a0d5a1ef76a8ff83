"""What a prediction is worth, and how sure one can be of it. Pure functions of arrays."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ensembles.config import Metric

LEAST_PROBABILITY = 1e-12
"""Log-loss takes no probability for smaller: else one image on which a softmax, or a hard vote, gives nothing to the
truth would make the whole loss infinite. Such an image costs 27.6 nats instead."""

LOW_IS_GOOD: frozenset[Metric] = frozenset({"log_loss", "brier"})

ECE_BINS = 15
Z95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""


def accuracy(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> float:
    """Share of images whose class was predicted. Both int64 (images,), at least one image."""
    return float(np.mean(predicted == labels))


def log_loss(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """Mean negative log-likelihood in nats of the true classes. (images, classes) and int64 (images,).

    Probabilities below `LEAST_PROBABILITY` count as that; rows are taken as they are, not scaled to a sum of one.
    """
    told = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.mean(np.log(np.maximum(told, LEAST_PROBABILITY))))


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


def wilson_interval(correct: int, images: int) -> tuple[float, float]:
    """95 % interval of an accuracy (Wilson 1927, without correction for continuity).

    Unlike the textbook's plus-minus it stays inside 0 to 1 and keeps its width at an accuracy of 0 or 1.
    """
    share = correct / images
    shrink = 1 + Z95**2 / images
    middle = (share + Z95**2 / (2 * images)) / shrink
    half = Z95 * math.sqrt(share * (1 - share) / images + Z95**2 / (4 * images**2)) / shrink
    return max(0.0, middle - half), min(1.0, middle + half)


def paired_bootstrap(
    correct_a: npt.NDArray[np.bool_], correct_b: npt.NDArray[np.bool_], seed: int, resamples: int = 2000
) -> tuple[float, float]:
    """95 % percentile interval (Efron 1979) of the accuracy of `a` less that of `b` on the same images.

    Both bool (images,). An image counts +1, 0 or -1, so a resample of images is a draw of three counts from a
    multinomial distribution: the same as drawing images one by one, at a cost that does not grow with their number.
    """
    images = len(correct_a)
    gained = int(np.count_nonzero(correct_a & ~correct_b))
    lost = int(np.count_nonzero(correct_b & ~correct_a))
    shares = np.array([gained, lost, images - gained - lost]) / images
    drawn = np.random.default_rng(seed).multinomial(images, shares, size=resamples)
    # A gain that was drawn, not a value between two: 1 image or 0 decides whether the interval touches zero.
    low, high = np.percentile((drawn[:, 0] - drawn[:, 1]) / images, [2.5, 97.5], method="inverted_cdf")
    return float(low), float(high)


def mcnemar_p(correct_a: npt.NDArray[np.bool_], correct_b: npt.NDArray[np.bool_]) -> float:
    """Exact two-sided p of McNemar's test (McNemar 1947) that `a` and `b` are right equally often; both bool (images,).

    Only images on which exactly one of them is right count; without any, p is 1.
    """
    gained = int(np.count_nonzero(correct_a & ~correct_b))
    lost = int(np.count_nonzero(correct_b & ~correct_a))
    if gained + lost == 0:
        return 1.0
    # Twice the tail of the binomial distribution. `scipy.stats.binomtest` says the same, but takes 0.7 s to import.
    count, few = gained + lost, np.arange(min(gained, lost))
    logs = np.concatenate([[0.0], np.cumsum(np.log((count - few) / (few + 1)))]) - count * math.log(2)
    return min(1.0, 2 * float(np.exp(logs).sum()))


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
    """The score, turned so that low is good."""
    return score if metric in LOW_IS_GOOD else -score


def balanced_accuracy(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], classes: int) -> float:
    """Mean over the classes that occur in `labels` of the share of their images that is right (recall)."""
    images = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[predicted == labels], minlength=classes)
    return float(np.mean(right[images > 0] / images[images > 0]))


def macro_f1(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], classes: int) -> float:
    """Mean F1 of the classes that occur in `labels` or are predicted; a class that is never right has 0."""
    true = np.bincount(labels, minlength=classes)
    told = np.bincount(predicted, minlength=classes)
    right = np.bincount(labels[predicted == labels], minlength=classes)
    seen = true + told > 0
    return float(np.mean(2 * right[seen] / (true + told)[seen]))


def brier(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """Mean over images of the squared distance to the truth, summed over classes (Brier 1950): 0 to 2.

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
        is_it = labels == position
        inside = int(np.count_nonzero(is_it))
        outside = len(labels) - inside
        if inside and outside:
            ranks = rankdata(probabilities[:, position])
            areas.append((float(ranks[is_it].sum()) - inside * (inside + 1) / 2) / (inside * outside))
    return float(np.mean(areas)) if areas else 0.5
