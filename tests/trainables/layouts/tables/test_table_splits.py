"""A column with the name of a split gives the split; one that only looks like it is said."""

from __future__ import annotations

import pytest

from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.tables.table_splits import RowSplits, find_row_splits
from trainables.layouts.tables.table_text import read_text


def found(column: str, cells: list[str], **keys: object) -> RowSplits:
    text = f"image,{column}\n" + "".join(f"{at}.png,{cell}\n" for at, cell in enumerate(cells))
    return find_row_splits(read_text("t", text.encode(), ".csv"), DataConfig(path="t", **keys), {0})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("column", "cells", "splits"),
    [
        ("split", ["train", "Val", "TEST"], ["train", "validation", "test"]),
        ("Data Split", ["training", "testing"], ["train", "test"]),
        ("fold", ["train", "dev"], ["train", "validation"]),
        ("is_valid", ["True", "False"], ["validation", "train"]),
        ("test", ["1", "0"], ["test", "train"]),
        ("is_train", ["no", "yes"], ["test", "train"]),
        ("is_training_img", ["0", "1"], ["test", "train"]),
        ("isTest", ["Y", "N"], ["test", "train"]),
        ("Usage", ["Training", "PublicTest", "PrivateTest"], ["train", "validation", "test"]),
        ("Dataset_type", ["TRAIN", "TEST"], ["train", "test"]),
        ("is_valid,is_test", ["0,1", "1,0", "0,0"], ["test", "validation", "train"]),
    ],
)
def test_the_split_of_each_row_is_found(column: str, cells: list[str], splits: list[str]) -> None:
    split = found(column, cells)
    assert list(split.splits) == splits
    assert split.split_from == f"column {column.replace(',', ' and ')}"
    assert split.notes == ()


@pytest.mark.parametrize(
    ("column", "cells", "keys", "note"),
    [
        ("fold", ["0", "1", "2"], {}, r"column fold of t has the name of a split and holds 0, 1, 2: .*data.group=fold"),
        (
            "role",
            ["train", "test"],
            {},
            "column role of t holds test, train, and is not taken .*data.split_column=role",
        ),
        ("split", ["T", "V", "S"], {}, "column split of t has the name of a split and holds S, T, V: it is not used"),
        ("split", ["train", "train"], {}, "says train in every row, which is no split"),
    ],
)
def test_a_column_that_is_not_used_is_said(column: str, cells: list[str], keys: dict[str, object], note: str) -> None:
    split = found(column, cells, **keys)
    assert set(split.splits) == {""}
    assert split.split_from == ""
    with pytest.raises(AssertionError, match=note):
        raise AssertionError(" ".join(split.notes))


def test_a_split_that_is_not_kept_is_read_and_its_errors_do_not_count() -> None:
    assert list(found("split", ["train", "test"], keep_split=False).splits) == ["train", "test"]
    assert set(found("split", ["train", "test", "tset"], keep_split=False).splits) == {""}


def test_words_that_are_no_splits_make_an_ordinary_column() -> None:
    split = found("set", ["summer", "winter"])
    assert (split.places, split.notes) == (frozenset(), ())


def test_a_column_under_any_name_can_be_configured() -> None:
    assert list(found("role", ["train", "test"], split_column="role").splits) == ["train", "test"]


@pytest.mark.parametrize(
    ("column", "cells", "keys", "complaint"),
    [
        ("split", ["train", "test", "tset"], {}, "line 4 of t has 'tset' in column split, which is no split"),
        ("split", ["train", "test", ""], {}, "line 4 of t has '' in column split, which is no split"),
        ("role", ["a", "b"], {"split_column": "role"}, "line 2 of t has 'a' in column role, which is no split"),
        ("role", ["1", "0"], {"split_column": "role"}, "holds 0, 1, and its name does not say of which split"),
        ("role", ["1", "0"], {"split_column": "rule"}, r"no column 'rule'.*did you mean 'role'\?"),
        ("is_valid,is_test", ["1,1", "0,1", "1,0"], {}, "line 2 of t has yes in is_valid and is_test"),
    ],
)
def test_a_split_that_cannot_be_read_is_refused(
    column: str, cells: list[str], keys: dict[str, object], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        found(column, cells, **keys)
