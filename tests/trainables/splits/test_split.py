"""The split into training, validation and test."""

import hashlib
import time

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from trainables.errors import DataError
from trainables.splits.split import TEST, TRAIN, UNGIVEN, VALIDATION, _deal, join_groups, split_images


def hashes(contents: list[int] | range) -> list[str]:
    return [hashlib.sha256(str(content).encode()).hexdigest() for content in contents]


def counts(labels: np.ndarray, splits: np.ndarray) -> list[list[int]]:
    """Images by class (rows) and split (columns)."""
    return [[int(((labels == label) & (splits == split)).sum()) for split in range(3)] for label in np.unique(labels)]


def test_shares_are_kept_within_each_class() -> None:
    labels = np.repeat([0, 1, 2], [20, 100, 40])
    splits = split_images(labels, hashes(range(160)), validation=0.1, test=0.2, seed=0)
    assert counts(labels, splits) == [[14, 2, 4], [70, 10, 20], [28, 4, 8]]
    assert splits.dtype == np.int8


def test_what_rounding_leaves_over_goes_to_the_largest_remainders() -> None:
    # Quotas of 0.25 are 3.0, 3.25, 3.5 and 3.75, together 13.5: rounded 14, so the last two classes get one more.
    labels = np.repeat([0, 1, 2, 3], [12, 13, 14, 15])
    splits = split_images(labels, hashes(range(54)), validation=0.25, test=0.25, seed=3)
    assert counts(labels, splits) == [[6, 3, 3], [7, 3, 3], [6, 4, 4], [7, 4, 4]]


def test_a_class_of_three_images_has_one_in_each_split() -> None:
    labels = np.repeat([0, 1], [97, 3])
    splits = split_images(labels, hashes(range(100)), validation=0.1, test=0.1, seed=0)
    assert counts(labels, splits)[1] == [1, 1, 1]


def test_a_class_of_one_image_is_trained_on() -> None:
    labels = np.repeat([0, 1], [99, 1])
    for seed in range(5):
        splits = split_images(labels, hashes(range(100)), validation=0.4, test=0.4, seed=seed)
        assert counts(labels, splits)[1] == [1, 0, 0]


def test_the_split_does_not_depend_on_the_order_of_images() -> None:
    labels, digests = np.repeat([0, 1, 2], 50), hashes([*range(100), *range(50)])
    splits = split_images(labels, digests, 0.2, 0.2, seed=1)
    order = np.random.default_rng(0).permutation(150)
    shuffled = split_images(labels[order], [digests[at] for at in order], 0.2, 0.2, seed=1)
    assert shuffled.tolist() == splits[order].tolist()


def test_another_seed_deals_other_images_in_the_same_numbers() -> None:
    labels, digests = np.repeat([0, 1], 50), hashes(range(100))
    first, second = (split_images(labels, digests, 0.2, 0.2, seed=seed) for seed in (0, 1))
    assert first.tolist() != second.tolist()
    assert counts(labels, first) == counts(labels, second)


def test_a_known_split_never_changes() -> None:
    # The split is part of the data's fingerprint, and so of every trial's id: see test_config.py.
    splits = split_images(np.repeat([0, 1], 8), hashes(range(16)), 0.25, 0.25, seed=0)
    assert "".join(map(str, splits)) == "0010221022100100"


def test_equal_images_lie_in_one_split_even_with_different_labels() -> None:
    labels = np.array([0] * 60 + [1] * 60)
    digests = hashes([*range(60), *range(30), *range(100, 130)])
    splits = split_images(labels, digests, 0.3, 0.3, seed=0)
    assert splits[:30].tolist() == splits[60:90].tolist()
    assert set(splits[:30].tolist()) == {TRAIN, VALIDATION, TEST}


def test_a_class_of_many_copies_and_two_more_images_has_each_split_filled() -> None:
    labels = np.repeat([0, 1], [30, 30])
    digests = hashes([*[0] * 28, 1, 2, *range(10, 40)])
    for seed in range(10):
        splits = split_images(labels, digests, 0.2, 0.2, seed=seed)
        assert len(set(splits[:28].tolist())) == 1
        assert min(counts(labels, splits)[0]) >= 1


