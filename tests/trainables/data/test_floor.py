"""What anybody gets on test without a net, by hand."""

from __future__ import annotations

import numpy as np

from trainables.data.floor import Floor, find_nearest, measure_floor, shrink
from trainables.data.images import ImageSet


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
