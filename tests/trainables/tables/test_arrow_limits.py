"""An Arrow file is read for what it holds; what this project never writes is refused."""

from __future__ import annotations

import struct
import subprocess
import sys

import pyarrow as pa
import pytest

from trainables.tables.arrow_file import write_table
from trainables.tables.arrow_limits import MAGIC, check_messages, read_plain

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


def kind_at(data: bytes) -> int:
    """Where the kind of the first message stands."""
    root = 16 + struct.unpack_from("<I", data, 16)[0]
    directory = root - struct.unpack_from("<i", data, root)[0]
    return int(root + struct.unpack_from("<H", data, directory + 6)[0])


@pytest.mark.parametrize(("kind", "name"), [(0, "nothing"), (2, "dictionary"), (3, "record batch"), (91, "kind 91")])
def test_a_file_whose_first_message_is_no_schema_is_refused_before_pyarrow_sees_it(kind: int, name: str) -> None:
    data = write_table(TABLE)
    at = kind_at(data)
    assert data[at] == 1
    with pytest.raises(pa.ArrowInvalid, match=f"it begins with a {name}"):
        check_messages(data[:at] + bytes([kind]) + data[at + 1 :])


MUTANTS = """
import random
import pyarrow as pa
from trainables.tables.arrow_file import UNREADABLE, write_table
from trainables.tables.arrow_limits import read_plain
data = write_table(pa.table({"truth": [0.5] * 60, "predicted": [1] * 60}, metadata={"data_id": "d1", "classes": "3"}))
refused = 0
for number in range(6000):
    dice, changed = random.Random(number), bytearray(data)
    for _ in range(2):
        changed[min(dice.randrange(len(data)), dice.randrange(len(data)))] = dice.choice((0, 1, 2, 3, 4, 5, 91, 128, 255))
    try:
        read_plain(bytes(changed))
    except UNREADABLE:
        refused += 1
print(refused)
"""


def test_two_changed_bytes_end_no_process() -> None:
    done = subprocess.run([sys.executable, "-c", MUTANTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 2000 < int(done.stdout) < 6000


@pytest.mark.parametrize(
    ("field", "number", "said"),
    [
        ("buffer", 2**40, "a column declares"),
        ("buffer", -8, "a column declares"),
        ("node", 2**40, "missing values of"),
        ("body", 2**40, "a batch declares"),
        ("size", 2**31 - 8, "a message declares"),
    ],
)
def test_what_a_batch_declares_beyond_its_bytes_is_refused(field: str, number: int, said: str) -> None:
    data = bytearray(write_table(pa.table({"row": pa.array(range(5), pa.int64())})))
    (schema_bytes,) = struct.unpack_from("<I", data, 12)
    start = 16 + schema_bytes + 8  # the second message, after its continuation and size
    root = start + struct.unpack_from("<I", data, start)[0]

    def at(table: int, place: int) -> int:
        directory = table - struct.unpack_from("<i", data, table)[0]
        return int(table + struct.unpack_from("<H", data, directory + 4 + 2 * place)[0])

    header = at(root, 2)
    batch = header + struct.unpack_from("<I", data, header)[0]
    nodes, buffers = (each + struct.unpack_from("<I", data, each)[0] + 4 for each in (at(batch, 1), at(batch, 2)))
    place = {"buffer": buffers + 16, "node": nodes + 8, "body": at(root, 3), "size": start - 4}[field]
    struct.pack_into("<I" if field == "size" else "<q", data, place, number)
    with pytest.raises(pa.ArrowInvalid, match=said):
        read_plain(bytes(data))
