"""Means of the members' probabilities: soft, weighted, geometric, and weighted image by image by how sure each member is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from array_api_compat import array_namespace

from ensembles.voting.arrays import Array, add_up, log_floored, softmax, to_float64

UNSURE = 1e-9
"""Certainty below this is rounding: for uniform float32 probabilities it is 1e-14."""


def mean(tables: Sequence[Array], weights: Sequence[float] = ()) -> Array:
    """The mean of the members' probabilities, each member counted once, float64 (images, classes).

    Summed first and divided at the end: sums of float32 in float64 are exact, so that ties stay ties.
    """
    return add_up(tables) / len(tables)


def weighted_mean(tables: Sequence[Array], weights: Sequence[float]) -> Array:
    """The mean weighted by `weights`, one a member, adding up to one: greedy selection has optimised them."""
    return add_up(weight * to_float64(table) for table, weight in zip(tables, weights, strict=True))


def geometric_mean(tables: Sequence[Array], weights: Sequence[float] = ()) -> Array:
    """The geometric mean, each row normalised to a sum of one (Genest and Zidek 1986, logarithmic opinion pool).

    Means of logarithms of probabilities clipped to `LEAST_PROBABILITY`: else a single member that gives zero to a class would
    rule it out for all.
    """
    return softmax(add_up(map(log_floored, tables)) / len(tables))


def confident_mean(tables: Sequence[Array], weights: Sequence[float] = ()) -> Array:
    """The mean, weighted on each image by each member's `certainty` there.

    After Misra, Bourlard and Tyagi 2003, who weight by 1 / entropy: there a single one-hot member outweighs all others, here
    its weight is at most one. If no member has any certainty, all count the same.
    """
    xp = array_namespace(tables[0])
    total = xp.zeros_like(to_float64(tables[0]))
    weight = xp.zeros_like(total[:, :1])
    for table in tables:
        sure = certainty(table)[:, None]
        total += sure * table
        weight += sure
    return xp.where(weight > 0, total / xp.where(weight > 0, weight, 1.0), mean(tables))


def certainty(table: Array) -> Array:
    """Certainty of a member on each image, float64 (images,): 1 less its entropy over that of the uniform distribution.

    1 is one-hot, 0 is uniform; with a single class it is always 1.
    """
    xp = array_namespace(table)
    whole = to_float64(table)
    if table.shape[1] == 1:
        return xp.ones_like(whole[:, 0])
    shares = whole / xp.sum(whole, axis=1, keepdims=True)
    sure = 1 + xp.sum(shares * log_floored(shares), axis=1) / math.log(table.shape[1])
    return xp.where(sure > UNSURE, xp.clip(sure, max=1.0), xp.zeros_like(sure))
