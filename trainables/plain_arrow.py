"""Arrow files as the store has them: what is in memory is what is in the file, whatever the file declares.

Arrow itself would also unpack compressed columns, build dictionaries, repeat one batch a million times and hand columns to
types that other packages have registered. Nothing here writes those, so nobody who wrote one meant well.
"""

from __future__ import annotations

import struct

import pyarrow as pa

MAGIC = b"ARROW1"

_HEADER, _COMPRESSION = 2, 3
"""Places of fields in the format's tables `Message` and `RecordBatch`."""


def read_plain(data: bytes) -> pa.Table:
    """The table of an Arrow IPC file, zero-copy, every length in it proved. Takes memory for what is there, not for what is declared.

    Raises `pyarrow.ArrowInvalid` for anything else, and for what this project never writes: compressed columns,
    dictionaries, and types other than numbers, strings and lists of them.
    """
    if not (data.startswith(MAGIC) and data.endswith(MAGIC)):
        raise pa.ArrowInvalid("it does not begin and end as an Arrow file does")
    # As a stream: the directory at the end of the file could name one batch any number of times.
    messages = iter(pa.ipc.MessageReader.open_stream(pa.py_buffer(data)[8:]))
    first = next(messages, None)
    if first is None or b"ARROW:extension:" in first.metadata.to_pybytes():  # looked for before such a type is made
        raise pa.ArrowInvalid("it has no columns, or one of a type that another package defines")
    schema = pa.ipc.read_schema(first)
    for field in schema:
        _check_type(field.name, field.type)
    batches = []
    for message in messages:
        if message.type != "record batch":
            raise pa.ArrowInvalid(f"it holds a {message.type}, which is never written here")
        if _is_compressed(message.metadata.to_pybytes()):
            raise pa.ArrowInvalid("its columns are compressed, which is never written here")
        batches.append(pa.ipc.read_record_batch(message, schema))
    table = pa.Table.from_batches(batches, schema)
    table.validate(full=True)  # damaged lengths would otherwise be read beyond the end of the buffer
    return table


def _check_type(name: str, kind: pa.DataType) -> None:
    inner = kind.value_type if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) else kind
    known = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_string(inner)
    if isinstance(kind, pa.BaseExtensionType) or not known:
        raise pa.ArrowInvalid(f"column {name} is of type {kind}, which is never written here")


def _is_compressed(message: bytes) -> bool:
    """Whether the message of a record batch declares compression. pyarrow has proved the bytes, and does not tell."""
    header = _field(message, struct.unpack_from("<I", message)[0], _HEADER)
    if header is None:
        return False
    batch = header + struct.unpack_from("<I", message, header)[0]
    return _field(message, batch, _COMPRESSION) is not None


def _field(message: bytes, table: int, place: int) -> int | None:
    """Where the field at `place` of a flatbuffer's table lies; None where the table leaves it out."""
    directory = table - struct.unpack_from("<i", message, table)[0]
    entry = 4 + 2 * place
    if entry >= struct.unpack_from("<H", message, directory)[0]:
        return None
    offset = struct.unpack_from("<H", message, directory + entry)[0]
    return table + offset if offset else None
