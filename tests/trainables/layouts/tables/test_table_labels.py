"""Cells become labels: words of machines mean none, words of people stay, several labels are refused."""

from __future__ import annotations

import pytest

from trainables.errors import DataError
from trainables.layouts.tables.table_labels import clean_labels


def clean(cells: list[str], lack: bool = False, **rename: str | None) -> tuple[list[str | None], str]:
    labels, notes = clean_labels(cells, [lack] * len(cells), "column 'label'", lambda row: f"line {row + 2}", rename)
    return labels, " | ".join(notes)


@pytest.mark.parametrize("word", ["NaN", "nan", "null", "NULL", "<NA>", "#N/A", "NaT", "None"])
def test_a_word_that_machines_write_is_no_label(word: str) -> None:
    labels, said = clean(["a", word, "b", word])
    assert labels == ["a", None, "b", None]
    assert said == (
        f"2 rows have {word} as label: they are taken as unlabelled; data.rename={{{word}: name}} makes a class of them"
    )


def test_a_renamed_word_of_machines_is_a_class() -> None:
    assert clean(["a", "NaN"], NaN="nothing") == (["a", "NaN"], "")


@pytest.mark.parametrize("word", ["none", "na", "NA", "n/a", "unknown", "-", "?"])
def test_a_word_that_people_write_stays_a_class_and_is_said(word: str) -> None:
    labels, said = clean(["a", word, "b"])
    assert labels == ["a", word, "b"]
    assert f"1 row has the label {word!r}, which is taken as a class" in said
    assert f"data.rename={{{word!r}: null}}" in said
    assert clean(["a", word, "b"], **{word: None})[1] == ""


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["1.0", "0.0", "nan"], ["1", "0", None]),
        (["1", "1.0", "2"], ["1", "1", "2"]),
        (["1.5", "1.0"], ["1.5", "1.0"]),
        (["07", "10"], ["07", "10"]),
        ([" a ", "b"], ["a", "b"]),
        (['["a"]', "['b']"], ["a", "b"]),
    ],
)
def test_one_label_has_one_form(cells: list[str], labels: list[str | None]) -> None:
    assert clean(cells)[0] == labels


@pytest.mark.parametrize(
    "pair", [("Cat", "cat"), ("hot dog", "hot-dog"), ("1", "01"), ("caf\u00e9", "cafe\u0301")], ids=ascii
)
def test_labels_that_look_alike_are_said(pair: tuple[str, str]) -> None:
    labels, said = clean(list(pair))
    assert labels == list(pair)
    assert "differ by case, spaces, dashes or the form of letters alone: data.rename={" in said
    assert said.isascii() or "é" in said


@pytest.mark.parametrize(
    ("cells", "several"),
    [
        (["cat", "x", "cat|x"], 1),
        (["cat|x", "dog|x", "dog|cat"], 3),
        (["healthy", "scab", "scab healthy"], 1),
        (['["cat", "x"]', "['x' 'y']", "[1, 2]"], 3),
        (["a,b", "a", "b"], 1),
    ],
)
def test_several_labels_a_picture_are_refused(cells: list[str], several: int) -> None:
    with pytest.raises(DataError, match=f"^{several} of {len(cells)} labels in column 'label' are several at once"):
        clean(cells)


@pytest.mark.parametrize(
    "cells", [["polar bear", "brown bear", "bear"], ["a/b", "a"], ["[x]", "y"], ["T-shirt/top", "top"]], ids=str
)
def test_labels_that_share_a_word_are_single(cells: list[str]) -> None:
    assert len({*clean(cells)[0]}) == len(cells)


def test_an_empty_cell_is_refused_unless_the_part_needs_no_labels() -> None:
    with pytest.raises(DataError, match="line 3 has no label: fill it in or remove the line"):
        clean(["a", "", "b"])
    assert clean(["", "nan"], lack=True) == ([None, None], "")
