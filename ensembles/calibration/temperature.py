"""Temperature: one number that makes all probabilities of a vote sharper or flatter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ensembles.calibration.rows import change_whole, whole_rows
from ensembles.metrics.logits import log_floored, softmax

COLDEST, HOTTEST = 0.01, 100.0

TOLERANCE = 1e-9
"""A step of less than this share is the last: Newton's error is then about its square."""
MOST_STEPS, PATIENCE = 200, 8


@dataclass(frozen=True)
class Temperature:
    """Probabilities to the power of 1 / `temperature`, scaled to a sum of one (Guo 2017, with the vote's log-probabilities in
    place of a net's logits). Above 1 it flattens. The order of the classes, and so the predicted one, stays."""

    temperature: float

    def __post_init__(self) -> None:
        if not 0 < self.temperature < np.inf:
            raise ValueError(f"temperature is {self.temperature}: it must be above zero and finite")

    @classmethod
    def fit(cls, probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> Temperature:
        """The calibration of `fit_temperature`."""
        return fit_temperature(probabilities, labels)

    def apply(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Float64 (images, classes); rows with a NaN stay as they are."""
        return change_whole(probabilities, self._change)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `read` is the inverse."""
        return {"kind": "temperature", "temperature": self.temperature}

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(float(payload["temperature"]))

    def _change(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        found = softmax(log_floored(probabilities) / self.temperature)
        # Probabilities that differ by a rounding may come out equal: then the one that was ahead is put ahead again.
        ahead = probabilities.argmax(1)
        lost = np.flatnonzero(found.argmax(1) != ahead)
        found[lost, ahead[lost]] = np.nextafter(found[lost].max(1), 1)
        return found


def fit_temperature(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], ridge: float = 1.0
) -> Temperature:
    """The temperature with the least log-loss, between 0.01 and 100. Rows with a NaN are ignored.

    Unlike Guo's, it has a prior: 1 / temperature has a gamma distribution with its mode at 1 (of shape 1 + `ridge`), which costs
    `ridge` x (1 / temperature + ln temperature - 1) nats once: negligible with a hundred images, but a vote that is right on
    all of them does not become infinitely confident.
    """
    found, true_class = whole_rows(probabilities, labels)
    if not len(found):
        return Temperature(1.0)
    logits = log_floored(found)
    logits -= logits.max(1, keepdims=True)
    aim = float(logits[np.arange(len(true_class)), true_class].sum())

    def rise(sharpness: float) -> tuple[float, float]:
        """Derivatives of the loss by 1 / temperature: the first grows all the way, because the second is above zero."""
        odds = np.exp(sharpness * logits)
        total = np.einsum("ij->i", odds)
        odds *= logits
        mean = np.einsum("ij->i", odds) / total
        square = np.einsum("ij,ij->i", odds, logits) / total
        pull, bend = ridge * (1 - 1 / sharpness), ridge / sharpness**2
        return float(mean.sum()) - aim + pull, float((square - mean**2).sum()) + bend

    return Temperature(1 / _root(rise, 1 / HOTTEST, 1 / COLDEST))


def _root(rise: Callable[[float], tuple[float, float]], low: float, high: float) -> float:
    """The root of a growing function that returns its value and slope, by Newton's method from 1; a step that leaves the bracket
    is replaced by its middle on the scale of logarithms. The nearer end if there is no root. It takes a third of the steps of
    Brent's method."""
    least, most, at = low, high, 1.0
    for count in range(MOST_STEPS):
        if count == PATIENCE and rise(most)[0] <= 0:  # far out the loss is so flat that steps do not get there
            return most
        value, slope = rise(at)
        low, high = (low, at) if value > 0 else (at, high)
        step = at - value / slope if slope > 0 else -1.0
        if step <= least == low and rise(least)[0] >= 0:
            return least
        if step >= most == high and rise(most)[0] <= 0:
            return most
        if not low < step < high or count % PATIENCE == PATIENCE - 1:
            step = math.sqrt(low * high)
        if abs(step - at) <= TOLERANCE * at:
            return step
        at = step
    return at
