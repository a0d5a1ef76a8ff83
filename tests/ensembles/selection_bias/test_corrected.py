from dataclasses import replace

import numpy as np
import pytest

import ensembles.selection_bias.corrected
import ensembles.selection_bias.repeat
from ensembles.config import EnsembleConfig
from ensembles.selection.select import select
from ensembles.selection_bias.corrected import correct
from ensembles.selection_bias.resample import Part
from ensembles.voting.vote import VOTES
from tests.ensembles.samples import make_pool


def binary(*rows):
    """Two classes, class 0 always true; one list a member: what it gives to class 0."""
    of_class_0 = np.array(rows)
    return make_pool(np.stack([of_class_0, 1 - of_class_0], axis=2), [0] * of_class_0.shape[1])


def random_pool(members, images, classes=3, seed=0, lean=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    logits = rng.normal(size=(members, images, classes)) + rng.normal(size=(images, classes))
    logits[:, np.arange(images), labels] += lean
    shares = np.exp(logits)
    return make_pool(shares / shares.sum(2, keepdims=True), labels)


def halves(images, kind, repetitions, seed, groups):
    """One round: each half of the images scores what the other one selects."""
    first, second = np.arange(images // 2), np.arange(images // 2, images)
    return [[Part(first, second), Part(second, first)]]


@pytest.fixture
def in_halves(monkeypatch):
    monkeypatch.setattr(ensembles.selection_bias.corrected, "draw_rounds", halves)


# Right on images 0 and 1, and on 2 and 3; member 2 is right on 0, 2 and 3 but never sure.
LEFT, RIGHT, MILD = [0.9, 0.9, 0.1, 0.2], [0.1, 0.3, 0.8, 0.9], [0.6, 0.4, 0.6, 0.6]


def test_the_best_single_is_scored_where_it_was_not_chosen(in_halves):
    pool = binary(LEFT, RIGHT)
    config = EnsembleConfig(select="best", metric="accuracy", correct="cross-fit")
    found = correct(pool, select(pool, config), config)
    # Images 0 and 1 choose LEFT, which is wrong on 2 and 3; these choose RIGHT, wrong on the others.
    assert (found.selected, found.accuracy) == (0.5, 0.0)
    assert found.votes["soft"].log_loss.value == pytest.approx(-np.log([0.1, 0.3, 0.1, 0.2]).mean(), rel=1e-6)
    assert found.baselines["best"] == found.votes["soft"]
    assert (found.gain.value, found.repetitions, found.images, found.candidates) == (0, 2, 4, 2)
    assert found.chosen_again == (0.5,)
    assert found.band == ()


def test_a_bootstrap_counts_the_score_as_selected_for_a_part(in_halves):
    pool = binary(LEFT, RIGHT)
    config = EnsembleConfig(select="best", metric="accuracy", correct="bootstrap")
    found = correct(pool, select(pool, config), config)
    assert found.accuracy == pytest.approx(0.15 * 0.5 + 0.85 * 0.0)
    assert found.score.value == pytest.approx(found.accuracy)
    seen = -np.log(
        [0.1, 0.3, 0.8, 0.9]
    ).mean()  # of both, right on two, all images choose RIGHT, whose log-loss is lower
    unseen = -np.log([0.1, 0.3, 0.1, 0.2]).mean()
    assert found.votes["soft"].log_loss.value == pytest.approx(0.15 * seen + 0.85 * unseen, rel=1e-6)


def test_the_top_of_one_is_the_best_single_also_as_selected(in_halves):
    pool = binary(LEFT, RIGHT, MILD)
    config = EnsembleConfig(select="best", metric="accuracy", correct="bootstrap", size=1)
    found = correct(pool, select(pool, config), config)
    assert found.baselines["top"] == found.baselines["best"] == found.votes["soft"]


def test_the_vote_of_all_was_not_selected_and_stays_as_it_is(in_halves):
    pool = binary(LEFT, RIGHT, MILD)
    config = EnsembleConfig(select="best", metric="accuracy", correct="cross-fit")
    found = correct(pool, select(pool, config), config).baselines["all"]
    # Means .533 .533 .5 .567: a tie is for class 0.
    assert found.accuracy.value == 1
    assert found.log_loss.value == pytest.approx(-np.log([1.6 / 3, 1.6 / 3, 1.5 / 3, 1.7 / 3]).mean(), rel=1e-6)


def test_top_and_gain_by_hand(in_halves):
    pool = binary(LEFT, RIGHT, MILD)
    config = EnsembleConfig(select="top", size=2, metric="accuracy", correct="cross-fit")
    found = correct(pool, select(pool, config), config)
    # 0 and 1 rank LEFT (2 right), MILD (1), RIGHT (0): on 2 and 3 .35 .4, both wrong. 2 and 3 rank RIGHT, then MILD with
    # two right each: on 0 and 1 .35 .35. The best single: LEFT on 2 and 3, RIGHT on 0 and 1, wrong everywhere as well.
    assert found.accuracy == 0
    assert found.gain.value == 0
    of_true_class = [0.35, 0.35, 0.35, 0.4]
    assert found.votes["soft"].log_loss.value == pytest.approx(-np.log(of_true_class).mean(), rel=1e-6)
    assert found.baselines["top"] == found.votes["soft"]


def test_the_band_follows_the_picks_on_images_that_they_did_not_see(in_halves):
    pool = binary(LEFT, RIGHT)
    config = EnsembleConfig(select="greedy", size=2, metric="log_loss", correct="cross-fit")
    team = select(pool, config)
    found = correct(pool, team, config)
    # Each half picks its own member twice, so that both picks are scored alike: by the other one's images.
    assert len(found.band) == len(team.path) == 2
    assert found.band[0] == found.band[1]
    low, middle, high = found.band[0]
    losses = -np.log([0.1, 0.3, 0.1, 0.2])
    assert losses.min() <= low <= middle <= high <= losses.max()
    assert middle == pytest.approx(losses.mean(), abs=0.1)


@pytest.mark.parametrize("how", ["bootstrap", "cross-fit"])
def test_the_flattery_of_selection_is_taken_back(how):
    # 60 coins: the luckiest is right on far more than half of 60 images, and is worth a half.
    rng = np.random.default_rng(1)
    right = rng.random((60, 60)) < 0.5
    pool = binary(*np.where(right, 0.9, 0.1))
    config = EnsembleConfig(select="best", metric="accuracy", correct=how)
    found = correct(pool, select(pool, config), config)
    assert found.selected > 0.6
    assert found.accuracy < 0.5 + 0.4 * (found.selected - 0.5)
    if how == "bootstrap":  # folds turn luck round: who was lucky on nine of them has less of it left for the tenth
        assert found.ci95[0] < 0.5 < found.ci95[1]


def test_the_same_pool_gives_the_same_figures_and_another_seed_others():
    pool, config = random_pool(12, 60), EnsembleConfig(size=3)
    team = select(pool, config)
    assert correct(pool, team, config, VOTES) == correct(pool, team, config, VOTES)
    assert correct(pool, team, config) != correct(pool, team, config.model_copy(update={"seed": 1}))


def test_no_bootstraps_correct_nothing():
    pool = random_pool(3, 20)
    config = EnsembleConfig(bootstraps=0)
    assert correct(pool, select(pool, config), config) is None


def test_true_class_probabilities_alone_give_what_all_of_them_give(monkeypatch):
    pool, config = random_pool(12, 60), EnsembleConfig(size=4)
    team = select(pool, config)
    short = correct(pool, team, config, VOTES)
    monkeypatch.setattr(ensembles.selection_bias.repeat, "needs_true_class_alone", lambda config: False)
    assert correct(pool, team, config, VOTES) == short


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "balanced_accuracy", "macro_f1", "auc", "brier"])
def test_every_metric_has_a_corrected_score_that_is_worse_than_the_selected_one(metric):
    pool = random_pool(30, 40, lean=0.5)
    config = EnsembleConfig(metric=metric, size=4)
    team = select(pool, config)
    found = correct(pool, team, config)
    worse = (
        found.score.value - found.selected if metric in ("log_loss", "brier") else found.selected - found.score.value
    )
    assert worse > 0
    assert found.score.ci95[0] < found.score.value < found.score.ci95[1]
    assert len(found.band) == len(team.path)


