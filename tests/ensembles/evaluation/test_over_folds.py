"""Scores over folds: small tables by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles.evaluation.over_folds import ConfigurationAnswers, FoldAnswers, summarise_folds
from ensembles.metrics.intervals import accuracy_interval, wilson_interval


def bits(text: str) -> np.ndarray:
    return np.array([each == "1" for each in text])


def make_fold(team: str, best: str, groups: str | None = None, **configurations: tuple[float, str]) -> FoldAnswers:
    found = {
        name: ConfigurationAnswers(f"lr={name}", merit, bits(right)) for name, (merit, right) in configurations.items()
    }
    return FoldAnswers(bits(team), bits(best), None if groups is None else tuple(groups), found)


FOLDS = [
    make_fold("1111", "1110", a=(0.8, "1110"), b=(0.9, "1100")),
    make_fold("110", "100", a=(0.6, "100"), b=(0.9, "000"), c=(0.99, "111")),
]


def test_the_team_is_scored_on_the_images_of_all_folds() -> None:
    found = summarise_folds(FOLDS)
    assert (found.folds, found.images) == (2, 7)
    assert (found.change.after, found.change.before) == (pytest.approx(6 / 7), pytest.approx(4 / 7))
    assert found.change.mcnemar_p == 0.5  # two images gained, none lost
    assert found.team_ci95 == wilson_interval(6, 7)
    assert found.by_fold == (1.0, pytest.approx(2 / 3))
    first, second = found.sentences
    assert "each of 7 images judged once" in first
    assert "right on 85.71%" in first
    assert "+28.57 points" in first
    assert second.startswith("In single folds the team is right on 66.67% to 100.00%;")


def test_configurations_that_every_fold_has_are_ranked_by_validation_alone() -> None:
    found = summarise_folds(FOLDS)
    b, a = found.configurations
    assert (b.name, b.settings, b.merit, b.merit_sd, b.accuracy) == ("b", "lr=b", 0.9, 0, pytest.approx(2 / 7))
    assert (a.name, a.merit, a.accuracy) == ("a", pytest.approx(0.7), pytest.approx(4 / 7))
    assert a.merit_sd == pytest.approx(0.2 / np.sqrt(2))
    assert found.elsewhere == 1  # c


def test_images_of_one_group_are_one_piece_of_evidence() -> None:
    grouped = summarise_folds([make_fold("1111", "0000", "xxxx"), make_fold("111000", "000000", "yyyzzz")])
    assert grouped.team_ci95 == accuracy_interval(bits("1111111000"), np.array([0] * 4 + [1] * 3 + [2] * 3))
    assert grouped.change.mcnemar_p == 0.5  # two groups gained, one is equal
    alone = summarise_folds([make_fold("1111", "0000"), make_fold("111000", "000000")])
    assert alone.change.mcnemar_p < 0.05
