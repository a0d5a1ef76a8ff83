"""The fewest members that validation cannot distinguish from greedy's team."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles.config import EnsembleConfig, Metric
from ensembles.pool.pool import PredictionPool
from ensembles.selection.select import select
from ensembles.selection.smallest import is_worse
from tests.ensembles.samples import make_pool, member

METRICS: tuple[Metric, ...] = ("log_loss", "accuracy", "balanced_accuracy", "macro_f1", "auc", "brier")


def pool_of(images: int) -> PredictionPool:
    """Three know one half of the images and three the other, each with some noise of its own."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 0.3, (6, images)) - 0.5
    logits[:3, ::2] += 2.5
    logits[3:, 1::2] += 2.5
    of_true_class = 1 / (1 + np.exp(-logits))
    return make_pool(np.stack([of_true_class, 1 - of_true_class], axis=2), np.zeros(images, int))


def test_a_member_that_is_needed_stays_and_one_that_is_not_goes() -> None:
    whole = select(pool_of(200), EnsembleConfig(size=9))
    small = select(pool_of(200), EnsembleConfig(select="smallest", size=9))
    assert set(small.members) < set(whole.members)
    assert [each in (member(0), member(1), member(2)) for each in small.members].count(True) == 1
    assert len(small.members) == 2
    assert small.picks == whole.picks
    assert small.how == "smallest"
    assert 0 < small.kept_picks < whole.kept_picks
    assert small.validation_score == small.path[small.kept_picks - 1]


@pytest.mark.parametrize("metric", METRICS)
def test_worse_is_distinguished_from_equal_by_every_metric(metric: Metric) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    good = np.where(np.eye(2)[labels] == 1, 0.5, 0.1) + rng.uniform(0, 0.4, (400, 2))
    good /= good.sum(1, keepdims=True)
    poor = good[:, ::-1] * 0.6 + good * 0.4
    config = EnsembleConfig(metric=metric)
    assert is_worse(labels, poor, good, config)
    assert not is_worse(labels, good, poor, config)
    assert not is_worse(labels, good, good, config)


def test_few_images_cannot_tell_two_from_one() -> None:
    assert len(select(pool_of(2), EnsembleConfig(select="smallest", size=9)).members) == 1


def test_one_pick_is_the_smallest_team() -> None:
    assert select(pool_of(40), EnsembleConfig(select="smallest", size=1)).kept_picks == 1
