"""Reads Arrow files so that they take memory for their actual content, whatever they declare.

Arrow itself would also unpack compressed columns, build dictionaries, repeat one batch a million times and pass columns to
extension types of other packages. Caucus writes none of these, so a file that has one is an attack or damaged.

Arrow also trusts the kind of a file's first message: two changed bytes turn the schema into a batch, and pyarrow reads invalid
memory (SIGSEGV) or throws a C++ exception (SIGABRT). Each message is therefore checked before pyarrow reads it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pyarrow as pa

MAGIC = b"ARROW1"

MOST_MESSAGES = 100_000
"""Largest number of messages in a file. Each costs time, even an empty one; files of Caucus have one message a batch."""

_SCHEMA, _RECORD_BATCH = 1, 3
"""Kinds of messages."""

_KIND, _HEADER, _BODY_BYTES = 1, 2, 3
"""Field indices of the format's table `Message`."""

_ROWS, _NODES, _BUFFERS, _COMPRESSION = 0, 1, 2, 3
"""Field indices of the format's table `RecordBatch`."""

_CONTINUES = 0xFFFFFFFF


def read_plain(data: bytes) -> pa.Table:
    """The table of an Arrow IPC file, zero-copy, with every length verified. Memory is allocated for actual, not for declared sizes.

    Raises `pyarrow.ArrowInvalid` for anything else, and for features that this project never writes: compressed columns,
    dictionaries, and types other than numbers, strings and lists of them.
    """
    check_messages(data)
    # As a stream: the directory at the end of the file could name one batch any number of times.
    messages = iter(pa.ipc.MessageReader.open_stream(pa.py_buffer(data)[8:]))
    first = next(messages, None)
    if first is None or b"ARROW:extension:" in first.metadata.to_pybytes():  # looked for before such a type is made
        raise pa.ArrowInvalid("it has no columns, or one of a type that another package defines")
    if first.type != "schema":
        raise pa.ArrowInvalid(f"it begins with a {first.type}, not with its columns")
    schema = pa.ipc.read_schema(first)
    for field in schema:
        _check_type(field.name, field.type)
    batches = []
    for message in messages:
        if message.type != "record batch":
            raise pa.ArrowInvalid(f"it holds a {message.type}, which is never written here")
        batches.append(pa.ipc.read_record_batch(message, schema))
    table = pa.Table.from_batches(batches, schema)
    table.validate(full=True)  # damaged lengths would otherwise be read beyond the end of the buffer
    return table


def _check_type(name: str, kind: pa.DataType) -> None:
    inner = kind.value_type if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) else kind
    known = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_string(inner)
    if isinstance(kind, pa.BaseExtensionType) or not known:
        raise pa.ArrowInvalid(f"column {name} is of type {kind}, which is never written here")


def check_messages(data: bytes) -> None:
    """Raise `pyarrow.ArrowInvalid` unless `data` is an Arrow IPC file of a schema and batches that lie within it.

    Reads a few numbers of each message and the positions of the buffers, not the columns: 5 microseconds a message.
    """
    if not (data.startswith(MAGIC) and data.endswith(MAGIC) and len(data) >= 8 + len(MAGIC)):
        raise pa.ArrowInvalid("it does not begin and end as an Arrow file does")
    try:
        count = 0
        for number, (head, body) in enumerate(_messages(data)):
            if number >= MOST_MESSAGES:
                raise pa.ArrowInvalid(f"it has more than {MOST_MESSAGES:,} batches")
            _check_message(head, body, first=number == 0)
            count += 1
    except (struct.error, IndexError, OverflowError):
        raise pa.ArrowInvalid("it ends in the middle of a message, or a message points out of itself") from None
    if not count:
        raise pa.ArrowInvalid("it has no columns, or one of a type that another package defines")


