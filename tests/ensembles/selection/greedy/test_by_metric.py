"""Scores as costs: low is good, by the arithmetic of those whose picks are to be the same."""

from __future__ import annotations

import pytest

from ensembles.config import Metric, TieRule
from ensembles.selection.greedy.by_metric import to_cost


@pytest.mark.parametrize(
    ("metric", "ties", "cost"),
    [
        ("accuracy", "caucus", -0.25),
        ("accuracy", "autogluon", 0.75),
        ("macro_f1", "auto-sklearn", 0.75),
        ("brier", "caucus", 0.25),
        ("log_loss", "autogluon", 0.25),
    ],
)
def test_a_score_becomes_a_cost_and_comes_back(metric: Metric, ties: TieRule, cost: float) -> None:
    assert to_cost(0.25, metric, ties) == cost
    assert to_cost(cost, metric, ties) == 0.25
