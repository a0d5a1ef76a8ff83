"""Two nights by hand: the same images known again, who is right on them, and which flipped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ensembles.nights.compare import MOST_IDS, compare_nights
from ensembles.nights.team_answers import TeamAnswers, from_arrow, to_arrow
from trainables.errors import DamagedObject


def answers(rows: list[tuple[str, str, str, str]], data_id: str = "d1") -> TeamAnswers:
    """Rows of image id, what its pixels are like, its label and what the team says."""
    ids, pixels, labels, predicted = (tuple(column) for column in zip(*rows, strict=True)) if rows else ((),) * 4
    return TeamAnswers(data_id, ids, pixels, labels, predicted)


def test_images_are_counted_by_who_is_right_on_them():
    before = answers(
        [("a", "p", "cat", "cat"), ("b", "q", "cat", "dog"), ("c", "r", "dog", "dog"), ("d", "s", "dog", "cat")]
    )
    now = answers(
        [("a", "p", "cat", "dog"), ("b", "q", "cat", "cat"), ("c", "r", "dog", "dog"), ("d", "s", "dog", "dog")]
    )
    found = compare_nights(now, before)
    assert found is not None
    assert (found.images, found.matched_by, found.relabelled, found.is_whole) == (4, "content", 0, True)
    assert (found.gained, found.gained_ids, found.lost, found.lost_ids) == (2, ("b", "d"), 1, ("a",))
    assert (found.change.before, found.change.after, found.change.difference) == (0.5, 0.75, 0.25)
    assert found.change.mcnemar_p == 1.0  # 2 against 1: twice the chance of 1 or fewer of 3, which is 1/2


def test_images_of_one_group_are_one_piece_of_evidence():
    wrong, right = (
        [(f"{n}", f"{n}", "cat", "dog") for n in range(10)],
        [(f"{n}", f"{n}", "cat", "cat") for n in range(10)],
    )
    alone = compare_nights(answers(right), answers(wrong))
    grouped = compare_nights(replace(answers(right), groups=("x",) * 5 + ("y",) * 5), answers(wrong))
    assert alone is not None
    assert grouped is not None
    assert alone.change.direction == "better"
    assert (grouped.change.mcnemar_p, grouped.change.direction) == (0.5, "alike")  # two groups: 2 of 4 signs


def test_groups_survive_their_file_and_older_files_have_none():
    plain = answers([("a", "p", "cat", "cat"), ("b", "q", "cat", "dog")])
    assert from_arrow(to_arrow(plain)) == plain
    grouped = replace(plain, groups=("x", "y"))
    assert from_arrow(to_arrow(grouped)) == grouped
    with pytest.raises(DamagedObject, match="different lengths"):
        replace(plain, groups=("x",))


def test_only_images_that_both_have_are_compared():
    before = answers([("a", "p", "cat", "cat"), ("b", "q", "cat", "cat")])
    now = answers([("b", "q", "cat", "dog"), ("c", "r", "cat", "cat"), ("d", "s", "cat", "cat")])
    found = compare_nights(now, before)
    assert found is not None
    assert (found.images, found.images_now, found.images_before, found.is_whole) == (1, 3, 2, False)
    assert (found.lost_ids, found.change.after) == (("b",), 0.0)


def test_an_image_is_known_by_its_pixels_whatever_its_name():
    before = answers([("row 1", "p", "cat", "cat"), ("row 2", "q", "dog", "dog")])
    now = answers([("row 1", "new", "dog", "dog"), ("row 2", "p", "cat", "dog"), ("row 3", "q", "dog", "dog")])
    found = compare_nights(now, before)
    assert found is not None
    assert (found.images, found.lost_ids, found.gained) == (2, ("row 2",), 0)


def test_a_corrected_label_scores_both_nights():
    before = answers([("a", "p", "cat", "cat")])
    now = answers([("a", "p", "dog", "dog")])
    found = compare_nights(now, before)
    assert found is not None
    assert (found.relabelled, found.gained, found.change.before) == (1, 1, 0.0)


def test_where_no_pixels_are_the_same_names_are_trusted_if_the_labels_are():
    before = answers([("a", "small p", "cat", "cat"), ("b", "small q", "dog", "cat")])
    now = answers([("a", "large p", "cat", "cat"), ("b", "large q", "dog", "dog")])
    found = compare_nights(now, before)
    assert found is not None
    assert (found.matched_by, found.images, found.gained_ids) == ("image_id", 2, ("b",))
    for labels in (("dog", "cat"), ("dog", "dog"), ("cat", "cat")):  # both shifted, or one
        shifted = answers([("a", "x", labels[0], "cat"), ("b", "y", labels[1], "cat")])
        assert compare_nights(shifted, before) is None


def test_nights_without_a_common_image_are_not_compared():
    assert compare_nights(answers([("a", "p", "cat", "cat")]), answers([("b", "q", "cat", "cat")])) is None


def test_so_many_flipped_images_are_named_and_all_are_counted():
    rows = [(f"{number:03d}", f"p{number}", "cat", "dog") for number in range(MOST_IDS + 7)]
    right = [(name, pixels, label, "cat") for name, pixels, label, _ in rows]
    found = compare_nights(answers(right), answers(rows))
    assert found is not None
    assert (found.gained, len(found.gained_ids), found.gained_ids[-1]) == (
        MOST_IDS + 7,
        MOST_IDS,
        f"{MOST_IDS - 1:03d}",
    )
    back = compare_nights(answers(rows), answers(right))
    assert back is not None
    assert (back.lost, back.lost_ids, back.gained_ids) == (MOST_IDS + 7, found.gained_ids, ())


def test_of_equal_images_before_the_first_answers_for_all_of_them():
    before = answers([("a", "p", "cat", "cat"), ("b", "p", "cat", "dog"), ("c", "q", "dog", "cat")])
    now = answers([("a", "p", "cat", "cat"), ("b", "p", "cat", "cat")])
    found = compare_nights(now, before)
    assert found is not None
    assert (found.images, found.images_before, found.images_now, found.is_whole) == (2, 3, 2, False)
    assert (found.gained, found.lost, found.change.before, found.relabelled) == (0, 0, 1.0, 0)


def test_a_night_with_more_images_or_fewer_is_not_compared_as_a_whole():
    few, many = answers([("a", "p", "x", "x")]), answers([("a", "p", "x", "x"), ("b", "q", "x", "x")])
    wholes = [compare_nights(now, before) for now, before in ((few, few), (few, many), (many, few))]
    assert [whole.is_whole for whole in wholes if whole] == [True, False, False]


def test_a_label_that_was_corrected_is_counted_once_an_image_and_pixels_are_trusted_before_names():
    before = answers([("a", "p", "cat", "cat"), ("b", "q", "cat", "cat"), ("c", "r", "dog", "dog")])
    now = answers([("b", "p", "dog", "cat"), ("a", "q", "dog", "dog"), ("c", "r", "dog", "dog")])
    found = compare_nights(now, before)
    assert found is not None
    assert (found.matched_by, found.relabelled, found.gained_ids, found.lost) == ("content", 2, ("a",), 0)


def test_answers_are_read_back_and_damage_is_refused():
    stored = answers([("a", "00" * 32, "<b>cat</b>", "dog"), ("b", "ff" * 32, "dog", "dog")])
    data = to_arrow(stored)
    assert from_arrow(data) == stored
    assert to_arrow(from_arrow(data)) == data
    for damaged in (b"", data[:-20], b"x" + data[1:]):
        with pytest.raises(DamagedObject, match="not a file of a team's answers"):
            from_arrow(damaged)
    with pytest.raises(DamagedObject, match="different lengths"):
        TeamAnswers("d1", ("a",), (), ("cat",), ("cat",))
