"""Scores by source: small tables by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles.evaluation.by_source import describe_sources, score_sources
from ensembles.metrics.intervals import accuracy_interval, wilson_interval


def make_right(*counts: tuple[int, int]) -> np.ndarray:
    """Right and wrong images of one source after the other."""
    return np.concatenate([[True] * right + [False] * wrong for right, wrong in counts])


def test_each_source_has_its_images_in_the_order_of_names() -> None:
    sources = ["y", "x", "y", "x", "y"]
    x, y = score_sources(sources, np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 0, 0, 0], bool))
    assert (x.source, x.images, x.team, x.best) == ("x", 2, 0.5, 0.0)
    assert (y.source, y.images, y.team, y.best) == ("y", 3, pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert x.ci95 == wilson_interval(1, 2)
    assert [x.is_behind, y.is_behind] == [False, False]
    assert describe_sources([x, y]) == (
        "Of 2 sources 'x' is worst (50.00% of 2 test images) and 'y' best (66.67% of 3): chance may explain that."
    )


def test_a_source_below_the_others_by_more_than_chance_is_named() -> None:
    right = make_right((95, 5), (96, 4), (60, 40))
    scores = score_sources(["a"] * 100 + ["b"] * 100 + ["c\x1b[2J"] * 100, right, right)
    assert [score.is_behind for score in scores] == [False, False, True]
    assert describe_sources(scores).endswith("'c\\x1b[2J' lies below the others by more than chance.")


def test_of_many_sources_some_are_low_by_chance_alone() -> None:
    rng = np.random.default_rng(0)
    named = 0
    for _ in range(200):
        right = rng.random(20 * 100) < 0.8
        scores = score_sources([f"{number // 100:02d}" for number in range(2000)], right, right)
        named += any(score.is_behind for score in scores)
    assert named <= 14  # 5 % of 200, and two standard deviations


def test_groups_count_as_what_they_are_worth() -> None:
    right = make_right((50, 50), (80, 20))
    sources, groups = ["a"] * 100 + ["b"] * 100, np.repeat(np.arange(4), 50)
    (alone, _), (grouped, _) = score_sources(sources, right, right), score_sources(sources, right, right, groups)
    assert alone.is_behind
    assert not grouped.is_behind  # two groups, one all right and one all wrong, say nothing
    assert grouped.ci95 == accuracy_interval(right[:100], groups[:100])


def test_one_source_or_none_has_no_scores() -> None:
    assert score_sources(["a", "a"], np.array([True, False]), np.array([True, True])) == ()
    assert describe_sources([]) == ""
