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

Array = Any
"""An array of numpy or torch."""

Tables = Sequence[npt.NDArray[np.float32]]
"""Predictions of each member, float32 (images, classes). Votes process them one by one: a team may have hundreds of members."""


def to_float64(table: Array) -> Array:
    """A copy in float64."""
    xp = array_namespace(table)
    return xp.astype(table, xp.float64)


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
