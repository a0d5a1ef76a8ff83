"""All candidates in the order of a metric, from true-class columns or whole predictions."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from ensembles.config import EnsembleConfig
from ensembles.pool.true_class import take_true_class_pool
from ensembles.selection.select import rank_members, select
from ensembles.selection_bias.corrected import correct
from ensembles.selection_bias.repeat import rank_all
from tests.ensembles.samples import make_pool, member
from trainables.metric import Metric


@pytest.mark.parametrize("metric", get_args(Metric))
def test_the_order_is_that_of_whole_predictions_by_every_metric(metric: Metric) -> None:
    rng = np.random.default_rng(3)
    pool = make_pool(rng.dirichlet([0.3, 0.3, 0.3], (12, 60)), rng.choice(3, 60, p=[0.7, 0.2, 0.1]))
    expected = [pool.members[at] for at in rank_members(pool, metric)]
    assert rank_all(take_true_class_pool(pool), metric, pool) == expected


@pytest.mark.parametrize("metric", ["balanced_accuracy", "brier"])
def test_the_corrected_best_single_is_the_best_by_the_metric(metric: Metric) -> None:
    # Member 0 says the large class alone and is right on 80 %; member 1 is right on 70 % of each class, and surer.
    labels = np.array([0] * 80 + [1] * 20)
    constant = np.tile([0.51, 0.49], (100, 1))
    even = np.full((100, 2), 0.02)
    even[np.arange(100), np.where(np.arange(100) % 10 < 7, labels, 1 - labels)] = 0.98
    pool = make_pool([constant, even], labels)
    config = EnsembleConfig(select="best", metric=metric, correct="cross-fit")
    team = select(pool, config)
    found = correct(pool, team, config)
    assert found is not None
    best = {"balanced_accuracy": 0.7, "brier": 0.8}[metric]
    assert team.members == ((member(1),) if metric == "balanced_accuracy" else (member(0),))
    assert found.baselines["best"].accuracy.value == pytest.approx(best)
