"""The child process that reads a Parquet or Arrow table: the file on standard input, the table on standard output.

The arguments are `TABLE` and names of columns, or `WHOLE`. The child may allocate the memory that a regular file of that size unpacks
to, and no more. The parent checks how it ended.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainables.tables.unpacked_size import MOST_TIMES, SURELY_FINE_BYTES, DecompressionBomb, check_unpacked

TABLE, WHOLE, ERROR, MISSING = b"T", b"W", b"E", b"M"
"""First byte of an answer: a table as an Arrow stream follows, all columns of it, an error message, or the existing column names as
JSON."""

ENDED = b"ended"
"""Last bytes of a complete answer."""

PARQUET, ARROW_FILE = b"PAR1", b"ARROW1"
"""First bytes of a Parquet file, and of an Arrow file (Feather); an Arrow stream has none."""

FREE_BYTES = 2**30
"""Memory that any table may take; a Parquet page can declare a wrong size."""


def main() -> None:
    """Read the file on standard input and write the answer to standard output."""
    data = sys.stdin.buffer.read()
    limit_memory(FREE_BYTES + 3 * (MOST_TIMES * len(data) + SURELY_FINE_BYTES))
    answer = sys.stdout.buffer
    wanted, *columns = sys.argv[1:]
    try:
        table = unpack_whole(data) if wanted == WHOLE.decode() else unpack(data, columns)
    except _Missing as error:
        answer.write(MISSING + json.dumps({"error": str(error), "names": error.names}).encode())
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        answer.write(ERROR + (str(error) or type(error).__name__).encode(errors="replace"))
    else:
        answer.write(wanted.encode())
        with pa.ipc.new_stream(answer, table.schema) as stream:
            stream.write_table(table)
    answer.write(ENDED)
    answer.flush()


def limit_memory(more_bytes: int) -> None:
    """Limit this process to `more_bytes` beyond the memory that it uses now."""
    with contextlib.suppress(ImportError, OSError, ValueError, IndexError):  # not on every system
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = used + more_bytes
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _Missing(ValueError):
    def __init__(self, message: str, names: Sequence[str]) -> None:
        super().__init__(message)
        self.names = list(names)


def unpack(data: bytes, columns: Sequence[str], lists: bool = False) -> pa.Table:
    """The named columns of a Parquet file, strings and bytes dictionary-encoded, or of an Arrow file or stream, as they are.

    `lists`: columns of lists are read, too.

    Raises `pyarrow.ArrowException`, `ValueError`, and any other exception of pyarrow; some files crash the process.
    """
    if not data.startswith(PARQUET):
        return _unpack_arrow(data, columns, lists)
    # Not `pq.read_table`, which imports pandas where that is installed: 0.3 s of every verb that votes.
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
    schema = file.schema_arrow
    if missing := [name for name in columns if schema.names.count(name) != 1]:
        raise _Missing(f"it has no column {missing[0]}, or two", schema.names)
    leaves = [
        (path, place)
        for place in range(len(file.schema.names))
        if (path := file.schema.column(place).path).partition(".")[0] in columns
    ]
    metadata = file.metadata
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    unpacked = sum(group.column(place).total_uncompressed_size for group in groups for _, place in leaves)
    unpacked += metadata.num_rows * sum(_width(name, schema.field(name).type, lists) for name in columns)
    try:
        check_unpacked(len(data), unpacked)
    except DecompressionBomb as error:
        raise pa.ArrowInvalid(str(error)) from None
    texts = [path for path, place in leaves if file.schema.column(place).physical_type == "BYTE_ARRAY"]
    file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts, pre_buffer=False)
    table = file.read(columns=list(columns), use_threads=False)
    table.validate(full=True)
    return table


def _width(name: str, kind: pa.DataType, lists: bool = False) -> int:
    """Bytes of a value in memory; for a string, those of its dictionary index."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if (
        pa.types.is_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_large_binary(kind)
    ):
        return 8
    if pa.types.is_boolean(kind):
        return 1
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_fixed_size_binary(kind):
        return max(8, int(kind.bit_width) // 8)
    if lists and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return 8  # its numbers and texts are counted as what they unpack to
    if pa.types.is_struct(kind):
        # Paths of images that have none are a part without any value.
        return 8 + sum(_width(name, field.type) for field in kind if not pa.types.is_null(field.type))
    raise pa.ArrowInvalid(f"column {name} is of type {kind}, which is never looked for")


def _unpack_arrow(data: bytes, columns: Sequence[str], lists: bool) -> pa.Table:
    table = _open_arrow(data).read_all()
    if missing := [name for name in columns if table.schema.names.count(name) != 1]:
        raise _Missing(f"it has no column {missing[0]}, or two", table.schema.names)
    table = table.select(list(columns))
    for name in columns:
        _width(name, table.schema.field(name).type, lists)
    try:
        check_unpacked(len(data), table.nbytes)
    except DecompressionBomb as error:
        raise pa.ArrowInvalid(str(error)) from None
    table.validate(full=True)
    return table


def _open_arrow(data: bytes) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    return pa.ipc.open_file(data) if data.startswith(ARROW_FILE) else pa.ipc.open_stream(data)


def unpack_whole(data: bytes) -> pa.Table:
    """All columns of a Parquet or Arrow table whose `kind_of` is not `other`, lists as JSON; of two with one name neither.

    Of its metadata it keeps what Hugging Face's `datasets` writes, under `huggingface`.
    """
    schema = (
        pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).schema_arrow
        if data.startswith(PARQUET)
        else _open_arrow(data).schema
    )
    kinds = {field.name: kind_of(field.type) for field in schema if schema.names.count(field.name) == 1}
    table = unpack(data, [name for name, kind in kinds.items() if kind not in ("other", "null")], lists=True)
    for place, name in enumerate(table.schema.names):
        if kinds[name] == "list":
            texts = [None if value is None else json.dumps(value, default=str) for value in table[name].to_pylist()]
            table = table.set_column(place, name, pa.array(texts, pa.string()))
    told = (schema.metadata or {}).get(b"huggingface")
    return table.replace_schema_metadata({b"huggingface": told} if told else None)


def kind_of(kind: pa.DataType) -> str:
    """What a column holds: `text`, `bytes`, `image` (a struct of bytes and path), `int`, `float`, `bool`, `list`, `null` (no value at
    all, as the paths of images that have none), or `other`."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_struct(kind):
        parts = {field.name: kind_of(field.type) for field in kind}
        is_image = parts.get("bytes") == "bytes" and set(parts.values()) <= {"bytes", "text", "int", "null"}
        return "image" if is_image else "other"
    tests = {
        "text": (types.is_string, types.is_large_string),
        "bytes": (types.is_binary, types.is_large_binary),
        "int": (types.is_integer,),
        "float": (types.is_floating,),
        "bool": (types.is_boolean,),
        "null": (types.is_null,),
        "list": (types.is_list, types.is_large_list),
    }
    return next((name for name, matches in tests.items() if any(match(kind) for match in matches)), "other")
