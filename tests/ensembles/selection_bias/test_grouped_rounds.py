"""Rounds of a repeated selection where images come in groups."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles.selection_bias.estimate import Resampler, Voted, estimate_mean
from ensembles.selection_bias.resample import draw_rounds

GROUPS = np.repeat([5, 2, 9, 7, 1], [4, 1, 3, 2, 5])


@pytest.mark.parametrize("kind", ["bootstrap", "cross-fit"])
def test_a_group_lies_on_one_side(kind) -> None:
    rounds = draw_rounds(15, kind, 20, 0, GROUPS)
    assert len(rounds) > 2
    for part in (part for each in rounds for part in each):
        assert not set(GROUPS[part.inside]) & set(GROUPS[part.outside])
        assert set(part.inside.tolist()) | set(part.outside.tolist()) == set(range(15))


def test_each_round_of_folds_scores_every_image_once() -> None:
    for parts in draw_rounds(15, "cross-fit", 20, 0, GROUPS):
        assert sorted(np.concatenate([part.outside for part in parts]).tolist()) == list(range(15))


def test_a_bootstrap_draws_as_many_groups_as_there_are_each_whole() -> None:
    for (part,) in draw_rounds(15, "bootstrap", 20, 0, GROUPS):
        times = np.bincount(part.inside, minlength=15)
        assert sum(int(times[group == GROUPS][0]) for group in set(GROUPS.tolist())) == 5
        assert all(len(set(times[group == GROUPS].tolist())) == 1 for group in set(GROUPS.tolist()))


def test_copies_of_images_change_neither_a_mean_nor_its_interval_much() -> None:
    values = np.random.default_rng(0).random(50)
    alone = estimate_mean(values)
    copied = estimate_mean(np.repeat(values, 6), groups=np.repeat(np.arange(50), 6))
    assert copied.value == pytest.approx(alone.value)
    assert copied.ci95 == pytest.approx(alone.ci95, abs=0.002)


def test_a_corrected_accuracy_of_copied_images_is_as_sure_as_that_of_the_images() -> None:
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet([1, 1, 1], 60), rng.integers(0, 3, 60)
    one = Resampler("accuracy", labels, 0).estimate([Voted(np.arange(60), probabilities)], 0.5, 0.0)
    groups = np.repeat(np.arange(60), 5)
    five = Resampler("accuracy", np.repeat(labels, 5), 0, groups).estimate(
        [Voted(np.arange(300), np.repeat(probabilities, 5, axis=0))], 0.5, 0.0
    )
    assert five.value == pytest.approx(one.value)
    assert five.ci95 == pytest.approx(one.ci95, abs=0.01)
