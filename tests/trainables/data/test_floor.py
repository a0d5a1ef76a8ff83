"""What anybody gets on test without a net, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.data.floor import (
    Floor,
    auc_of_classes,
    find_nearest,
    floor_in,
    measure_floor,
    measure_nearest,
    shrink,
)
from trainables.data.images import ImageSet
from trainables.metric import Metric
from trainables.scores import mean_auc


def test_the_floor_of_six_images_by_hand() -> None:
    # Trained on greys 0, 10 (a), 200 (b); tested on 4 (a), 190 (b), 120 (a): the last is nearest to 200.
    pixels = np.array([0, 10, 200, 4, 190, 120], np.uint8).reshape(6, 1, 1, 1)
    images = ImageSet(
        "six", pixels, np.array([0, 0, 1, 0, 1, 0]), tuple("abcdef"), ("a", "b"), np.array([0, 0, 0, 2, 2, 2], np.int8)
    )
    assert measure_floor(images) == Floor(0.5, 2 / 3, "a", 2 / 3)


def test_what_is_best_is_named() -> None:
    assert Floor(0.1, 0.6, "cat", 0.5).describe() == "always saying 'cat'"
    assert Floor(0.1, 0.3, "cat", 0.5).describe() == "the nearest neighbour on 12 x 12 pixels"
    assert Floor(0.5, 0.3, "cat", 0.4).describe() == "guessing"


def test_images_are_averaged_over_fields_and_small_ones_kept() -> None:
    block = np.arange(24 * 24, dtype=np.uint8).reshape(1, 24, 24, 1)
    assert shrink(block, np.array([0]))[0, 0] == block[0, :2, :2].mean()
    assert shrink(block[:, :3, :2], np.array([0])).tolist() == [block[0, :3, :2, 0].ravel().tolist()]


def test_of_equally_near_images_the_first_counts() -> None:
    known = np.array([[0.0], [2.0], [2.0]], np.float32)
    assert find_nearest(known, np.array([[2.0], [-1.0]], np.float32)).tolist() == [1, 0]


# Trained on 6 of a, 3 of b, 1 of c; tested on 2 of a, 1 of b, 1 of c.
TRAIN, TEST = np.repeat([0, 1, 2], [6, 3, 1]), np.array([0, 0, 1, 2])
SHARES = "guessing by the shares of the classes in training"


@pytest.mark.parametrize(
    ("metric", "nearest", "score", "what"),
    [
        ("balanced_accuracy", {}, 1 / 3, "always saying 'a'"),
        ("balanced_accuracy", {"balanced_accuracy": 0.5}, 0.5, "the nearest neighbour on 12 x 12 pixels"),
        # Guessing: shares 1/2, 1/4, 1/4, each named a third of the time; always a: F1 of a is 2 * 2 / (2 + 4).
        ("macro_f1", {}, (2 * (1 / 6) / (5 / 6) + 4 * (1 / 12) / (7 / 12)) / 3, "guessing"),
        ("auc", {"auc": 0.4}, 0.5, "guessing"),
        ("log_loss", {"log_loss": 0.0001}, 0.0001, "the nearest neighbour on 12 x 12 pixels"),
        ("log_loss", {}, np.log(3), "guessing"),
        # 1 - 2p + sum of p squared, of which p are .6, .6, .3 and .1, and the squares add up to .46.
        ("brier", {}, 1 - 2 * 1.6 / 4 + 0.46, SHARES),
        ("brier", {"brier": 0.5}, 0.5, "the nearest neighbour on 12 x 12 pixels"),
    ],
)
def test_the_floor_of_each_metric_by_hand(metric: Metric, nearest: dict[str, float], score: float, what: str) -> None:
    found = floor_in(metric, TRAIN, TEST, ("a", "b", "c"), nearest)
    assert (found.score, found.what) == (pytest.approx(score), what)


def test_the_shares_of_training_are_the_better_guess_where_the_classes_are_as_unequal_on_test() -> None:
    found = floor_in("log_loss", TRAIN, TRAIN, ("a", "b", "c"), {})
    entropy = -sum(share * np.log(share) for share in (0.6, 0.3, 0.1))
    assert (found.score, found.what) == (pytest.approx(entropy), SHARES)


def test_the_nearest_neighbour_has_no_log_loss_and_its_auc_is_that_of_certain_answers() -> None:
    predicted, labels = np.array([0, 2, 1, 0, 1]), np.array([0, 1, 1, 2, 0])
    certain = np.eye(3)[predicted]
    assert auc_of_classes(predicted, labels, 3) == pytest.approx(mean_auc(certain, labels))
    assert auc_of_classes(np.array([0]), np.array([0]), 2) == 0.5
    pixels = np.array([0, 10, 200, 4, 190, 120], np.uint8).reshape(6, 1, 1, 1)
    images = ImageSet(
        "six", pixels, np.array([0, 0, 1, 0, 1, 0]), tuple("abcdef"), ("a", "b"), np.array([0, 0, 0, 2, 2, 2], np.int8)
    )
    # It says a, b, b for a, b, a.
    assert measure_nearest(images) == pytest.approx(
        {"balanced_accuracy": 0.75, "macro_f1": 2 / 3, "auc": 0.75, "brier": 2 / 3}
    )
