"""The rows of a vote that a calibration may use and change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from trainables.errors import MismatchedPredictions


def change_whole(
    probabilities: npt.NDArray[np.floating],
    change: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
    classes: int | None = None,
) -> npt.NDArray[np.float64]:
    """A copy, float64 (images, classes), with `change` applied to the rows that are finite; others are left as they are.

    Raises `MismatchedPredictions` if `classes` is given and differs from the number of classes.
    """
    if classes is not None and probabilities.shape[1] != classes:
        raise MismatchedPredictions(
            f"the calibration was fitted to {classes} classes, but these probabilities have {probabilities.shape[1]}: fit it again"
        )
    found = probabilities.astype(np.float64)
    whole = np.isfinite(found).all(1)
    if whole.any():
        found[whole] = change(found[whole])
    return found


def whole_rows(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The rows that are finite, and their labels, for fitting."""
    found = probabilities.astype(np.float64)
    whole = np.isfinite(found).all(1)
    return found[whole], labels[whole]
