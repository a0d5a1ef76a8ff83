"""An Arrow file is read for what it holds; what this project never writes is refused."""

from __future__ import annotations

import pyarrow as pa
import pytest

from trainables.arrow_file import write_table
from trainables.plain_arrow import MAGIC, read_plain

TABLE = pa.table(
    {
        "row": pa.array([3, 5], pa.int32()),
        "name": ["a", "b"],
        "bins": [[1], [2, 3]],
        "shares": pa.FixedSizeListArray.from_arrays(pa.array([0.1, 0.9, 0.5, 0.5]), 2),
    },
    metadata={"data_id": "d1"},
)


def written(table: pa.Table, **options: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("table", [TABLE, TABLE.slice(0, 0), TABLE.slice(1)])
def test_a_table_comes_back_with_its_metadata(table: pa.Table) -> None:
    found = read_plain(write_table(table))
    assert found.equals(table)
    assert found.schema.metadata == {b"data_id": b"d1"}


def test_several_batches_come_back_in_their_order() -> None:
    two = pa.Table.from_batches([*TABLE.slice(0, 1).to_batches(), *TABLE.slice(1).to_batches()])
    assert read_plain(write_table(two)).equals(TABLE)


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compressed_columns_are_refused(codec: str) -> None:
    with pytest.raises(pa.ArrowInvalid, match="compressed"):
        read_plain(written(TABLE, compression=codec))


@pytest.mark.parametrize(
    "column",
    [
        pa.nulls(3),
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.RunEndEncodedArray.from_arrays([3], ["a"]),
        pa.array([{"a": 1}] * 3),
        pa.array([b"a"] * 3),
        pa.array([[["a"]]] * 3),
    ],
    ids=lambda column: str(column.type)[:12],
)
def test_types_that_are_never_written_are_refused(column: pa.Array) -> None:
    with pytest.raises(pa.ArrowInvalid, match="never written here"):
        read_plain(written(pa.table({"row": column})))


def test_a_type_of_another_package_is_not_even_made() -> None:
    kind = pa.uuid()
    column = pa.ExtensionArray.from_storage(kind, pa.array([b"0" * 16], pa.binary(16)))
    with pytest.raises(pa.ArrowInvalid, match="another package defines"):
        read_plain(written(pa.table({"row": column})))


def test_a_directory_that_names_a_batch_twice_changes_nothing() -> None:
    data = write_table(TABLE)
    size = int.from_bytes(data[-10:-6], "little")
    without = data[: len(data) - 10 - size] + MAGIC
    assert read_plain(without).equals(TABLE), "the directory is not looked at"


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", MAGIC + MAGIC, write_table(TABLE)[:-1], write_table(TABLE)[:200] + MAGIC]
)
def test_what_is_no_whole_file_is_refused(data: bytes) -> None:
    with pytest.raises((pa.ArrowInvalid, OSError)):
        read_plain(data)
