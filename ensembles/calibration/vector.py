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

    def apply(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Float64 (images, classes); rows with a NaN stay as they are. Raises `MismatchedPredictions` for other classes."""
        scale, bias = np.array(self.scale), np.array(self.bias)
        return change_whole(probabilities, lambda rows: softmax(log_floored(rows) * scale + bias), len(scale))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `read` is the inverse."""
        return {"kind": "vector", "scale": list(self.scale), "bias": list(self.bias)}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """The inverse of `told`. Raises `ValueError` where there is not one of each a class."""
        scale, bias = tuple(map(float, told["scale"])), tuple(map(float, told["bias"]))
        if len(scale) != len(bias):
            raise ValueError(f"{len(scale)} scales, but {len(bias)} biases")
        return cls(scale, bias)


def fit_vector(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], ridge: float = 10.0
) -> VectorScale:
    """The scales and biases with the least log-loss. Rows with a NaN are passed over.

    A ridge pulls the scales towards 1 / the best temperature, with a standard deviation of 1 / root of `ridge` of that, and the
    biases towards 0, with one of as much: of 10 classes 20 numbers are learned, and on a few hundred images a ridge of 1
    does worse than the temperature alone. It also keeps the bias of a class without images, which would else have no end.
    """
    found, truth = whole_rows(probabilities, labels)
    classes = probabilities.shape[1]
    sharpness = 1 / fit_temperature(probabilities, labels).temperature
    logits = sharpness * log_floored(found)
    every, counts = np.arange(len(truth)), np.bincount(truth, minlength=classes)
    aim = np.bincount(truth, weights=logits[every, truth], minlength=classes)
    centre = np.repeat([1.0, 0.0], classes)

    def slope(at: npt.NDArray[np.float64]) -> Slope:
        off = at - centre
        scaled = log_softmax(logits * at[:classes] + at[classes:])
        shares = np.exp(scaled)
        told = shares * logits
        gradient = ridge * off + np.concatenate([told.sum(0) - aim, shares.sum(0) - counts])
        hessian = ridge * np.eye(2 * classes)
        hessian[:classes, :classes] += np.diag((told * logits).sum(0)) - told.T @ told
        hessian[:classes, classes:] += np.diag(told.sum(0)) - told.T @ shares
        hessian[classes:, :classes] = hessian[:classes, classes:].T
        hessian[classes:, classes:] += np.diag(shares.sum(0)) - shares.T @ shares
        return ridge * float(off @ off) / 2 - float(scaled[every, truth].sum()), gradient, hessian

    at = minimise(slope, centre)
    return VectorScale(tuple((sharpness * at[:classes]).tolist()), tuple(at[classes:].tolist()))
