"""How sure one can be of an accuracy, and of the difference of two: Wilson, paired bootstrap, McNemar."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

BOOTSTRAP_SEED = 0
"""The same predictions give the same verdict, bit for bit."""

Z95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""


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
    # A drawn gain, not a value interpolated between two: 1 image or 0 decides whether the interval touches zero.
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
