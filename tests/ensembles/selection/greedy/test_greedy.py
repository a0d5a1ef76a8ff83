"""Greedy against the two libraries' rules done the slow way, and against teams made by hand."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensembles.config import EnsembleConfig, Metric
from ensembles.metrics.scores import cost_of, measure
from ensembles.pool.pool import PredictionPool
from ensembles.selection.select import select
from tests.ensembles.samples import make_pool, member
from tests.ensembles.selection.slow_libraries import SLOW

METRICS: tuple[Metric, ...] = ("log_loss", "accuracy", "balanced_accuracy", "macro_f1", "auc", "brier")


@st.composite
def pools(draw: st.DrawFn) -> PredictionPool:
    """Members that are sharp or flat, some of them one-hot, saturated, coarse, unscaled, constant, or copies of others."""
    members, images, classes = draw(st.integers(1, 12)), draw(st.integers(1, 60)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(0, classes, images)
    skill = 2.0 * np.eye(classes)[labels] * draw(st.sampled_from([0.0, 1.0, 3.0]))
    logits = skill + rng.normal(size=(members, images, classes)) * draw(st.sampled_from([0.1, 1.0, 3.0]))
    table = np.exp(logits - logits.max(2, keepdims=True))
    table /= table.sum(2, keepdims=True)
    kinds = ("plain", "one-hot", "saturated", "coarse", "half", "unscaled", "copy", "flat")
    for position in range(members):
        kind = draw(st.sampled_from(kinds))
        own = table[position]
        if kind == "one-hot":
            table[position] = np.eye(classes)[own.argmax(1)]
        elif kind == "saturated":
            own[rng.random(images) < 0.5] = np.eye(classes)[labels[0]]
        elif kind == "coarse":
            table[position] = np.round(own * 4) / np.maximum(np.round(own * 4).sum(1, keepdims=True), 1)
            table[position][table[position].sum(1) == 0] = 1 / classes
        elif kind == "half":
            table[position] = own.astype(np.float16)
        elif kind == "unscaled":
            table[position] = own * (1 + 5e-4 * rng.normal(size=(images, 1)).clip(-2, 2))
        elif kind == "copy":
            table[position] = table[rng.integers(0, members)]
        elif kind == "flat":
            table[position] = 1 / classes
    return make_pool(table, labels)


@settings(deadline=None, max_examples=250)
@given(
    pools(),
    st.sampled_from(["autogluon", "auto-sklearn"]),
    st.sampled_from(["log_loss", "accuracy"]),
    st.integers(0, 9),
)
def test_picks_are_those_of_the_library(
    pool: PredictionPool, ties: Literal["autogluon", "auto-sklearn"], metric: Literal["log_loss", "accuracy"], seed: int
) -> None:
    picks, path, kept = SLOW[ties](pool.probabilities, pool.labels, 9, metric, seed)
    selected = select(pool, EnsembleConfig(size=9, ties=ties, metric=metric, seed=seed))
    assert selected.picks == tuple(pool.members[position] for position in picks)
    assert [cost_of(metric, score) + (metric == "accuracy") for score in selected.path] == pytest.approx(
        path, abs=1e-12
    )
    assert selected.kept_picks == kept
    team = [pool.members[position] for position in picks[:kept]]
    assert dict(zip(selected.members, selected.weights, strict=True)) == pytest.approx(
        {each: team.count(each) / kept for each in team}
    )


@pytest.mark.parametrize("ties", ["autogluon", "auto-sklearn"])
@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
@pytest.mark.parametrize("kind", ["soft", "sharp", "twins"])
def test_picks_are_those_of_the_library_on_a_larger_pool(
    ties: Literal["autogluon", "auto-sklearn"], metric: Literal["log_loss", "accuracy"], kind: str
) -> None:
    pool = large_pool(40, 1500, 10, kind)
    picks, _, kept = SLOW[ties](pool.probabilities, pool.labels, 20, metric, 1)
    selected = select(pool, EnsembleConfig(size=20, ties=ties, metric=metric, seed=1))
    assert selected.picks == tuple(pool.members[position] for position in picks)
    assert selected.kept_picks == kept


def large_pool(members: int, images: int, classes: int, kind: str) -> PredictionPool:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, classes, images)
    common = rng.normal(size=(images, classes)) + 2 * np.eye(classes)[labels]
    logits = common + 0.7 * rng.normal(size=(members, images, classes))
    logits *= {"soft": 1.0, "sharp": 20.0, "twins": 2.0}[kind]
    table = np.exp(logits - logits.max(2, keepdims=True)).astype(np.float32)
    table /= table.sum(2, keepdims=True)
    if kind == "twins":
        table[members // 2 :] = table[: members - members // 2]
    return make_pool(table, labels)


def slow_costs(pool: PredictionPool, team: list[int], metric: Metric) -> npt.NDArray[np.float64]:
    """Of the team with each candidate."""
    parts = [[*team, candidate] for candidate in range(len(pool.members))]
    means = [pool.probabilities[part].astype(np.float64).sum(0) / len(part) for part in parts]
    return np.array([cost_of(metric, measure(metric, mean, pool.labels)) for mean in means])


@settings(deadline=None, max_examples=60)
@given(pools(), st.sampled_from(METRICS))
def test_by_every_metric_each_pick_is_the_one_that_leaves_the_best_team(pool: PredictionPool, metric: Metric) -> None:
    selected = select(pool, EnsembleConfig(size=4, metric=metric))
    team: list[int] = []
    for pick, score in zip(selected.picks, selected.path, strict=True):
        costs = slow_costs(pool, team, metric)
        position = pool.position(pick)
        assert cost_of(metric, score) == pytest.approx(costs[position], rel=1e-9, abs=1e-12)
        assert costs[position] <= costs.min() + 1e-9 * abs(costs.min()) + 1e-12
        team.append(position)


@pytest.mark.parametrize("ties", ["caucus", "autogluon", "auto-sklearn"])
@pytest.mark.parametrize("metric", METRICS)
def test_every_kind_of_greedy_knows_every_metric(
    metric: Metric, ties: Literal["caucus", "autogluon", "auto-sklearn"]
) -> None:
    pool = large_pool(8, 60, 3, "soft")
    for changes in ({}, {"select": "greedy-once"}, {"start": 2}, {"bags": 3}, {"diverse": True}):
        config = EnsembleConfig.model_validate({"size": 4, "metric": metric, "ties": ties, **changes})
        selected = select(pool, config)
        positions = [pool.position(each) for each in selected.members]
        mean = np.tensordot(selected.weights, pool.probabilities[positions].astype(np.float64), 1)
        assert selected.validation_score == pytest.approx(measure(metric, mean, pool.labels), abs=2e-6)


def test_greedy_once_picks_no_candidate_twice_and_ends_with_the_last() -> None:
    pool = large_pool(5, 100, 4, "soft")
    selected = select(pool, EnsembleConfig(select="greedy-once", size=8))
    assert len(set(selected.picks)) == len(selected.picks) == 5
    assert set(selected.weights) == {1 / len(selected.members)}


def test_a_sorted_start_takes_the_best_alone_and_keeps_them() -> None:
    pool = large_pool(10, 200, 4, "soft")
    alone = slow_costs(pool, [], "log_loss")
    best = [member(int(position)) for position in np.argsort(alone)[:4]]
    selected = select(pool, EnsembleConfig(start=4, size=7))
    assert list(selected.picks[:4]) == best
    assert selected.kept_picks >= 4
    assert list(selected.members[:4]) == best
    assert selected.path[4] == pytest.approx(slow_costs(pool, [pool.position(each) for each in best], "log_loss").min())


def test_bags_count_the_picks_of_random_halves_together() -> None:
    pool = large_pool(10, 200, 4, "soft")
    bagged = select(pool, EnsembleConfig(bags=6, size=3))
    plain = select(pool, EnsembleConfig(size=3))
    assert set(bagged.members) > set(plain.members)
    assert len(bagged.picks) <= 18
    assert bagged.kept_picks == len(bagged.picks)
    assert bagged.validation_score == bagged.path[-1]
    assert bagged == select(pool, EnsembleConfig(bags=6, size=3))
    assert bagged.picks != select(pool, EnsembleConfig(bags=6, size=3, seed=1)).picks


def test_of_equals_the_least_alike_goes_first_and_only_of_equals() -> None:
    # All are right on three of four images, and 0 comes first. With 1 the team is wrong on 3, as both are; with 2 on 0, where 0
    # gives .8 and 2 gives .1. So both leave 3/4, and 2 has no error in common with 0.
    right = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [0, 1, 1, 1]], float)
    table = np.stack([0.6 * right + 0.2, 0.8 - 0.6 * right], axis=2)
    table[2, 0], table[2, 3] = [0.1, 0.9], [0.9, 0.1]
    pool = make_pool(table, [0, 0, 0, 0])
    config = EnsembleConfig(select="greedy-once", size=2, metric="accuracy")
    assert select(pool, config).picks == (member(0), member(1))
    assert select(pool, config.model_copy(update={"diverse": True})).picks == (member(0), member(2))
    by_loss = EnsembleConfig(select="greedy-once", size=2)
    assert select(pool, by_loss).picks == select(pool, by_loss.model_copy(update={"diverse": True})).picks


def test_the_library_that_keeps_the_last_team_says_so() -> None:
    pool = make_pool(np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.5, 0.5]]]), [0, 1])
    selected = select(pool, EnsembleConfig(size=3, ties="auto-sklearn"))
    assert selected.kept_picks == 3
    assert selected.picks == (member(0),) * 3
