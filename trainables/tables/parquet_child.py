"""The child process that reads a Parquet table: column names as arguments, the file on standard input, the table on standard output.

It may allocate the memory that a regular file of that size unpacks to, and no more. The parent checks how it ended.
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

TABLE, ERROR, MISSING = b"T", b"E", b"M"
"""First byte of an answer: a table as an Arrow stream follows, an error message, or the existing column names as JSON."""

ENDED = b"ended"
"""Last bytes of a complete answer."""

FREE_BYTES = 2**30
"""Memory that any table may take; a Parquet page can declare a wrong size."""


def main() -> None:
    """Read the file on standard input and write the answer to standard output."""
    data = sys.stdin.buffer.read()
    limit_memory(FREE_BYTES + 3 * (MOST_TIMES * len(data) + SURELY_FINE_BYTES))
    answer = sys.stdout.buffer
    try:
        table = unpack(data, sys.argv[1:])
    except _Missing as error:
        answer.write(MISSING + json.dumps({"error": str(error), "names": error.names}).encode())
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        answer.write(ERROR + (str(error) or type(error).__name__).encode(errors="replace"))
    else:
        answer.write(TABLE)
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


def unpack(data: bytes, columns: Sequence[str]) -> pa.Table:
    """The named columns of a Parquet file; strings and bytes are dictionary-encoded.

    Raises `pyarrow.ArrowException`, `ValueError`, and any other exception of pyarrow; some files crash the process.
    """
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
    unpacked += metadata.num_rows * sum(_width(name, schema.field(name).type) for name in columns)
    try:
        check_unpacked(len(data), unpacked)
    except DecompressionBomb as error:
        raise pa.ArrowInvalid(str(error)) from None
    texts = [path for path, place in leaves if file.schema.column(place).physical_type == "BYTE_ARRAY"]
    file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts, pre_buffer=False)
    table = file.read(columns=list(columns), use_threads=False)
    table.validate(full=True)
    return table


def _width(name: str, kind: pa.DataType) -> int:
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
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_fixed_size_binary(kind):
        return max(8, int(kind.bit_width) // 8)
    if pa.types.is_struct(kind):
        return 8 + sum(_width(name, field.type) for field in kind)
    raise pa.ArrowInvalid(f"column {name} is of type {kind}, which is never looked for")
