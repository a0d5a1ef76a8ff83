"""What votes do with arrays of numpy or torch alike.

Votes are written in the array API: what is scored in numpy is what a bundle's program computes in torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ensembles.metrics import logits
from ensembles.metrics.scores import LEAST_PROBABILITY
from trainables.errors import PluginUnusable

Array = Any
"""An array of numpy or torch."""

Tables = Sequence[npt.NDArray[np.float32]]
"""Predictions of each member, float32 (images, classes). Votes process them one by one: a team may have hundreds of members."""


SUM_TOLERANCE = 1e-3
"""How far from one the probabilities of an image may add up that a plug-in returns."""


def to_float64(table: Array) -> Array:
    """A copy in float64."""
    xp = array_namespace(table)
    return xp.astype(table, xp.float64)


def check_probabilities(where: str, found: Any, like: Array) -> Array:
    """`found` in float64, if it is a table of probabilities of the shape of `like`. Values are checked in numpy alone: torch may be tracing.

    Raises `PluginUnusable`, which begins with `where`.
    """
    if tuple(getattr(found, "shape", ())) != tuple(like.shape):
        what = f"shape {tuple(found.shape)}" if hasattr(found, "shape") else type(found).__name__
        raise PluginUnusable(
            f"{where}: of tables of shape {tuple(like.shape)} it returned {what}: return probabilities (images, classes)"
        )
    whole = to_float64(found)
    if isinstance(whole, np.ndarray) and not ((whole >= 0).all() and (np.abs(whole.sum(1) - 1) <= SUM_TOLERANCE).all()):
        raise PluginUnusable(
            f"{where}: it returned rows that are no probabilities: none may be below 0, and each row adds up to 1"
        )
    return whole


def add_up(tables: Iterable[Array]) -> Array:
    """The sum in float64, table by table in their order."""
    rest = iter(tables)
    total = to_float64(next(rest))
    for table in rest:
        total += table
    return total


def log_floored(probabilities: Array) -> Array:
    """Natural logarithms, float64; probabilities below `LEAST_PROBABILITY` count as that, NaN stays NaN."""
    if isinstance(probabilities, np.ndarray):
        return logits.log_floored(probabilities)  # in place: half the time
    xp = array_namespace(probabilities)
    return xp.log(xp.clip(to_float64(probabilities), min=LEAST_PROBABILITY))


def softmax(scores: Array) -> Array:
    """Probabilities (images, classes), each row adding up to one."""
    if isinstance(scores, np.ndarray):
        return logits.softmax(scores)
    xp = array_namespace(scores)
    shares = xp.exp(scores - xp.max(scores, axis=1, keepdims=True))
    return shares / xp.sum(shares, axis=1, keepdims=True)
