"""What groups and sources that were never seen cost a nearest neighbour: small sets by hand."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.data.images import ImageSet
from trainables.data.unseen import measure_unseen
from trainables.errors import DataError


def make_set(levels: list[int], labels: list[int], groups: list[str] | None, sources: list[str] | None) -> ImageSet:
    """Grey images of 2 x 2 pixels, each of one level."""
    return ImageSet(
        name="levels",
        pixels=np.array(levels, np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8),
        labels=np.array(labels, np.int64),
        image_ids=tuple(f"{number}.png" for number in range(len(levels))),
        class_names=("a", "b"),
        splits=np.zeros(len(levels), np.int8),
        groups=None if groups is None else tuple(groups),
        sources=None if sources is None else tuple(sources),
    )


# Two pictures of each object. Objects p (10, 12: a), q (20, 22: b), r (100, 102: a), s (110, 113: b).
LEVELS, LABELS = [10, 12, 20, 22, 100, 102, 110, 113], [0, 0, 1, 1, 0, 0, 1, 1]
OBJECTS = list("ppqqrrss")


def test_the_other_picture_of_an_object_is_the_neighbour_where_images_are_dealt() -> None:
    found = measure_unseen(make_set(LEVELS, LABELS, OBJECTS, None))
    assert (found.images, found.dealt) == (8, 1.0)
    assert found.groups == 0.0  # the nearest other object is of the other class, each time
    assert found.sources == ()


def test_a_source_is_judged_by_the_others_alone() -> None:
    # Source x holds the dark pictures, y the bright ones. Nearest to dark is 100 (a), nearest to bright is 22 (b).
    found = measure_unseen(make_set(LEVELS, LABELS, None, list("xxxxyyyy")))
    assert found.groups is None
    assert [(one.source, one.images, one.seen, one.unseen) for one in found.sources] == [
        ("x", 4, 1.0, 0.5),
        ("y", 4, 1.0, 0.5),
    ]
    first, second = found.describe()
    assert first == (
        "A nearest neighbour on 12 x 12 pixels is right on 100.0% where images are dealt at random, "
        "on 50.0% to 50.0% where a source is left out."
    )
    assert "data.hold_out=x" in second


def test_a_group_that_lies_in_two_sources_is_not_new_in_either() -> None:
    # Image 0 of source x and image 1 of source y show one object: for each the neighbour is another object.
    found = measure_unseen(make_set([10, 11, 13, 60], [0, 0, 1, 1], ["p", "p", "q", "r"], list("xyyx")))
    # x: 0 -> 13 (b, wrong), 60 -> 13 (b, right). y: 11 -> 60 (b, wrong), 13 -> 10 (a, wrong).
    assert [(one.source, one.unseen) for one in found.sources] == [("x", 0.5), ("y", 0.0)]


def test_equal_images_join_their_groups() -> None:
    found = measure_unseen(make_set([10, 10, 12, 200], [0, 0, 0, 1], ["p", "q", "q", "r"], None))
    # 0 and 1 are one image, so p and q are one group: the neighbour of each of the three is 200, of the other class.
    assert found.groups == 0.0


def test_an_image_without_any_other_to_learn_from_is_wrong() -> None:
    # Images 0 and 1 are one group in both sources: nothing of another source is left for image 1.
    found = measure_unseen(make_set([10, 11, 12], [0, 0, 0], ["p", "p", "q"], list("xyy")))
    assert [one.unseen for one in found.sources] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("groups", "sources", "said"),
    [
        (None, None, "neither groups nor sources"),
        (None, ["x"] * 8, "data.source gives all images the same name, 'x'"),
        (["p"] * 8, list("xxxxyyyy"), "data.group gives all images the same name, 'p'"),
    ],
)
def test_what_cannot_be_left_out_is_refused(groups: list[str] | None, sources: list[str] | None, said: str) -> None:
    with pytest.raises(DataError, match=said):
        measure_unseen(make_set(LEVELS, LABELS, groups, sources))
