"""What may go without changing a selection: by hand, and for random pools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensembles.config import EnsembleConfig, Metric, SelectMethod
from ensembles.pool.pool import PredictionPool
from ensembles.selection import retention as module
from ensembles.selection.retention import InvariantSubset, agree, choose_each, retain, retained_selections, take_members
from ensembles.selection.select import select
from ensembles.team import Team
from tests.ensembles.samples import make_pool, member

SIZE = 6


@st.composite
def pools(draw: st.DrawFn) -> PredictionPool:
    """Random pools with duplicates, members that are sure of everything, and few images, so that ties are common."""
    members, images, classes = draw(st.integers(1, 12)), draw(st.integers(1, 14)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(0, classes, images)
    tables = rng.dirichlet(np.ones(classes), (members, images))
    tables[np.arange(members)[:, None], np.arange(images), labels] += rng.uniform(0, 1, (members, 1))
    tables /= tables.sum(2, keepdims=True)
    if draw(st.booleans()):
        tables = np.round(tables * 4) + 1e-9
        tables /= tables.sum(2, keepdims=True)
    for copy in draw(st.lists(st.integers(0, members - 1), max_size=3)):
        tables[rng.integers(members)] = tables[copy]
    if draw(st.booleans()):
        tables[rng.integers(members)] = np.eye(classes)[rng.integers(0, classes, images)]
    return make_pool(tables, labels)


@settings(max_examples=60, deadline=None)
@given(pools(), st.sampled_from(["log_loss", "accuracy"]), st.sampled_from(["greedy", "top", "best", "all"]))
def test_what_stays_is_chosen_as_before_at_every_size(pool: PredictionPool, metric: Metric, how: SelectMethod) -> None:
    own = EnsembleConfig(select=how, metric=metric, size=min(3, len(pool.members)))
    retained = retain(pool, retained_selections(own, SIZE, ()))
    left = take_members(pool, retained.members)
    assert select(left, own) == select(pool, own)
    for size in range(1, SIZE + 1):
        configs = [
            EnsembleConfig(select=rule, metric=each, size=size)
            for rule in ("greedy", "top", "best")
            for each in ("log_loss", "accuracy")
        ]
        assert agree(choose_each(pool, configs), choose_each(left, configs))


def lean(*right: float) -> PredictionPool:
    """A member each that gives so much to the true class of each of four images, of two classes."""
    of_true_class = np.array(right)[:, None].repeat(4, 1)
    return make_pool(np.stack([of_true_class, 1 - of_true_class], 2), [0, 0, 0, 0])


def test_who_is_never_picked_may_go() -> None:
    retained = retain(lean(0.9, 0.6, 0.7, 0.8), retained_selections(EnsembleConfig(size=2), 2, ()))
    assert retained.members == {member(0), member(3)}  # greedy takes the best again and again, top-2 the next best too
    assert not retained.all_stay


def test_a_rule_that_asks_for_all_keeps_all() -> None:
    retained = retain(lean(0.9, 0.6, 0.7), retained_selections(EnsembleConfig(select="all"), 1, ()))
    assert retained.members == {member(0), member(1), member(2)}
    assert retained.all_stay


def test_a_rule_that_depends_on_losing_candidates_retains_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_count(pool: PredictionPool, config: EnsembleConfig, costs: object = None) -> Team:
        at = len(pool.members) - 1
        return Team((pool.members[at],), (1.0,), "best", config.metric, (), (), float(len(pool.members)))

    monkeypatch.setattr(module, "select", by_count)
    pool = lean(0.9, 0.6, 0.7)
    configs = [EnsembleConfig(size=1)]
    assert retain(pool, configs) == InvariantSubset(
        frozenset(pool.members), (by_count(pool, configs[0]),), all_stay=True
    )


def test_more_is_asked_of_the_best_than_there_are_candidates() -> None:
    retained = retain(lean(0.9, 0.6), retained_selections(EnsembleConfig(select="top", size=2), 20, ()))
    assert retained.members == {member(0), member(1)}


def test_selections_are_retained_by_the_usual_metrics_and_the_runs_own() -> None:
    configs = retained_selections(EnsembleConfig(metric="brier", size=3), 20, ["macro_f1"])
    assert {each.metric for each in configs} == {"brier", "macro_f1", "log_loss", "accuracy"}
    assert {(each.select, each.size) for each in configs} == {("greedy", 3), ("greedy", 20), ("top", 20), ("best", 1)}
    assert len(configs) == len(set(configs))
