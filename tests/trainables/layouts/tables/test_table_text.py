"""Bytes of tables become columns and rows, whatever wrote them; errors name the line."""

from __future__ import annotations

import json

import pytest

from trainables.errors import DataError
from trainables.layouts.tables.table_text import Table, read_text


def read(data: bytes | str, suffix: str = ".csv", **keys: object) -> Table:
    data = data.encode() if isinstance(data, str) else data
    return read_text("t", data, suffix, **keys)  # type: ignore[arg-type]


PLAIN = "image,label\n1.png,käfer\n2.png,b\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_is_read_in_the_encodings_that_spreadsheets_write(encoding: str) -> None:
    table = read(PLAIN.encode(encoding))
    assert table.columns == ("image", "label")
    assert list(table.rows) == [["1.png", "käfer"], ["2.png", "b"]]
    assert bool(table.notes) == (encoding == "cp1252")


@pytest.mark.parametrize(
    ("text", "suffix", "columns", "rows"),
    [
        ("image;label\n1.png;a\n2.png;b\n", ".csv", ("image", "label"), [["1.png", "a"], ["2.png", "b"]]),
        ("image|label\n1.png|a\n2.png|b\n", ".csv", ("image", "label"), [["1.png", "a"], ["2.png", "b"]]),
        (
            "image\tlabel\n1.png\ta, b\n2.png\tb, a\n",
            ".tsv",
            ("image", "label"),
            [["1.png", "a, b"], ["2.png", "b, a"]],
        ),
        (
            "image;label;x\n1.png;a;0,5\n2.png;b;1,5\n",
            ".csv",
            ("image", "label", "x"),
            [["1.png", "a", "0,5"], ["2.png", "b", "1,5"]],
        ),
        ("img/0.jpg 0\nimg/1.jpg  1\n", ".txt", ("0", "1"), [["img/0.jpg", "0"], ["img/1.jpg", "1"]]),
        ("0001 dog\n0002 cat\n0003 dog\n", ".txt", ("0", "1"), [["0001", "dog"], ["0002", "cat"], ["0003", "dog"]]),
        ("ab1,dog\nab2,dog\n", ".csv", ("0", "1"), [["ab1", "dog"], ["ab2", "dog"]]),
        ("1.png,test\n2.png,train\n", ".csv", ("0", "1"), [["1.png", "test"], ["2.png", "train"]]),
        ("foo,bar\nx1,a\nx2,b\n", ".csv", ("foo", "bar"), [["x1", "a"], ["x2", "b"]]),
        ("# made by hand\nimage,label\n1.png,a\n", ".csv", ("image", "label"), [["1.png", "a"]]),
        (
            "#Image CLASS-ID\n# more words of it\na_1 1\na_2 1\n",
            ".txt",
            ("Image", "CLASS-ID"),
            [["a_1", "1"], ["a_2", "1"]],
        ),
        ('"image","note","label"\n"1.png","x, y","a"\n', ".csv", ("image", "note", "label"), [["1.png", "x, y", "a"]]),
        (",image,label\n0,1.png,a\n", ".csv", ("", "image", "label"), [["0", "1.png", "a"]]),
        ("", ".csv", (), []),
    ],
)
def test_delimiter_and_header_are_found(
    text: str, suffix: str, columns: tuple[str, ...], rows: list[list[str]]
) -> None:
    table = read(text, suffix)
    assert (table.columns, [list(row) for row in table.rows]) == (columns, rows)


def test_delimiter_and_header_can_be_said() -> None:
    table = read("1.png:a\n2.png:b\n", delimiter=":", header=False)
    assert (table.columns, list(table.rows)) == (("0", "1"), [["1.png", "a"], ["2.png", "b"]])
    assert read("1.png,a\n2.png,b\n", header=True).columns == ("1.png", "a")


def test_lines_are_those_that_an_editor_counts() -> None:
    table = read('# note\nimage,label\n\n"1\n.png",a\n2.png,b\n')
    assert list(table.lines) == [4, 6]


@pytest.mark.parametrize(
    ("text", "suffix", "columns", "rows"),
    [
        (
            '{"file_name": "1.png", "label": 1}\n\n{"file_name": "2.png", "box": [1, {"x": "é"}]}\n',
            ".jsonl",
            ("file_name", "label", "box"),
            [["1.png", "1", ""], ["2.png", "", '[1, {"x": "é"}]']],
        ),
        ('[{"image": "1.png", "label": null}]', ".json", ("image", "label"), [["1.png", "null"]]),
        ('{"data": [{"image": "1.png", "ok": true}]}', ".json", ("image", "ok"), [["1.png", "True"]]),
        ('{"image": ["1.png"], "label": ["a"]}', ".json", ("image", "label"), [["1.png", "a"]]),
        ('{"image": {"0": "1.png"}, "label": {"0": "a"}}', ".json", ("image", "label"), [["1.png", "a"]]),
        ('{"1.png": "a", "2.png": 3}', ".json", ("image", "label"), [["1.png", "a"], ["2.png", "3"]]),
        (
            json.dumps(
                {
                    "images": [{"id": 1, "file_name": "1.png"}],
                    "annotations": [{"image_id": 1, "category_id": 7}],
                    "categories": [{"id": 7, "name": "cat"}],
                }
            ),
            ".json",
            ("image", "label"),
            [["1.png", "cat"]],
        ),
    ],
)
def test_json_of_every_shape_is_a_table(
    text: str, suffix: str, columns: tuple[str, ...], rows: list[list[str]]
) -> None:
    table = read(text, suffix)
    assert (table.columns, [list(row) for row in table.rows]) == (columns, rows)


@pytest.mark.parametrize(
    ("data", "suffix", "complaint"),
    [
        (b'image,label\n"1.png"x,a\n', ".csv", r"is no CSV in UTF-8 \(after line 1: .*\): save it as such"),
        (b"image,label\n1.png\x00,a\n", ".csv", r"no text in UTF-8 \(line 2 has a null character\)"),
        (b"image,label\n1.png,\x81\n", ".csv", "is no text in UTF-8"),
        (b"\xff\xfea", ".csv", "is no text in UTF-8"),
        (b"image,label\n1.png,a\n2.png,b,c\n", ".csv", "line 3 of t has 3 cells, and there are 2 columns: put quotes"),
        (b'{"image": "1.png"}\n{"image"\n', ".jsonl", "line 2 of t is no JSON"),
        (b'{"image": "1.png"}\n[1]\n', ".jsonl", "line 2 of t is a list, and each line must be an object"),
        (b"[1, 2]", ".json", "t is a list, no table: write a list of objects"),
        (b"{}", ".json", "t is an object, no table"),
        (b"[" * 100_000, ".json", "t is no JSON"),
        (b'[{"image": "\\ud800"}]', ".json", "entry 1 of t has half of a surrogate pair"),
        (b'[{"\\ud800": "1"}]', ".json", "a key of t has half of a surrogate pair"),
    ],
)
def test_what_is_no_table_is_one_sentence(data: bytes, suffix: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read(data, suffix)
