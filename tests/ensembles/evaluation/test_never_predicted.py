"""A class that is never predicted, although there are images of it, is found, counted and named."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from ensembles.config import EnsembleConfig
from ensembles.evaluation.never_predicted import (
    MOST_NAMES,
    NeverPredicted,
    describe_never_predicted,
    find_never_predicted,
    read_never_predicted,
)
from ensembles.evaluation.verdict import Verdict, evaluate_prepared, from_json, prepare, to_json
from tests.ensembles.samples import make_pool, make_team, member

NAMES = ["cat", "dog", "fox", "owl", "yak"]


def counts(*classes: int) -> np.ndarray:
    return np.array(classes, np.int64)


# Of cat, dog, fox, owl and yak: fox is on both splits, owl on validation alone and yak on neither. Dog is named on validation alone.
TABLE = [
    ("all named", counts(0, 1, 2, 3), counts(3, 2, 1, 0), counts(0, 1, 2), counts(0, 0, 0), []),
    ("named once is enough", counts(0, 1), counts(0, 1), counts(1, 1), counts(0, 0), []),
    ("none named", counts(0, 2, 2, 3), counts(0, 0, 0, 0), counts(0, 2, 1, 1), counts(0, 0, 0, 0), [(1, 0, 2), (2, 2, 1), (3, 1, 0)]),
    ("wrong but named", counts(0, 2), counts(2, 0), counts(0), counts(0), []),
]  # fmt: skip


@pytest.mark.parametrize(("labels", "predicted", "truth", "named", "missed"), [row[1:] for row in TABLE])
def test_classes_with_images_that_no_prediction_names_are_found(
    labels: np.ndarray, predicted: np.ndarray, truth: np.ndarray, named: np.ndarray, missed: list[tuple[int, int, int]]
) -> None:
    found = find_never_predicted(NAMES, (labels, predicted), (truth, named))
    assert found == tuple(NeverPredicted(NAMES[at], validation, test) for at, validation, test in missed)


def test_the_line_counts_test_images_and_where_there_are_none_those_of_validation() -> None:
    found = [NeverPredicted("fox", 3, 12), NeverPredicted("old\nowl", 1, 1), NeverPredicted("yak", 2, 0)]
    assert describe_never_predicted(found) == (
        "never predicted: fox (12 test images), old owl (1 test image), yak (2 validation images)"
    )
    assert describe_never_predicted(found[:1], "the team") == "never predicted by the team: fox (12 test images)"
    assert describe_never_predicted(()) == ""
    many = [NeverPredicted(f"c{number}", 1, 1) for number in range(MOST_NAMES + 3)]
    assert describe_never_predicted(many).endswith("c9 (1 test image) and 3 more")


def test_what_is_stored_is_read_and_an_older_record_has_none() -> None:
    found = (NeverPredicted("fox", 3, 12),)
    assert read_never_predicted([asdict(one) for one in found]) == found
    assert read_never_predicted(None) == ()


def judge(team: list[int], best: list[int]) -> Verdict:
    """A team that says `team` beside the best single that says `best`, on images of classes 0, 1, 1 and 2."""
    labels, table = [0, 1, 1, 2], np.full((2, 4, 3), 0.05)
    for place, said in enumerate((best, team)):
        table[place, np.arange(4), said] = 0.9
    pools = [make_pool(table, labels, split) for split in ("validation", "test")]
    chosen = make_team(0.01, 0.99)
    ready = prepare(
        chosen, EnsembleConfig(vote="weighted", calibrate="none"), pools[0], [member(0), member(1)], table[0]
    )
    verdict = evaluate_prepared(ready, pools[1], table[0])
    assert from_json(to_json(verdict, chosen)) == (verdict, chosen)
    return verdict


def test_the_verdict_has_what_the_team_and_the_best_single_never_say() -> None:
    both = judge([0, 0, 0, 2], [0, 0, 2, 2])
    name = both.never_predicted[0].name
    assert both.never_predicted == both.best_never_predicted == (NeverPredicted(name, 2, 2),)
    assert both.blind_spots == (f"never predicted: {name} (2 test images)",)
    best_alone = judge([0, 1, 1, 2], [0, 0, 2, 2])
    assert best_alone.blind_spots == (f"never predicted by the best single checkpoint: {name} (2 test images)",)
    team_alone = judge([0, 0, 0, 2], [0, 1, 1, 2])
    assert team_alone.blind_spots == (f"never predicted by the weighted vote of 2: {name} (2 test images)",)
    assert judge([0, 1, 1, 2], [0, 1, 1, 2]).blind_spots == ()