def test_a_given_test_split_stays_and_the_rest_is_dealt() -> None:
    labels = np.tile([0, 1], 50)
    came = np.where(np.arange(100) >= 80, TEST, TRAIN).astype(np.int8)
    digests = hashes([*range(80), *range(20)])  # every test image equals one outside
    splits = split_images(labels, digests, validation=0.25, test=0.5, seed=0, given=came)
    assert (splits == TEST).tolist() == (came == TEST).tolist()
    assert counts(labels, splits) == [[30, 10, 10], [30, 10, 10]]


def test_a_validation_split_smaller_than_the_number_of_classes_is_refused() -> None:
    labels = np.array([*range(10), *range(5), 0])  # five classes of two images, five of one, which is for training
    came = np.array([UNGIVEN] * 15 + [TEST], np.int8)
    complaint = (
        "validation split would hold 5 images for 10 classes: at least one .* raise data.validation or add images"
    )
    with pytest.raises(DataError, match=complaint):
        split_images(labels, hashes(range(16)), 0.7, 0.1, seed=0, given=came)


def test_a_share_that_asks_for_fewer_images_than_classes_is_refused() -> None:
    labels = np.repeat(np.arange(10), 20)
    with pytest.raises(
        DataError, match=r"validation split would hold 2 images for 10 classes \(data.validation is 0.01 of"
    ):
        split_images(labels, hashes(range(200)), 0.01, 0.2, seed=0)


def test_a_test_split_smaller_than_the_number_of_classes_is_refused() -> None:
    labels = np.repeat(np.arange(10), 2)
    with pytest.raises(
        DataError, match=r"test split would hold 0 images for 10 classes .*: raise data.test or add images"
    ):
        split_images(labels, hashes(range(20)), 0.5, 0.01, seed=0)


def test_a_given_test_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="train split would hold 0 images for 2 classes"):
        split_images(np.array([0, 1]), hashes(range(2)), 0.2, 0.2, seed=0, given=np.array([TEST, TEST], np.int8))


def test_a_split_that_came_whole_is_kept_whatever_the_shares() -> None:
    labels, came = np.tile([0, 1], 6), np.repeat([TRAIN, VALIDATION, TEST], [6, 2, 4]).astype(np.int8)
    assert split_images(labels, hashes(range(12)), 0.3, 0.3, seed=0, given=came).tolist() == came.tolist()


def test_validation_that_came_without_test_stays_and_test_is_dealt_from_the_rest() -> None:
    labels = np.tile([0, 1], 50)
    came = np.where(np.arange(100) < 20, VALIDATION, TRAIN).astype(np.int8)
    splits = split_images(labels, hashes(range(100)), validation=0.5, test=0.25, seed=0, given=came)
    assert (splits == VALIDATION).tolist() == (came == VALIDATION).tolist()
    assert counts(labels, splits) == [[30, 10, 10], [30, 10, 10]]


def test_images_without_a_split_among_others_with_one_are_for_those_that_are_dealt() -> None:
    labels, came = np.tile([0, 1], 20), np.full(40, UNGIVEN, np.int8)
    came[:8] = TEST
    splits = split_images(labels, hashes(range(40)), validation=0.25, test=0.9, seed=0, given=came)
    assert np.bincount(splits).tolist() == [24, 8, 8]


def test_groups_are_dealt_whole_and_shares_hold_within_a_group() -> None:
    labels = np.repeat([0, 1], 100)
    groups = [f"{label}-{row // 5}" for row, label in enumerate(labels.tolist())]
    splits = split_images(labels, hashes(range(200)), 0.15, 0.2, seed=0, groups=groups)
    assert counts(labels, splits) == [[65, 15, 20], [65, 15, 20]]
    of_group = {group: set(splits[[held == group for held in groups]].tolist()) for group in set(groups)}
    assert all(len(found) == 1 for found in of_group.values())


