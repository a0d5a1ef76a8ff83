"""Isotonic regression: for each class, a rising step function from the vote's probability to the observed frequency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ensembles.calibration.rows import change_whole, whole_rows

Curve = tuple[tuple[float, ...], tuple[float, ...]]
"""Knots: probabilities of the vote, rising, and the share of images that are of the class there, never falling."""

ORDER_SHARE = 1e-9
"""Share of the uncalibrated probability that is added: else two classes on one step of their curves would tie."""


@dataclass(frozen=True)
class Isotonic:
    """A curve for each class, straight between its knots and flat beyond them; then rows are scaled to a sum of one
    (Zadrozny and Elkan 2002, one against the rest). A class without a curve keeps its probability. The calibration may
    change the predicted class."""

    curves: tuple[Curve | None, ...]

    @classmethod
    def fit(cls, probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> Isotonic:
        """The calibration of `fit_isotonic`."""
        return fit_isotonic(probabilities, labels)

    def apply(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Float64 (images, classes); rows with a NaN stay as they are. Raises `MismatchedPredictions` for other classes."""
        return change_whole(probabilities, self._change, len(self.curves))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `read` is the inverse."""
        return {
            "kind": "isotonic",
            "curves": [None if curve is None else [list(curve[0]), list(curve[1])] for curve in self.curves],
        }

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises `ValueError` if the knots of a curve are no pairs."""
        curves: list[Curve | None] = []
        for one in payload["curves"]:
            inputs, shares = ((), ()) if one is None else (tuple(map(float, knots)) for knots in one)
            if one is not None and (not inputs or len(inputs) != len(shares)):
                raise ValueError(f"a curve of {len(inputs)} probabilities and {len(shares)} shares")
            curves.append(None if one is None else (inputs, shares))
        return cls(tuple(curves))

    def _change(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        found = probabilities.copy()
        for position, curve in enumerate(self.curves):
            if curve is not None:
                found[:, position] = np.interp(probabilities[:, position], *curve)
        found += ORDER_SHARE * probabilities
        found /= found.sum(1, keepdims=True)
        return found


def fit_isotonic(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> Isotonic:
    """scikit-learn's `IsotonicRegression` of each class. Rows with a NaN are ignored.

    Without bounds it gives 0 and 1 at the ends, and one wrong image there costs the maximum of log-loss. So no share is above
    (images + 1) / (images + 2) (Platt 1999), and the rest, spread over the other classes, is the lower bound. A class that has
    no image, or all of them, gets no curve: there is nothing to fit.
    """
    found, true_class = whole_rows(probabilities, labels)
    classes, spare = probabilities.shape[1], 1 / (len(true_class) + 2)
    counts = np.bincount(true_class, minlength=classes)
    if not (learnable := (counts > 0) & (counts < len(true_class))).any():
        return Isotonic((None,) * classes)
    from sklearn.isotonic import IsotonicRegression

    def fit(position: int) -> Curve:
        curve = IsotonicRegression(y_min=spare / (classes - 1), y_max=1 - spare, out_of_bounds="clip")
        curve.fit(found[:, position], true_class == position)
        return tuple(curve.X_thresholds_.tolist()), tuple(curve.y_thresholds_.tolist())

    return Isotonic(tuple(fit(position) if learnable[position] else None for position in range(classes)))
