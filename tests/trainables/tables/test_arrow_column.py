"""Columns of numbers become arrays, without pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from trainables.tables.arrow_column import to_array


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("numbers", [[], [1, 2, 3]])
def test_numbers_keep_their_type(dtype: str, numbers: list[int]) -> None:
    for column in (pa.array(np.array(numbers, dtype)), pa.chunked_array([pa.array(np.array(numbers, dtype))])):
        found = to_array(column)
        assert found.tolist() == numbers
        assert found.dtype == np.dtype(dtype)


def test_pieces_are_joined_and_slices_respected() -> None:
    assert to_array(pa.chunked_array([[1, 2], [], [3]])).tolist() == [1, 2, 3]
    assert to_array(pa.chunked_array([], pa.int32())).tolist() == []
    assert to_array(pa.array([1, 2, 3, 4]).slice(1, 2)).tolist() == [2, 3]


def test_one_piece_is_not_copied() -> None:
    column = pa.array(np.arange(1000))
    assert to_array(column).ctypes.data == column.buffers()[1].address


@pytest.mark.parametrize("column", [pa.array([1, None]), pa.array(["cat"]), pa.array([[1.0]]), pa.array([None])])
def test_what_is_no_column_of_numbers_is_refused(column: pa.Array) -> None:
    with pytest.raises(pa.ArrowInvalid, match="not a column of numbers without gaps"):
        to_array(column)


def test_pandas_is_not_imported(tmp_path: Path) -> None:
    table = pa.table({"number": pa.array([1, 2])})
    with pa.OSFile(str(tmp_path / "numbers.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    script = (
        "import sys, pyarrow as pa\n"
        "from trainables.tables.arrow_column import to_array\n"
        "table = pa.ipc.open_file(sys.argv[1]).read_all()\n"
        "assert to_array(table['number']).tolist() == [1, 2]\n"
        "print('pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "numbers.arrow")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
