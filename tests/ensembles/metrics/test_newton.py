from __future__ import annotations

import numpy as np
import pytest

from ensembles.metrics.newton import minimise


def test_a_parabola_takes_one_step() -> None:
    asked = []

    def slope(at):
        asked.append(at)
        matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
        off = at - np.array([3.0, -1.0])
        return float(off @ matrix @ off) / 2, matrix @ off, matrix

    assert minimise(slope, np.zeros(2)) == pytest.approx([3, -1], abs=1e-12)
    assert len(asked) == 2


def test_a_step_that_is_too_long_is_halved() -> None:
    # Newton's plain steps on this diverge from 1.09 outwards.
    def slope(at):
        x = at[0]
        return float(np.log(np.cosh(x))), np.tanh(at), np.array([[1 / np.cosh(x) ** 2]])

    assert minimise(slope, np.array([3.0])) == pytest.approx([0], abs=1e-6)
