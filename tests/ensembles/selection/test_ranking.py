"""Candidates by what each is worth alone, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles.config import EnsembleConfig
from ensembles.selection.select import rank_members, select
from tests.ensembles.samples import make_pool, member

# Accuracy 2/4, 3/4, 3/4; log-loss .51, .80, .66: the first is the least right and the least wrong by log-loss.
OF_TRUE_CLASS = np.array([[0.99, 0.99, 0.45, 0.45], [0.6, 0.6, 0.6, 0.1], [0.6, 0.6, 0.6, 0.3]])
POOL = make_pool(np.stack([OF_TRUE_CLASS, 1 - OF_TRUE_CLASS], axis=2), [0, 0, 0, 0])


def test_members_rank_by_the_metric_and_among_equals_by_accuracy_and_loss() -> None:
    assert rank_members(POOL) == [2, 1, 0]
    assert rank_members(POOL, "accuracy") == [2, 1, 0]
    assert rank_members(POOL, metric="log_loss") == [0, 2, 1]
    assert rank_members(POOL, metric="brier") == [0, 2, 1]
    assert rank_members(POOL, metric="auc") == [2, 1, 0]  # of one class there is no curve: all have .5


def test_best_and_top_rank_by_a_metric_that_is_set() -> None:
    assert select(POOL, EnsembleConfig(select="best")).members == (member(2),)
    assert select(POOL, EnsembleConfig(select="best", metric="brier")).members == (member(0),)
    assert select(POOL, EnsembleConfig(select="top", size=2, metric="brier")).members == (member(0), member(2))


def test_a_sweep_file_that_is_stored_with_all_its_keys_ranks_as_before() -> None:
    config = EnsembleConfig(select="best")
    again = EnsembleConfig.model_validate(config.model_dump())
    assert select(POOL, again) == select(POOL, config)


def test_the_score_is_by_the_metric_asked_for() -> None:
    team = select(POOL, EnsembleConfig(select="all", metric="brier"))
    mean = np.float32(OF_TRUE_CLASS).mean(0)
    assert team.validation_score == pytest.approx(2 * np.mean((1 - mean) ** 2), rel=1e-6)
