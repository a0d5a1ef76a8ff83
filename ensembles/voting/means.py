"""Means of the members' probabilities: soft, weighted, geometric, and weighted image by image by how sure each member is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ensembles.metrics.logits import log_floored, softmax

Tables = Sequence[npt.NDArray[np.float32]]
"""Predictions of each member, float32 (images, classes). Votes process them one by one: a team may have hundreds of members."""

UNSURE = 1e-9
"""Certainty below this is rounding: for uniform float32 probabilities it is 1e-14."""


def mean_of(tables: Tables) -> npt.NDArray[np.float64]:
    """The unweighted mean, float64 (images, classes).

    Summed first and divided at the end: sums of float32 in float64 are exact, so that ties stay ties.
    """
    total = np.zeros(tables[0].shape)
    for table in tables:
        total += table
    total /= len(tables)
    return total


def weighted_mean(tables: Tables, weights: Sequence[float]) -> npt.NDArray[np.float64]:
    """The mean weighted by `weights`, one a member, adding up to one."""
    total = np.zeros(tables[0].shape)
    for table, weight in zip(tables, weights, strict=True):
        total += weight * table.astype(np.float64)
    return total


def geometric_mean(tables: Tables) -> npt.NDArray[np.float64]:
    """The geometric mean, each row normalised to a sum of one (Genest and Zidek 1986, logarithmic opinion pool).

    Means of logarithms of probabilities clipped to `LEAST_PROBABILITY`: else a single member that gives zero to a class would
    rule it out for all.
    """
    total = np.zeros(tables[0].shape)
    for table in tables:
        total += log_floored(table)
    total /= len(tables)
    return softmax(total)


def confident_mean(tables: Tables) -> npt.NDArray[np.float64]:
    """The mean, weighted on each image by each member's `certainty` there.

    After Misra, Bourlard and Tyagi 2003, who weight by 1 / entropy: there a single one-hot member outweighs all others, here
    its weight is at most one. If no member has any certainty, all count the same.
    """
    total, plain = np.zeros(tables[0].shape), np.zeros(tables[0].shape)
    weight = np.zeros((len(plain), 1))
    for table in tables:
        sure = certainty(table)[:, None]
        total += sure * table
        weight += sure
        plain += table
    plain /= len(tables)
    np.divide(total, weight, out=plain, where=weight > 0)
    return plain


def certainty(table: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Certainty of a member on each image, float64 (images,): 1 less its entropy over that of the uniform distribution.

    1 is one-hot, 0 is uniform; with a single class it is always 1.
    """
    if table.shape[1] == 1:
        return np.ones(len(table))
    shares = table / table.sum(1, keepdims=True, dtype=np.float64)
    entropy = -np.einsum("ij,ij->i", shares, log_floored(shares))
    sure = 1 - entropy / np.log(table.shape[1])
    return np.where(sure > UNSURE, np.minimum(sure, 1.0), 0.0)
