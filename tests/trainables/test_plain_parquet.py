"""A Parquet file is read where it cannot unpack to more than it could honestly hold."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainables.bomb import MOST_TIMES, SURELY_FINE_BYTES, Bomb, check_unpacked
from trainables.plain_parquet import read_columns, to_objects


def written(columns: dict[str, object]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


FILES = [{"bytes": b"x", "path": "p"}, None, {"bytes": None, "path": "q"}, {"bytes": b"y", "path": None}]


def test_numbers_texts_bytes_and_pairs_of_them_come_back() -> None:
    columns = {"name": ["a", "b", "a", None], "label": [1, 2, 3, 4], "raw": [b"1", None, b"1", b"2"], "file": FILES}
    found = read_columns(written(columns), list(columns))
    assert {name: to_objects(found[name]) for name in columns} == columns


def test_equal_texts_are_one_object_across_a_million_rows() -> None:
    rows = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000, np.int32)), ["x" * 1000])
    found = to_objects(read_columns(written({"name": rows}), ["name"])["name"])
    assert len(found) == 1_000_000
    assert len({id(text) for text in found}) <= 4


@pytest.mark.parametrize("columns", [["gone"], ["label", "gone"]])
def test_a_missing_column_is_named(columns: list[str]) -> None:
    with pytest.raises(pa.ArrowInvalid, match="no column gone"):
        read_columns(written({"label": [1]}), columns)


@pytest.mark.parametrize("value", [[1], True, {"a": [1]}])
def test_a_type_that_is_never_looked_for_is_refused(value: object) -> None:
    with pytest.raises(pa.ArrowInvalid, match="never looked for"):
        read_columns(written({"name": [value]}), ["name"])


def test_many_rows_in_nothing_are_refused_and_other_columns_do_not_count() -> None:
    data = written({"label": np.zeros(30_000_000, np.int8), "split": np.zeros(30_000_000, np.int8)})
    with pytest.raises(pa.ArrowInvalid, match="decompression bomb"):
        read_columns(data, ["label"])


def test_the_rule_counts_the_file_and_what_is_surely_fine() -> None:
    check_unpacked(10, 10 * MOST_TIMES + SURELY_FINE_BYTES)
    with pytest.raises(Bomb):
        check_unpacked(10, 10 * MOST_TIMES + SURELY_FINE_BYTES + 1)
