"""Vector scaling: a scale and a bias for each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ensembles.calibration.rows import change_whole, whole_rows
from ensembles.calibration.temperature import fit_temperature
from ensembles.metrics.logits import log_floored, log_softmax, softmax
from ensembles.metrics.newton import Slope, minimise


@dataclass(frozen=True)
class VectorScale:
    """Log-probability of each class times its `scale`, plus its `bias`, scaled to a sum of one (Guo 2017). It may change
    the predicted class."""

    scale: tuple[float, ...]
    bias: tuple[float, ...]

    @classmethod
    def fit(cls, probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> VectorScale:
        """The calibration of `fit_vector`."""
        return fit_vector(probabilities, labels)

    def apply(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Float64 (images, classes); rows with a NaN stay as they are. Raises `MismatchedPredictions` for other classes."""
        scale, bias = np.array(self.scale), np.array(self.bias)
        return change_whole(probabilities, lambda rows: softmax(log_floored(rows) * scale + bias), len(scale))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `read` is the inverse."""
        return {"kind": "vector", "scale": list(self.scale), "bias": list(self.bias)}

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises `ValueError` if there is not one scale and one bias a class."""
        scale, bias = tuple(map(float, payload["scale"])), tuple(map(float, payload["bias"]))
        if len(scale) != len(bias):
            raise ValueError(f"{len(scale)} scales, but {len(bias)} biases")
        return cls(scale, bias)


def fit_vector(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], ridge: float = 10.0
) -> VectorScale:
    """The scales and biases with the least log-loss. Rows with a NaN are ignored.

    A ridge pulls the scales towards 1 / the best temperature, with a standard deviation of 1 / root of `ridge` of that, and the
    biases towards 0, with one of as much: of 10 classes 20 numbers are learned, and on a few hundred images a ridge of 1
    does worse than the temperature alone. It also keeps the bias of a class without images, which would else have no end.
    """
    found, true_class = whole_rows(probabilities, labels)
    classes = probabilities.shape[1]
    sharpness = 1 / fit_temperature(probabilities, labels).temperature
    logits = sharpness * log_floored(found)
    every, counts = np.arange(len(true_class)), np.bincount(true_class, minlength=classes)
    aim = np.bincount(true_class, weights=logits[every, true_class], minlength=classes)
    centre = np.repeat([1.0, 0.0], classes)

    def slope(at: npt.NDArray[np.float64]) -> Slope:
        off = at - centre
        scaled = log_softmax(logits * at[:classes] + at[classes:])
        shares = np.exp(scaled)
        weighted = shares * logits
        gradient = ridge * off + np.concatenate([weighted.sum(0) - aim, shares.sum(0) - counts])
        hessian = ridge * np.eye(2 * classes)
        hessian[:classes, :classes] += np.diag((weighted * logits).sum(0)) - weighted.T @ weighted
        hessian[:classes, classes:] += np.diag(weighted.sum(0)) - weighted.T @ shares
        hessian[classes:, :classes] = hessian[:classes, classes:].T
        hessian[classes:, classes:] += np.diag(shares.sum(0)) - shares.T @ shares
        return ridge * float(off @ off) / 2 - float(scaled[every, true_class].sum()), gradient, hessian

    at = minimise(slope, centre)
    return VectorScale(tuple((sharpness * at[:classes]).tolist()), tuple(at[classes:].tolist()))
