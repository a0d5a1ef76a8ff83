"""Members that selections agree on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ensembles.config import EnsembleConfig, Metric
from ensembles.pool.pool import PredictionPool
from ensembles.selection.select import select
from ensembles.selection.stable import stabilities
from tests.ensembles.samples import make_pool, member


def two_good_ones(seed: int = 0) -> PredictionPool:
    """0 and 1 know different halves of the images, the other four know nothing."""
    rng = np.random.default_rng(seed)
    of_true_class = rng.uniform(0.3, 0.5, (6, 200))
    of_true_class[0, :100], of_true_class[1, 100:] = 0.95, 0.95
    return make_pool(np.stack([of_true_class, 1 - of_true_class], axis=2), np.zeros(200, int))


def test_who_is_needed_is_picked_by_every_bootstrap() -> None:
    shares = stabilities(two_good_ones(), EnsembleConfig(size=4, bootstraps=20))
    assert shares[:2].tolist() == [1.0, 1.0]
    assert (shares[2:] == 0).all()


def test_the_team_is_who_is_picked_often_weighed_by_how_often() -> None:
    pool = two_good_ones()
    config = EnsembleConfig(select="stable", size=4, bootstraps=20)
    team = select(pool, config)
    assert team.members == (member(0), member(1))
    assert team.weights == pytest.approx((0.5, 0.5))
    assert team == select(pool, config)


def test_copies_share_the_picks_of_one_and_the_first_is_picked() -> None:
    twin = np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    shares = stabilities(make_pool([twin, twin], [0, 1, 1]), EnsembleConfig(size=3, bootstraps=7))
    assert shares.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
def test_bootstraps_draw_every_image_as_often_as_the_others(metric: Metric) -> None:
    # Two images: 0 is better on the first and on both together, 1 on the second, which one in four bootstraps draws twice.
    of_true_class = np.array([[0.9, 0.5], [0.5, 0.85]])
    pool = make_pool(np.stack([of_true_class, 1 - of_true_class], axis=2), [0, 0])
    shares = stabilities(pool, EnsembleConfig(size=1, bootstraps=400, metric=metric))
    assert shares == pytest.approx([0.75, 0.25], abs=0.06)
    assert shares.sum() == 1


def test_images_of_one_group_are_drawn_together() -> None:
    # As above with each image eight times: image by image 1 is hardly ever better, group by group as often as above.
    of_true_class = np.repeat(np.array([[0.9, 0.5], [0.5, 0.85]]), 8, axis=1)
    pool = make_pool(np.stack([of_true_class, 1 - of_true_class], axis=2), [0] * 16)
    config = EnsembleConfig(size=1, bootstraps=400, metric="log_loss")
    assert stabilities(replace(pool, groups=np.repeat([3, 7], 8)), config) == pytest.approx([0.75, 0.25], abs=0.06)


@pytest.mark.parametrize("changes", [{"metric": "accuracy"}, {"start": 1}, {"ties": "autogluon"}, {"diverse": True}])
def test_every_kind_of_greedy_may_be_repeated(changes: dict[str, object]) -> None:
    config = EnsembleConfig.model_validate({"select": "stable", "size": 4, "bootstraps": 5, **changes})
    shares = stabilities(two_good_ones(), config)
    assert shares[:2].max() == 1.0
    assert set(select(two_good_ones(), config).members) <= {member(number) for number in range(6)}


def test_where_no_bootstrap_is_asked_for_it_still_has_some() -> None:
    config = EnsembleConfig(select="stable", size=4, bootstraps=0)
    assert select(two_good_ones(), config).members == (member(0), member(1))


def test_where_no_member_is_picked_often_the_most_often_picked_votes_alone() -> None:
    rng = np.random.default_rng(1)
    table = np.eye(2)[rng.integers(0, 2, (60, 40))] * 0.2 + 0.4
    team = select(make_pool(table, rng.integers(0, 2, 40)), EnsembleConfig(select="stable", size=1, metric="accuracy"))
    assert len(team.members) == 1
