"""A Parquet file is read where it cannot unpack to more than it could honestly hold."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sample_runs.damage import flip
from trainables.datasets.new_images import find_new_images
from trainables.errors import DataError
from trainables.tables import parquet_limits as plain_parquet
from trainables.tables.parquet_limits import ColumnsMissing, read_columns, read_whole, to_objects, trust_written
from trainables.tables.unpacked_size import MOST_TIMES, SURELY_FINE_BYTES, DecompressionBomb, check_unpacked


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


@pytest.mark.parametrize("value", [[1], date(2026, 1, 1), {"a": [1]}])
def test_a_type_that_is_not_supported_is_refused(value: object) -> None:
    with pytest.raises(pa.ArrowInvalid, match="never looked for"):
        read_columns(written({"name": [value]}), ["name"])


def test_many_rows_in_nothing_are_refused_and_other_columns_do_not_count() -> None:
    data = written({"label": np.zeros(30_000_000, np.int8), "split": np.zeros(30_000_000, np.int8)})
    with pytest.raises(pa.ArrowInvalid, match="decompression bomb"):
        read_columns(data, ["label"])


def test_the_rule_counts_the_file_and_what_is_surely_fine() -> None:
    check_unpacked(10, 10 * MOST_TIMES + SURELY_FINE_BYTES)
    with pytest.raises(DecompressionBomb):
        check_unpacked(10, 10 * MOST_TIMES + SURELY_FINE_BYTES + 1)


NAMES = written({"image": ["a.png", "b.png", "a.png", None]})


@pytest.mark.parametrize("bit", [946, 960])
def test_a_flipped_bit_that_ends_the_process_that_reads_the_table_is_one_sentence_here(
    tmp_path: Path, bit: int
) -> None:
    """pyarrow 25 throws through C++ at these bits, and at eleven more of 3,680."""
    (tmp_path / "new.parquet").write_bytes(flip(NAMES, bit))
    with pytest.raises(DataError, match=r"new\.parquet cannot be read as Parquet or Arrow \(.+\): write it again$"):
        find_new_images(str(tmp_path / "new.parquet"))


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("kill -ABRT $$", r"it is damaged: the process that read it died of it \(SIGABRT\)"),
        ("kill -SEGV $$", r"it is damaged: the process that read it died of it \(SIGSEGV\)"),
        ("printf T; exit 0", "it is damaged: the process that read it ended with 0"),
        ("exec sleep 60", "to read it took more than 0 s"),
    ],
)
def test_the_error_says_how_the_process_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, said: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(plain_parquet, "START_S", 0.3 if "sleep" in does else 60.0)
    with pytest.raises(pa.ArrowInvalid, match=said):
        read_columns(written({"image": [does]}), ["image"])


def test_a_table_is_read_once_and_what_this_process_wrote_is_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    once, own = written({"image": ["once"]}), written({"image": ["own"]})
    first = read_columns(once, ["image"])
    trust_written(own)
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert read_columns(once, ["image"]) is first
    assert to_objects(read_columns(own, ["image"])["image"]) == ["own"]
    with pytest.raises(pa.ArrowInvalid, match="could not be started: No such file"):
        read_columns(written({"image": ["new"]}), ["image"])


def test_the_columns_that_there_are_come_with_the_error() -> None:
    with pytest.raises(ColumnsMissing) as found:
        read_columns(written({"file": ["x"], "label": [1]}), ["image"])
    assert found.value.names == ("file", "label")


def test_a_whole_table_comes_with_lists_as_json_and_without_what_no_reader_knows() -> None:
    table = pa.table(
        {
            "file": FILES,
            "label": [1, None, 3, 4],
            "ok": [True, None, False, True],
            "boxes": [[1, 2], None, [], [3]],
            "day": [date(2026, 1, 1)] * 4,
        }
    ).replace_schema_metadata({"huggingface": "{}", "pandas": "{}"})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    whole = read_whole(sink.getvalue())
    assert {name: to_objects(whole[name]) for name in whole.schema.names} == {
        "file": FILES,
        "label": [1, None, 3, 4],
        "ok": [True, None, False, True],
        "boxes": ["[1, 2]", None, "[]", "[3]"],
    }
    assert whole.schema.metadata == {b"huggingface": b"{}"}


@pytest.mark.parametrize("write", [pa.ipc.new_file, pa.ipc.new_stream])
def test_arrow_files_and_streams_are_read_like_parquet(write: Callable[..., Any]) -> None:
    table = pa.table({"name": ["a", "b"], "raw": [b"1", None]})
    sink = io.BytesIO()
    with write(sink, table.schema) as writer:
        writer.write_table(table)
    assert read_columns(sink.getvalue(), ["raw"]).to_pydict() == {"raw": [b"1", None]}
    assert read_whole(sink.getvalue()).to_pydict() == table.to_pydict()
    with pytest.raises(pa.ArrowInvalid, match="no column gone"):
        read_columns(sink.getvalue(), ["gone"])


def test_an_arrow_file_that_unpacks_to_far_more_is_refused() -> None:
    table = pa.table({"label": np.zeros(12_000_000, np.int64)})
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    with pytest.raises(pa.ArrowInvalid, match="decompression bomb"):
        read_whole(sink.getvalue())
