"""Tables as Arrow IPC files: the format of all columns in a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from trainables.errors import CaucusError
from trainables.tables.arrow_limits import read_plain

UNREADABLE = (pa.ArrowException, KeyError, AttributeError, TypeError, ValueError, IndexError, OSError)
"""Exceptions that pyarrow, a missing column and a missing metadata key raise."""


def write_table(table: pa.Table) -> bytes:
    """The bytes of an Arrow IPC file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@contextmanager
def reading_table(data: bytes, what: str, error: type[CaucusError]) -> Iterator[tuple[pa.Table, dict[str, str]]]:
    """The table of an Arrow IPC file, zero-copy where it is one batch, and its metadata, within a `with` block.

    Raises `error`, as "not `what`", where `data` is something else, or where the block finds a column or a metadata key missing;
    instances of `CaucusError` pass unchanged.
    """
    try:
        table = read_plain(data).combine_chunks()
        yield table, {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    except CaucusError:
        raise
    except UNREADABLE as found:
        raise error(f"not {what}: {found}") from None