def test_groups_of_several_classes_are_dealt_so_that_each_split_has_each_class() -> None:
    labels = np.tile([0, 0, 0, 1], 30)
    groups = [str(row // 4) for row in range(120)]
    splits = split_images(labels, hashes(range(120)), 0.2, 0.2, seed=3, groups=groups)
    assert counts(labels, splits) == [[54, 18, 18], [18, 6, 6]]


def test_equal_images_join_the_groups_that_they_are_in() -> None:
    digests = hashes([0, 1, 2, 3, 1, 4])
    units, names = join_groups(digests, ["a", "b", "a", "c", "c", "d"])
    assert units.tolist() == [0, 1, 0, 1, 1, 2]  # image 1 is in b and in c
    assert names == ["a", "b", "d"]


def test_fewer_groups_than_splits_are_refused() -> None:
    labels, groups = np.tile([0, 1], 20), ["left", "right"] * 20
    with pytest.raises(DataError, match=r"data.group makes 2 group\(s\) of the images, but 3 splits need one each"):
        split_images(labels, hashes(range(40)), 0.2, 0.2, seed=0, groups=groups)


def test_the_split_of_groups_depends_on_neither_order_nor_names_of_others() -> None:
    labels, groups = np.repeat([0, 1, 2], 40), [f"g{row // 3}" for row in range(120)]
    splits = split_images(labels, hashes(range(120)), 0.2, 0.2, seed=1, groups=groups)
    order = np.random.default_rng(0).permutation(120)
    shuffled = split_images(
        labels[order],
        [hashes(range(120))[at] for at in order],
        0.2,
        0.2,
        seed=1,
        groups=[groups[at] for at in order],
    )
    assert shuffled.tolist() == splits[order].tolist()


@settings(max_examples=60, deadline=None)
@given(
    images=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 80), st.integers(0, 12)), min_size=40, max_size=150),
    seed=st.integers(0, 5),
)
def test_whatever_the_groups_neither_a_group_nor_a_content_is_in_two_splits(
    images: list[tuple[int, int, int]], seed: int
) -> None:
    labels, digests = np.array([image[0] for image in images]), hashes([image[1] for image in images])
    groups = [str(image[2]) for image in images]
    try:
        splits = split_images(labels, digests, 0.25, 0.25, seed, groups=groups)
    except DataError:
        return  # equal images join too many groups
    for names in (digests, groups):
        where: dict[str, set[int]] = {}
        for name, split in zip(names, splits.tolist(), strict=True):
            where.setdefault(name, set()).add(split)
        assert all(len(found) == 1 for found in where.values())


@settings(max_examples=60, deadline=None)
@given(
    images=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60)), min_size=40, max_size=200),
    validation=st.floats(0.05, 0.45),
    test=st.floats(0.05, 0.45),
    seed=st.integers(0, 5),
)
def test_whatever_the_images_no_content_is_in_two_splits_and_no_class_is_left_out(
    images: list[tuple[int, int]], validation: float, test: float, seed: int
) -> None:
    labels, digests = np.array([label for label, _ in images]), hashes([content for _, content in images])
    try:
        splits = split_images(labels, digests, validation, test, seed)
    except DataError:
        reject()  # too few images of a class; hypothesis fails where that is most of what it tries
    where: dict[str, set[int]] = {}
    lowest: dict[str, int] = {}
    for label, digest, split in zip(labels.tolist(), digests, splits.tolist(), strict=True):
        where.setdefault(digest, set()).add(split)
        lowest[digest] = min(label, lowest.get(digest, label))
    assert all(len(splits_of_content) == 1 for splits_of_content in where.values())
    for label in set(lowest.values()):
        mine = [digest for digest in where if lowest[digest] == label]
        assert len(mine) < 3 or set.union(*(where[digest] for digest in mine)) == {TRAIN, VALIDATION, TEST}


def test_seventy_thousand_images_are_split_in_well_under_a_second() -> None:
    labels, digests = np.arange(70_000) % 10, hashes(range(70_000))
    start_s = time.process_time()
    splits = split_images(labels, digests, 0.15, 0.15, seed=0)
    assert time.process_time() - start_s < 1  # measured: 0.07
    assert np.bincount(splits).tolist() == [49_000, 10_500, 10_500]


@pytest.mark.parametrize(
    ("sizes", "validation", "test", "expected"),
    [
        ([1, 1, 1, 1], 1, 1, [TEST, VALIDATION, TRAIN, TRAIN]),
        # Of a group across a border the side of its middle counts: 1 is not below 1, so the pair is no part of test.
        ([2, 1, 1, 1, 1], 2, 1, [VALIDATION, VALIDATION, TEST, TRAIN, TRAIN]),
        # The middle of six is 3, which is below 4.
        ([6, 1, 1], 2, 4, [TEST, VALIDATION, TRAIN]),
        # The middle of the pair is 3, and 3 is not below 3: validation would be empty, and gets the smallest of the rest.
        ([1, 1, 2, 1], 1, 2, [TEST, TEST, TRAIN, VALIDATION]),
    ],
)
def test_groups_are_dealt_by_where_their_middle_lies(sizes, validation, test, expected) -> None:
    found = _deal(np.array(sizes), validation, test, (TRAIN, VALIDATION, TEST))
    assert found.tolist() == expected