def test_of_a_large_pool_each_repetition_selects_from_its_own_best(monkeypatch):
    pool, config = random_pool(12, 60), EnsembleConfig(size=2)
    team, seen = select(pool, config), []

    def record_members(given, *others):
        seen.append(given.members)
        return select(given, *others)

    monkeypatch.setattr(ensembles.selection_bias.repeat, "MOST_CANDIDATES", 11)
    monkeypatch.setattr(ensembles.selection_bias.repeat, "CANDIDATES_OF_LARGE_POOL", 5)
    monkeypatch.setattr(ensembles.selection_bias.repeat, "select", record_members)
    found = correct(pool, team, config)
    assert found.candidates == 5
    assert {len(members) for members in seen} == {5}
    assert len(set(seen)) > 1  # not one filter for all, which would have seen the images that score


@pytest.mark.parametrize(
    ("most", "config", "candidates"),
    [
        (12, EnsembleConfig(size=2), 12),  # up to this size: all of them
        (11, EnsembleConfig(size=2), 5),
        (11, EnsembleConfig(size=7), 7),  # as many as may vote, at least
        (11, EnsembleConfig(size=2, select="all"), 12),
    ],
)
def test_a_pool_is_large_above_a_size_and_no_team_is_larger_than_what_it_is_selected_from(
    monkeypatch, most, config, candidates
):
    monkeypatch.setattr(ensembles.selection_bias.repeat, "MOST_CANDIDATES", most)
    monkeypatch.setattr(ensembles.selection_bias.repeat, "CANDIDATES_OF_LARGE_POOL", 5)
    pool = random_pool(12, 30)
    assert correct(pool, select(pool, config), config).candidates == candidates


@pytest.mark.parametrize("select_how", ["best", "top", "all", "greedy"])
@pytest.mark.parametrize("how", ["bootstrap", "cross-fit"])
@pytest.mark.parametrize(
    "pool",
    [
        pytest.param(random_pool(1, 30), id="one member"),
        pytest.param(random_pool(4, 2), id="two images"),
        pytest.param(replace(random_pool(4, 30), labels=np.array([0] * 29 + [2])), id="a class missing, one seen once"),
        pytest.param(make_pool(np.tile([[[1.0, 0.0]]], (3, 9, 1)), [1] * 9), id="alike, saturated and wrong"),
    ],
)
def test_an_edge_pool_is_corrected_without_a_figure_that_is_none(pool, how, select_how):
    config = EnsembleConfig(select=select_how, size=1, correct=how)
    found = correct(pool, select(pool, config), config, VOTES)
    assert set(found.votes) == set(VOTES)
    for score in (*found.votes.values(), *found.baselines.values()):
        for one in (score.accuracy, score.log_loss):
            assert np.isfinite([one.value, *one.ci95]).all()
            assert one.ci95[0] <= one.value <= one.ci95[1]
    assert -1 <= found.gain.ci95[0] <= found.gain.value <= found.gain.ci95[1] <= 1.5