def _messages(data: bytes) -> Iterator[tuple[memoryview, int]]:
    """The metadata of each message up to the end of the stream, and the size of its body in bytes."""
    view, at = memoryview(data), 8
    while at < len(data):
        (size,) = struct.unpack_from("<I", view, at)
        at += 4
        if size == _CONTINUES:  # files of before Arrow 0.15 have the size alone
            (size,) = struct.unpack_from("<I", view, at)
            at += 4
        if size == 0:
            return
        if size > len(data) - at:
            raise pa.ArrowInvalid(f"a message declares {size:,} bytes, and {len(data) - at:,} are left")
        head = view[at : at + size]
        at += size
        body_bytes = _number(head, _root(head), _BODY_BYTES, "<q")
        if not 0 <= body_bytes <= len(data) - at:
            raise pa.ArrowInvalid(f"a batch declares {body_bytes:,} bytes, and {len(data) - at:,} are left")
        yield head, body_bytes
        at += body_bytes


def _check_message(head: memoryview, body_bytes: int, first: bool) -> None:
    root = _root(head)
    kind = _number(head, root, _KIND, "<B")
    if kind != (_SCHEMA if first else _RECORD_BATCH):
        name = {0: "nothing", _SCHEMA: "schema", 2: "dictionary", _RECORD_BATCH: "record batch"}.get(
            kind, f"kind {kind}"
        )
        prefix = "it begins with" if first else "it holds"
        raise pa.ArrowInvalid(f"{prefix} a {name}, which is never written here")
    batch = _pointed(head, root, _HEADER)
    if batch is None:
        raise pa.ArrowInvalid("a message is empty")
    if first:
        return
    if _field(head, batch, _COMPRESSION) is not None:
        raise pa.ArrowInvalid("its columns are compressed, which is never written here")
    rows = _number(head, batch, _ROWS, "<q")
    for numbers in _vector(head, batch, _NODES):
        _check_node(numbers)
    if rows < 0:
        raise pa.ArrowInvalid(f"a batch declares {rows} rows")
    for offset, size in _vector(head, batch, _BUFFERS):
        if offset < 0 or size < 0 or offset + size > body_bytes:
            raise pa.ArrowInvalid(f"a column declares {size:,} bytes from {offset:,} on, in a batch of {body_bytes:,}")


def _check_node(node: tuple[int, int]) -> None:
    length, nulls = node
    if not 0 <= nulls <= length:
        raise pa.ArrowInvalid(f"a column declares {nulls} missing values of {length}")


def _vector(head: memoryview, table: int, place: int) -> Iterator[tuple[int, int]]:
    """The pairs of 64-bit integers that nodes and buffers consist of."""
    at = _pointed(head, table, place)
    if at is None:
        return
    (count,) = struct.unpack_from("<I", head, at)
    if count > (len(head) - at - 4) // 16:
        raise pa.ArrowInvalid("a message points out of itself")
    yield from struct.iter_unpack("<qq", head[at + 4 : at + 4 + 16 * count])


def _root(head: memoryview) -> int:
    (root,) = struct.unpack_from("<I", head)
    return int(root)


def _pointed(head: memoryview, table: int, place: int) -> int | None:
    """Position of the table or vector that a field points to."""
    field = _field(head, table, place)
    return None if field is None else field + int(struct.unpack_from("<I", head, field)[0])


def _number(head: memoryview, table: int, place: int, kind: str) -> int:
    """A numeric field of a table; 0 where the table omits it."""
    field = _field(head, table, place)
    return 0 if field is None else int(struct.unpack_from(kind, head, field)[0])


def _field(head: memoryview, table: int, place: int) -> int | None:
    """Position of the field `place` of a flatbuffer table; None where the table omits it."""
    directory = table - struct.unpack_from("<i", head, table)[0]
    if directory < 0:  # else it would be counted from the end
        raise IndexError
    entry = 4 + 2 * place
    if entry >= struct.unpack_from("<H", head, directory)[0]:
        return None
    offset = struct.unpack_from("<H", head, directory + entry)[0]
    return table + offset if offset else None
