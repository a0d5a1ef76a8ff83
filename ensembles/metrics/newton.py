"""The minimum of a smooth convex function of a few numbers, by Newton's method."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Slope = tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Value, gradient (parameters,) and Hessian (parameters, parameters)."""

TOLERANCE = 1e-9
"""The search ends when a step promises an improvement below this; what remains after such a step is far smaller."""
MOST_STEPS = 100
HALVINGS = 30


def minimise(
    slope: Callable[[npt.NDArray[np.float64]], Slope], start: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The minimum of `slope`, searched from `start`. Its Hessian must be positive definite, as a ridge makes it.

    A step that does not lower the value enough (Armijo 1966) is halved. A dozen steps suffice for a thousand parameters.
    """
    at, (value, gradient, hessian) = start, slope(start)
    for _ in range(MOST_STEPS):
        step = -np.linalg.solve(hessian, gradient)
        promised = float(-gradient @ step) / 2
        if promised < TOLERANCE:
            return at + step
        for halving in range(HALVINGS):
            share = 0.5**halving
            there = slope(at + share * step)
            if there[0] <= value - 1e-4 * share * promised:
                break
        else:
            return at  # rounding: no step is better
        at, (value, gradient, hessian) = at + share * step, there
    return at
