"""Every metric as a share that is higher the better it is, and back."""

from __future__ import annotations

from typing import get_args

import pytest

from trainables.metric import LOW_IS_GOOD, Metric, merit_of, score_of


@pytest.mark.parametrize("metric", get_args(Metric))
def test_merits_keep_the_order_of_the_scores_and_turn_it_where_low_is_good(metric: Metric) -> None:
    scores = [0.0, 0.01, 0.3, 0.9, 1.0] + ([2.0] if metric in LOW_IS_GOOD else [])
    best_first = sorted(scores, reverse=metric not in LOW_IS_GOOD)
    merits = [merit_of(metric, score) for score in best_first]
    assert merits == sorted(merits, reverse=True)
    assert all(0 <= merit <= 1 for merit in merits)
    assert [score_of(metric, merit) for merit in merits] == pytest.approx(best_first)
