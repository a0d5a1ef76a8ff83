"""The stacked vote: a logistic regression on the members' log-probabilities, with few parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ensembles.metrics.logits import log_floored, softmax
from ensembles.metrics.newton import Slope, minimise
from ensembles.voting import arrays
from ensembles.voting.arrays import Array, Tables, add_up, to_float64
from trainables.errors import MismatchedPredictions

BLOCK_VALUES = 2**19
"""Log-probabilities held at a time, 4 MiB: the team's predictions are never copied as a whole, whatever its size."""


@dataclass(frozen=True)
class Stacking:
    """Logit of class c: sum over members of `weights` times their log-probabilities of c, plus `bias` of c."""

    weights: tuple[float, ...]
    """One weight a member; they need not add up to one: larger weights give more confident votes."""
    bias: tuple[float, ...]
    """One bias a class."""

    @classmethod
    def fit(
        cls, tables: Tables, labels: npt.NDArray[np.int64], *, rows: npt.NDArray[np.int64] | None = None
    ) -> Stacking:
        """The regression of `fit_stacking`."""
        return fit_stacking(tables, labels, rows)

    def combine(self, tables: Sequence[Array], weights: Sequence[float] = ()) -> Array:
        """The team's probabilities, float64 (images, classes). Raises `MismatchedPredictions` for other classes than it was fitted to."""
        if tables[0].shape[1] != len(self.bias):
            raise MismatchedPredictions(
                f"the stacked vote was fitted to {len(self.bias)} classes, but these predictions have {tables[0].shape[1]}: fit it again"
            )
        xp = array_namespace(tables[0])
        # Made of the tables: the program of a bundle would keep a constant on the device that it was traced on.
        zero = xp.zeros_like(to_float64(tables[0][:1, :1]))
        bias = xp.concat([zero + value for value in self.bias], axis=1)
        logs = (weight * arrays.log_floored(table) for table, weight in zip(tables, self.weights, strict=True))
        return arrays.softmax(bias + add_up(logs))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `read` is the inverse."""
        return {"weights": list(self.weights), "bias": list(self.bias)}

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(tuple(map(float, payload["weights"])), tuple(map(float, payload["bias"])))


def fit_stacking(
    tables: Tables, labels: npt.NDArray[np.int64], rows: npt.NDArray[np.int64] | None = None, ridge: float = 1.0
) -> Stacking:
    """Stacked generalisation (Wolpert 1992) on `rows` of validation, or on all: multinomial logistic regression with L2.

    A full regression has members x classes x classes coefficients: 1,000 for ten members and ten classes, 100,000 for a
    hundred classes, more than validation has images. This one has a weight a member, which all classes share, and a bias a
    class: a logarithmic opinion pool (Heskes 1998) with a correction of the classes' shares, 20 and 110 parameters.

    The ridge pulls towards the geometric vote, not towards zero: weights to 1 / members, with a standard deviation of as much,
    biases to 0 with one of 1, where `ridge` is 1. So without images it is the geometric vote, and a class without images
    keeps a finite bias. A team of one has nothing to stack and votes with its own probabilities.
    """
    members, classes = len(tables), tables[0].shape[1]
    if members == 1:
        return Stacking((1.0,), (0.0,) * classes)
    rows = np.arange(len(labels)) if rows is None else rows
    centre = np.repeat([1 / members, 0.0], [members, classes])
    pull = ridge * np.repeat([float(members) ** 2, 1.0], [members, classes])
    block = max(1, BLOCK_VALUES // (members * classes))
    blocks = [rows[start : start + block] for start in range(0, len(rows), block)]

    def slope(at: npt.NDArray[np.float64]) -> Slope:
        off = at - centre
        value, gradient, hessian = float(pull @ off**2) / 2, pull * off, np.diag(pull)
        for part in blocks:
            logs = np.stack([log_floored(table[part]) for table in tables])
            value += _add_block(logs, labels[part], at, gradient, hessian)
        return value, gradient, hessian

    found = minimise(slope, centre)
    return Stacking(tuple(found[:members].tolist()), tuple(found[members:].tolist()))


def _add_block(
    logs: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    at: npt.NDArray[np.float64],
    gradient: npt.NDArray[np.float64],
    hessian: npt.NDArray[np.float64],
) -> float:
    """Add the terms of one block of images to gradient and Hessian; returns their summed loss. `logs` (members, images, classes)
    is overwritten."""
    members, images, _ = logs.shape
    every = np.arange(images)
    logits = np.tensordot(at[:members], logs, 1) + at[members:]
    shares = softmax(logits)
    right = logs[:, every, labels]
    middle = np.einsum("mic,ic->mi", logs, shares)
    gradient[:members] += (middle - right).sum(1)
    gradient[members:] += shares.sum(0) - np.bincount(labels, minlength=shares.shape[1])
    logs -= middle[:, :, None]
    cross = np.einsum("mic,ic->mc", logs, shares)
    logs *= np.sqrt(shares)
    flat = logs.reshape(members, -1)
    hessian[:members, :members] += flat @ flat.T
    hessian[:members, members:] += cross
    hessian[members:, :members] += cross.T
    hessian[members:, members:] += np.diag(shares.sum(0)) - shares.T @ shares
    top = logits.max(1)
    return float((top + np.log(np.exp(logits - top[:, None]).sum(1)) - logits[every, labels]).sum())
