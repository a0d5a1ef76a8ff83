"""Parquet tables from elsewhere: how much a file may unpack to is settled before it is unpacked.

A file of a kilobyte can declare a thousand million rows that are all alike. So numbers are counted beforehand, and texts
are kept as Parquet has them: each different one once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.bomb import Bomb, check_unpacked


def read_columns(data: bytes, columns: Sequence[str]) -> pa.Table:
    """The named columns of a Parquet file; texts and bytes are dictionaries, see `to_objects`.

    Raises `pyarrow.ArrowInvalid` where a column is missing or of a type that is never looked for, and where the file would
    unpack to far more than it holds.
    """
    # Not `pq.read_table`, which imports pandas where that is installed: 0.3 s of every verb that votes.
    file = pq.ParquetFile(pa.BufferReader(data))
    leaves = [
        (path, place)
        for place in range(len(file.schema.names))
        if (path := file.schema.column(place).path).partition(".")[0] in columns
    ]
    schema = file.schema_arrow
    if missing := [name for name in columns if schema.names.count(name) != 1]:
        raise pa.ArrowInvalid(f"it has no column {missing[0]}, or two")
    told = file.metadata
    groups = [told.row_group(place) for place in range(told.num_row_groups)]
    unpacked = sum(group.column(place).total_uncompressed_size for group in groups for _, place in leaves)
    unpacked += told.num_rows * sum(_width(name, schema.field(name).type) for name in columns)
    try:
        check_unpacked(len(data), unpacked)
    except Bomb as error:
        raise pa.ArrowInvalid(str(error)) from None
    texts = [path for path, place in leaves if file.schema.column(place).physical_type == "BYTE_ARRAY"]
    file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts)
    table = file.read(columns=list(columns))
    table.validate(full=True)
    return table


def to_objects(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column of `read_columns`; texts that are equal are one object."""
    return [value for chunk in column.chunks for value in _objects(chunk)]


def _objects(chunk: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(chunk.type):
        different = np.array([*chunk.dictionary.to_pylist(), None], object)
        found: list[Any] = different[chunk.indices.fill_null(len(different) - 1).to_numpy()].tolist()
        return found
    if pa.types.is_struct(chunk.type):
        names = [field.name for field in chunk.type]
        parts = zip(*(_objects(chunk.field(name)) for name in names), strict=True)
        there = chunk.is_valid().to_pylist()
        return [
            dict(zip(names, part, strict=True)) if is_there else None
            for part, is_there in zip(parts, there, strict=True)
        ]
    return chunk.to_pylist()  # type: ignore[no-any-return]


def _width(name: str, kind: pa.DataType) -> int:
    """Bytes in memory of a value; of a text those of its place in the dictionary."""
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
