"""The columns of file names and of labels are found by name, and else by what they hold."""

from __future__ import annotations

import pytest

from trainables.errors import DataError
from trainables.layouts.tables.table_columns import find_image_column, find_label_columns, read_one_hot
from trainables.layouts.tables.table_text import read_text

FILES = {f"{at}.png" for at in range(8)}


def table(text: str):
    return read_text("t", text.encode(), ".csv")


@pytest.mark.parametrize(
    ("header", "row", "place"),
    [
        ("image,label", "{}.png,a", 0),
        ("Label,File Name", "a,{}.png", 1),
        ("id,filename", "7,{}.png", 1),
        ("image,path", "{},{}.png", 1),
        ("scan,kind", "{}.png,a", 0),
    ],
)
def test_the_column_with_names_of_files_is_found(header: str, row: str, place: int) -> None:
    text = f"{header}\n" + "".join(row.format(at, at) + "\n" for at in range(8))
    found, notes = find_image_column(table(text), None, FILES.__contains__)
    assert found == place
    assert bool(notes) == (header != "image,label")


def test_a_table_without_names_of_files_is_refused_and_lists_its_columns() -> None:
    with pytest.raises(DataError, match=r"no column 'image', only 'a', 'b': name one with data.image_column="):
        find_image_column(table("a,b\nx1,1\nx2,2\n"), None, FILES.__contains__)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("image,label\n1,a\n2,b\n", (1,)),
        ("image,breed\n1,a\n2,b\n", (1,)),
        ("image,class_id,class_name\n1,0,a\n2,1,b\n", (2,)),
        ("image,animal\n1,a\n2,b\n", (1,)),
        ("image,size,animal\n1,17,a\n2,18,b\n3,19,a\n4,20,b\n", (2,)),
        ("image,MEL,NV,BCC\n1,1.0,0.0,0.0\n2,0.0,1.0,0.0\n", (1, 2, 3)),
        ("image\n1\n2\n", ()),
    ],
)
def test_the_columns_with_labels_are_found(text: str, places: tuple[int, ...]) -> None:
    assert find_label_columns(table(text), None, {0}).places == places


def test_two_columns_that_recur_are_refused_by_name() -> None:
    rows = "".join(f"{at},{at % 2},{at % 3}\n" for at in range(12))
    with pytest.raises(
        DataError, match=r"2 columns of t could have the labels, u, v: name one with data.label_column="
    ):
        find_label_columns(table("image,u,v\n" + rows), None, {0})


def test_a_configured_column_must_be_there_once() -> None:
    with pytest.raises(DataError, match=r"no column 'Klass', only 'image', 'klass': .*did you mean 'klass'\?"):
        find_label_columns(table("image,klass\n1,a\n"), "Klass", {0})
    with pytest.raises(DataError, match="2 columns called 'x': rename all but one"):
        find_label_columns(table("image,x,x\n1,a,b\n"), "x", {0})


def test_a_one_hot_row_has_a_single_one() -> None:
    found = table("image,cat,dog,cow\n1,1,0,0\n2,0,1,0\n3,0,0,1\n")
    assert read_one_hot(found, (1, 2, 3)) == ["cat", "dog", "cow"]
    several = table("image,cat,dog,cow\n1,1,0,0\n2,0,1,1\n3,0,0,1\n")
    with pytest.raises(DataError, match=r"1 of 3 rows of t have several labels \(line 3 has dog, cow\)"):
        read_one_hot(several, find_label_columns(several, None, {0}).places)
    with pytest.raises(DataError, match="line 2 of t has no label, all of cat, dog, cow are 0"):
        read_one_hot(table("image,cat,dog,cow\n1,0,0,0\n"), (1, 2, 3))
