"""Measures calibration: accuracy by confidence, risk by coverage, and log-likelihood at the best temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.calibration.temperature import fit_temperature
from ensembles.metrics.scores import ECE_BINS, log_loss


@dataclass(frozen=True)
class Bin:
    """Images whose confidence lies in (low, high]; `confidence` and `accuracy` are their means, 0 if there are none."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


def reliability(
    probabilities: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    bins: int = ECE_BINS,
    predicted: npt.NDArray[np.int64] | None = None,
) -> tuple[Bin, ...]:
    """Accuracy by confidence (DeGroot and Fienberg 1983), in bins of equal width, those of `expected_calibration_error`.

    Confidence is the probability of the predicted class, which is the likeliest if `predicted` is not given. A confidence
    of 0 is in the first bin.
    """
    confidence, right = _confidence_and_correct(probabilities, labels, predicted)
    edges = np.linspace(0, 1, bins + 1)
    place = np.digitize(confidence, edges[1:-1], right=True)
    images = np.bincount(place, minlength=bins)
    summed = np.bincount(place, weights=confidence, minlength=bins)
    hits = np.bincount(place, weights=right, minlength=bins)
    return tuple(
        Bin(
            low=float(edges[bin_]),
            high=float(edges[bin_ + 1]),
            images=int(images[bin_]),
            confidence=float(summed[bin_] / max(1, images[bin_])),
            accuracy=float(hits[bin_] / max(1, images[bin_])),
        )
        for bin_ in range(bins)
    )


def risk_coverage(
    probabilities: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    points: int = 101,
    predicted: npt.NDArray[np.int64] | None = None,
) -> tuple[tuple[float, float], ...]:
    """Share of images answered, the most confident first, and the share of these that is wrong (El-Yaniv and Wiener 2010).

    At most `points` points, evenly from one image to all. Images of equal confidence have no order: the risk is the expected
    one of a random order.
    """
    confidence, right = _confidence_and_correct(probabilities, labels, predicted)
    images = len(labels)
    _, group, sizes = np.unique(-confidence, return_inverse=True, return_counts=True)
    wrong = np.bincount(group, weights=~right)
    errors = np.cumsum(np.repeat(wrong / sizes, sizes))
    answered = np.unique(np.linspace(1, images, points).round().astype(np.int64))
    return tuple((int(count) / images, float(errors[count - 1]) / int(count)) for count in answered)


def nll_at_best_temperature(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Mean negative log-likelihood in nats at the temperature where it is least, and that temperature (Ashukha 2020).

    This compares votes by their information, not by how well they happen to be calibrated. Ashukha fits the temperature on
    halves of test and scores the others; this fits and scores the same images, which is too good by 1 / (2 images) nats.
    It is a figure to report, not a calibration.
    """
    best = fit_temperature(probabilities, labels, ridge=0)
    return log_loss(best.apply(probabilities), labels), best.temperature


def _confidence_and_correct(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Confidence, and whether the prediction is right, for each image."""
    predicted_class = probabilities.argmax(1) if predicted is None else predicted
    confidence = probabilities[np.arange(len(labels)), predicted_class].astype(np.float64)
    return confidence, predicted_class == labels
