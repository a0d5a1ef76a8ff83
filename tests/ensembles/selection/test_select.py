"""Selection against tables made by hand, and greedy against its definition done the slow way."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensembles.config import EnsembleConfig
from ensembles.metrics.scores import accuracy, log_loss
from ensembles.pool.pool import PredictionPool
from ensembles.selection.select import rank_members, select
from ensembles.team import Team
from ensembles.voting.vote import vote
from tests.ensembles.samples import make_pool, make_team, member
from trainables.errors import CaucusError, MismatchedPredictions

Metric = Literal["log_loss", "accuracy"]


def columns(*rows: list[float]) -> PredictionPool:
    """A pool of two classes, class 0 always true; one list a member: what it gives to class 0."""
    of_class_0 = np.array(rows)
    return make_pool(np.stack([of_class_0, 1 - of_class_0], axis=2), [0] * of_class_0.shape[1])


# Accuracy 2/4 for 0 and 1, which are wrong on other images; 3/4 for 2 and 3, of which 3 has the lower loss.
FOUR = columns([0.9, 0.9, 0.4, 0.4], [0.4, 0.4, 0.9, 0.9], [0.6, 0.6, 0.6, 0.1], [0.6, 0.6, 0.6, 0.2])


def test_members_rank_by_accuracy_then_loss_then_position() -> None:
    assert rank_members(FOUR) == [3, 2, 0, 1]


@pytest.mark.parametrize(
    ("how", "size", "expected"),
    [("best", 8, [3]), ("top", 2, [3, 2]), ("top", 3, [3, 2, 0]), ("all", 1, [0, 1, 2, 3])],
)
def test_best_top_and_all_take_equals(how: Literal["best", "top", "all"], size: int, expected: list[int]) -> None:
    team = select(FOUR, EnsembleConfig(select=how, size=size))
    assert team.members == tuple(member(number) for number in expected)
    assert team.weights == (1 / len(expected),) * len(expected)
    assert (team.how, team.picks, team.path, team.kept_picks) == (how, (), (), 0)


def test_the_validation_score_is_that_of_the_team() -> None:
    mean = [0.625, 0.625, 0.625, 0.4]
    loss = select(FOUR, EnsembleConfig(select="all", metric="log_loss")).validation_score
    assert loss == pytest.approx(-sum(math.log(probability) for probability in mean) / 4, rel=1e-6)
    assert select(FOUR, EnsembleConfig(select="all", metric="accuracy")).validation_score == 0.75


def test_greedy_by_log_loss_by_hand() -> None:
    # First pick: -mean log of (.9 .4), (.4 .9), (.55 .55): .511, .511, .598: the first of equals, 0. With 1 the mean is
    # .65 everywhere: .431; no third pick comes near (0, 0, 1 gives .463), so the team is the first two.
    team = select(columns([0.9, 0.4], [0.4, 0.9], [0.55, 0.55]), EnsembleConfig(size=3))
    assert team.picks[:2] == (member(0), member(1))
    assert team.members == (member(0), member(1))
    assert team.weights == (0.5, 0.5)
    assert team.path[:2] == pytest.approx((-(math.log(0.9) + math.log(0.4)) / 2, -math.log(0.65)), rel=1e-6)
    assert team.validation_score == team.path[1]
    assert team.kept_picks == 2


def test_greedy_by_accuracy_by_hand() -> None:
    # 2 and 3 are right on three of four, and 2 comes first. With 0 the means are .75 .75 .5 .25, and .5 is a tie that
    # goes to the lower class, the true one: 3/4. With 1: .5 .5 .75 .5, all four right.
    pool = columns([0.9, 0.9, 0.4, 0.4], [0.4, 0.4, 0.9, 0.9], [0.6, 0.6, 0.6, 0.1], [0.6, 0.6, 0.6, 0.2])
    team = select(pool, EnsembleConfig(size=4, metric="accuracy"))
    assert team.picks[:2] == (member(2), member(1))
    assert team.path[:2] == (0.75, 1.0)
    assert team.members == (member(2), member(1))


def test_a_member_that_is_picked_again_weighs_more() -> None:
    # Log-loss of 0 alone .607; with 1 the means are .6 .55 .6: .540; with 0 again .7 .433 .7: .517.
    team = select(columns([0.9, 0.2, 0.9], [0.3, 0.9, 0.3]), EnsembleConfig(size=3))
    assert team.picks == (member(0), member(1), member(0))
    assert team.path == pytest.approx((0.607, 0.540, 0.517), abs=5e-4)
    assert team.weights == pytest.approx((2 / 3, 1 / 3))


def test_equal_picks_go_to_the_team_then_to_the_lowest_position() -> None:
    twins = [0.8, 0.7, 0.6]
    team = select(columns([0.5, 0.5, 0.5], twins, twins, twins), EnsembleConfig(size=4))
    assert team.picks == (member(1),) * 4
    assert team.members == (member(1),)
    # Whoever is picked second, all are right: 2 is in the team, 0 and 1 stand before it.
    pool = columns([0.9, 0.1], [0.1, 0.9], [0.7, 0.7])
    assert select(pool, EnsembleConfig(size=3, metric="accuracy")).picks == (member(2),) * 3


def test_the_team_is_the_earliest_of_the_best_prefixes() -> None:
    team = select(columns([0.9, 0.8]), EnsembleConfig(size=5))
    assert len(team.path) == 5
    assert team.kept_picks == 1
    assert team.weights == (1.0,)


def test_greedy_never_reports_less_than_its_first_pick() -> None:
    rng = np.random.default_rng(0)
    pool = make_pool(rng.dirichlet(np.ones(4), (6, 40)), rng.integers(0, 4, 40))
    for metric in ("log_loss", "accuracy"):
        team = select(pool, EnsembleConfig(size=12, metric=metric))
        best = min(team.path) if metric == "log_loss" else max(team.path)
        assert team.validation_score == best


def test_an_image_on_which_all_give_zero_to_the_true_class_costs_the_same_after_each_pick() -> None:
    team = select(columns([0.0, 1.0]), EnsembleConfig(size=3))
    assert team.path == pytest.approx([-math.log(1e-12) / 2] * 3)


def slow_greedy(pool: PredictionPool, size: int, metric: Metric) -> tuple[list[int], list[float]]:
    """The definition: every candidate's team scored in full at every pick."""
    picks: list[int] = []
    path: list[float] = []
    for _ in range(size):
        costs = []
        for candidate in range(len(pool.members)):
            total = sum((pool.probabilities[number].astype(float) for number in [*picks, candidate]), np.zeros(()))
            mean = np.asarray(total) / (len(picks) + 1)
            cost = (
                log_loss(mean, pool.labels)
                if metric == "log_loss"
                else -accuracy(np.asarray(total).argmax(1), pool.labels)
            )
            costs.append(cost)
        least = min(costs)
        equals = [number for number, cost in enumerate(costs) if cost <= least + 1e-12 * abs(least)]
        picks.append(next((number for number in equals if number in picks), equals[0]))
        path.append(costs[picks[-1]] if metric == "log_loss" else -costs[picks[-1]])
    return picks, path


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 6),
    st.integers(1, 30),
    st.integers(1, 5),
    st.sampled_from([0.05, 0.3, 1.0, 10.0]),
    st.sampled_from(["log_loss", "accuracy"]),
    st.integers(0, 2**32 - 1),
)
def test_greedy_picks_what_its_definition_picks(
    members: int, images: int, classes: int, sharpness: float, metric: Metric, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(classes, sharpness), (members, images))
    pool = make_pool(np.nan_to_num(table, nan=1 / classes), rng.integers(0, classes, images))
    picks, path = slow_greedy(pool, 6, metric)
    team = select(pool, EnsembleConfig(size=6, metric=metric))
    assert team.picks == tuple(member(number) for number in picks)
    assert team.path == pytest.approx(path, rel=1e-9)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_many_images_are_scored_block_by_block_to_the_same_end(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    pool = make_pool(rng.dirichlet(np.full(5, 0.3), (7, 501)), rng.integers(0, 5, 501))
    whole = select(pool, EnsembleConfig(metric=metric))
    monkeypatch.setattr("ensembles.selection.greedy.by_loss.BLOCK_VALUES", 100)
    monkeypatch.setattr("ensembles.selection.greedy.by_accuracy.BLOCK_VALUES", 100)
    blocks = select(pool, EnsembleConfig(metric=metric))
    assert blocks.picks == whole.picks
    assert blocks.path == pytest.approx(whole.path, rel=1e-12)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_the_weighted_vote_has_the_score_that_greedy_reports(metric: Metric) -> None:
    rng = np.random.default_rng(7)
    pool = make_pool(rng.dirichlet(np.ones(3), (8, 200)), rng.integers(0, 3, 200))
    team = select(pool, EnsembleConfig(metric=metric))
    ballot = vote(pool, team, "weighted")
    score = (
        log_loss(ballot.probabilities, pool.labels) if metric == "log_loss" else accuracy(ballot.predicted, pool.labels)
    )
    assert score == pytest.approx(team.validation_score, rel=1e-9)


@pytest.mark.parametrize("how", ["best", "top", "all", "greedy"])
@pytest.mark.parametrize("split", ["test", "train"])
def test_nothing_is_chosen_on_another_split(how: Literal["best", "top", "all", "greedy"], split: str) -> None:
    with pytest.raises(MismatchedPredictions, match=f"chosen on split {split}: a team is chosen on validation"):
        select(replace(FOUR, split=split), EnsembleConfig(select=how, size=1))


def test_top_does_not_make_do_with_fewer() -> None:
    message = "ensemble.size is 9, but only 4 checkpoints can vote: lower ensemble.size or raise search.trials"
    with pytest.raises(CaucusError, match=message):
        select(FOUR, EnsembleConfig(select="top", size=9))


def test_more_greedy_picks_than_members_are_fine() -> None:
    assert len(select(FOUR, EnsembleConfig(size=9)).picks) == 9


@pytest.mark.parametrize(
    ("members", "weights", "message"),
    [
        ((), (), "a team needs members"),
        ((member(0), member(0)), (0.5, 0.5), "each once"),
        ((member(0),), (0.5, 0.5), "one above zero for each of 1"),
        ((member(0), member(1)), (1.0, 0.0), "one above zero"),
        ((member(0), member(1)), (0.5, 0.4), "not to one"),
    ],
)
def test_what_is_no_team_cannot_be_made(members: tuple, weights: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Team(members, weights, "all", "accuracy", (), (), 0.0)


def test_a_path_belongs_to_its_picks() -> None:
    with pytest.raises(ValueError, match="1 picks, but 0 scores"):
        replace(make_team(1.0), picks=(member(0),))
    with pytest.raises(ValueError, match=r"score of 0\.0 was reached by no pick"):
        replace(make_team(1.0), picks=(member(0),), path=(0.5,))
