"""How sure one can be of an accuracy, and of the difference of two: Wilson, paired bootstrap, McNemar."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Groups: TypeAlias = npt.NDArray[np.int64] | None
"""Numbers of groups, int64 (images,), from 0: images of one group are no independent evidence. None: each image is a group."""

BOOTSTRAP_SEED = 0
"""The same predictions give the same verdict, bit for bit."""

Z95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""


def wilson_interval(correct: float, images: float, z: float = Z95) -> tuple[float, float]:
    """95 % interval of an accuracy (Wilson 1927, without correction for continuity), or that of another quantile `z`.

    Unlike the textbook's plus-minus it stays inside 0 to 1 and keeps its width at an accuracy of 0 or 1.
    """
    share = correct / images
    shrink = 1 + z**2 / images
    middle = (share + z**2 / (2 * images)) / shrink
    half = z * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2)) / shrink
    return max(0.0, middle - half), min(1.0, middle + half)


def accuracy_interval(right: npt.NDArray[np.bool_], groups: Groups = None, comparisons: int = 1) -> tuple[float, float]:
    """95 % interval of the accuracy of images that are `right`, bool (images,): Wilson's, with `groups` on as many independent
    images as they are worth (`count_effective`; Korn and Graubard 1998 do so with Clopper and Pearson's interval).

    Of several `comparisons` all hold together in 95 % (Bonferroni).
    """
    images = count_effective(right.astype(np.float64), groups)
    z = Z95 if comparisons == 1 else NormalDist().inv_cdf(1 - 0.025 / comparisons)
    return wilson_interval(float(np.mean(right)) * images, images, z)


def count_effective(values: npt.NDArray[np.float64], groups: Groups) -> float:
    """The number of independent images whose mean of `values`, float64 (images,), would vary as much (Kish 1965).

    That is the images divided by their design effect, the variance of the mean over whole groups beside that over single images;
    at least 1, at most the images. Where all values are equal nothing is known of the effect, and it is the number of groups.
    """
    images = len(values)
    if groups is None:
        return float(images)
    residual = np.bincount(groups, weights=values - values.mean())
    count = int(np.count_nonzero(np.bincount(groups)))
    single, whole = float(np.var(values)) / images, float(np.sum(residual**2)) / images**2 * count / max(count - 1, 1)
    if single == 0 or count < 2:
        return float(count)
    return float(np.clip(images * single / whole, 1, images)) if whole else float(images)


def paired_bootstrap(
    correct_a: npt.NDArray[np.bool_],
    correct_b: npt.NDArray[np.bool_],
    seed: int,
    resamples: int = 2000,
    groups: Groups = None,
) -> tuple[float, float]:
    """95 % percentile interval (Efron 1979) of the accuracy of `a` less that of `b` on the same images.

    Both bool (images,). An image counts +1, 0 or -1, so a resample of images is a draw of three counts from a
    multinomial distribution: the same as drawing images one by one, at a cost that does not grow with their number. With
    `groups` whole groups are drawn.
    """
    images = len(correct_a)
    if groups is not None:
        return _bootstrap_groups(correct_a.astype(np.int64) - correct_b, seed, resamples, groups)
    gained = int(np.count_nonzero(correct_a & ~correct_b))
    lost = int(np.count_nonzero(correct_b & ~correct_a))
    shares = np.array([gained, lost, images - gained - lost]) / images
    drawn = np.random.default_rng(seed).multinomial(images, shares, size=resamples)
    # A drawn gain, not a value interpolated between two: 1 image or 0 decides whether the interval touches zero.
    low, high = np.percentile((drawn[:, 0] - drawn[:, 1]) / images, [2.5, 97.5], method="inverted_cdf")
    return float(low), float(high)


def draw_bootstraps(
    rng: np.random.Generator, images: int, groups: Groups, resamples: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Rows of each bootstrap (Efron 1979): as many images as there are, or all images of as many groups as there are."""
    if groups is None:
        for _ in range(resamples):
            yield rng.integers(0, images, images)
        return
    order = np.argsort(groups, kind="stable")
    whole = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    for _ in range(resamples):
        yield np.concatenate([whole[at] for at in rng.integers(0, len(whole), len(whole))])


def _bootstrap_groups(
    gains: npt.NDArray[np.int64], seed: int, resamples: int, groups: npt.NDArray[np.int64]
) -> tuple[float, float]:
    gained, sizes = np.bincount(groups, weights=gains), np.bincount(groups)
    gained, sizes = gained[sizes > 0], sizes[sizes > 0]
    rng, count = np.random.default_rng(seed), len(sizes)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    low, high = np.percentile(drawn @ gained / (drawn @ sizes), [2.5, 97.5], method="inverted_cdf")
    return float(low), float(high)


def mcnemar_p(correct_a: npt.NDArray[np.bool_], correct_b: npt.NDArray[np.bool_], groups: Groups = None) -> float:
    """Exact two-sided p of McNemar's test (McNemar 1947) that `a` and `b` are right equally often; both bool (images,).

    Only images on which exactly one of them is right count; without any, p is 1. With `groups` it is the same sign test on whole
    groups: if both are alike, each group's gain might as well have been a loss (Fisher's randomisation test, exact).
    """
    if groups is not None:
        gains = np.bincount(groups, weights=correct_a.astype(np.int64) - correct_b)
        return _sign_test(np.abs(gains).astype(np.int64), abs(int(gains.sum())))
    gained = int(np.count_nonzero(correct_a & ~correct_b))
    lost = int(np.count_nonzero(correct_b & ~correct_a))
    if gained + lost == 0:
        return 1.0
    # Twice the tail of the binomial distribution. `scipy.stats.binomtest` says the same, but takes 0.7 s to import.
    count, few = gained + lost, np.arange(min(gained, lost))
    logs = np.concatenate([[0.0], np.cumsum(np.log((count - few) / (few + 1)))]) - count * math.log(2)
    return min(1.0, 2 * float(np.exp(logs).sum()))


def _sign_test(gains: npt.NDArray[np.int64], total: int) -> float:
    """The probability that a sum of `gains` (int64, not negative) with random signs is at least `total` away from zero."""
    whole = int(gains.sum())
    ways = np.zeros(2 * whole + 1)
    ways[whole] = 1.0
    for gain in gains[gains > 0].tolist():
        ways = (np.roll(ways, gain) + np.roll(ways, -gain)) / 2
    return min(1.0, float(ways[: whole - total + 1].sum() + ways[whole + total :].sum())) if total else 1.0
