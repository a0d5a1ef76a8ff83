"""Parquet and Arrow files: their columns as texts, and the names that Hugging Face's `datasets` keeps of their labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from trainables.errors import DataError
from trainables.layouts.tables.table_json import to_cell
from trainables.layouts.tables.table_text import Table

_LARGEST_CELLS = 50_000_000

T = TypeVar("T")


def read_arrow_table(name: str, data: bytes) -> Table:
    """The columns of texts and numbers of a Parquet file, an Arrow file or an Arrow stream. Raises `DataError`."""
    cells, told = read_cells(name, data)
    return to_table(name, find_class_names(told), choose_texts(cells))


def read_cells(name: str, data: bytes) -> tuple[dict[str, Any], str]:
    """The columns of Arrow by name, and what Hugging Face's `datasets` keeps of them, as JSON. Raises `DataError`."""
    from trainables.tables.parquet_limits import read_whole

    table = attempt(name, lambda: read_whole(data))
    told = (table.schema.metadata or {}).get(b"huggingface", b"")
    return {column: table[column] for column in table.schema.names}, told.decode("utf-8", "replace")


def choose_texts(cells: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of texts, numbers and truth values, which become cells."""
    return {column: found for column, found in cells.items() if find_kind(found) not in ("image", "bytes")}


def find_kind(column: Any) -> str:
    """The kind of a column of Arrow, as `kind_of` has it."""
    from trainables.tables.parquet_child import kind_of

    return kind_of(column.type)


def to_table(name: str, class_names: Mapping[str, Sequence[str]], cells: Mapping[str, Any]) -> Table:
    """Columns of Arrow as a table of texts; the numbers of columns in `class_names` become these."""
    from trainables.tables.parquet_limits import to_objects

    texts = []
    for column, found in cells.items():
        values = attempt(name, lambda found=found: to_objects(found))  # type: ignore[misc]
        names = class_names.get(column)
        texts.append(
            [to_cell(value) for value in values] if names is None else _name_classes(name, column, values, names)
        )
    if sum(map(len, texts)) > _LARGEST_CELLS:
        raise DataError(f"{name} holds more than {_LARGEST_CELLS:,} cells: write a table with few columns")
    rows = list(zip(*texts, strict=True)) if texts else []
    return Table(name, tuple(cells), rows, range(1, len(rows) + 1), unit="row")


def list_contents(column: Any) -> list[tuple[str, Callable[[], bytes] | None]]:
    """For each row the name that is kept with an image, and what returns its bytes; None where it has none.

    Bytes stay in Arrow's memory until they are asked for: copies of all would double what a large set takes.
    """
    import pyarrow as pa

    found: list[tuple[str, Callable[[], bytes] | None]] = []
    for chunk in column.chunks:
        is_struct = pa.types.is_struct(chunk.type)
        parts = {field.name for field in chunk.type} if is_struct else set()
        held = chunk.field("bytes") if is_struct else chunk
        paths = [None] * len(chunk)
        if "path" in parts:
            paths = chunk.field("path").to_pylist()
        valid = held.is_valid().to_pylist()
        there = chunk.is_valid().to_pylist()
        for row in range(len(chunk)):
            path = paths[row] if there[row] and isinstance(paths[row], str) else ""
            found.append((path or "", partial(_take, held, row) if there[row] and valid[row] else None))
    return found


def _take(held: Any, row: int) -> bytes:
    content: bytes = held[row].as_py()
    return content


def attempt(name: str, read: Callable[[], T]) -> T:
    """The result of `read`. Raises `DataError` where Arrow cannot read the file."""
    import pyarrow as pa

    try:
        return read()
    except (pa.ArrowException, OSError, ValueError, IndexError, OverflowError) as error:
        said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(f"{name} cannot be read as Parquet or Arrow ({said}): write it again") from None


def find_class_names(huggingface: str) -> dict[str, list[str]]:
    """Class names by column, from the JSON that Hugging Face's `datasets` writes into a table or beside it."""
    try:
        found = json.loads(huggingface)
    except (ValueError, RecursionError):
        return {}
    for key in ("info", "features"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    names = {}
    for column, feature in found.items() if isinstance(found, dict) else ():
        told = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
        told = list(told.values()) if isinstance(told, dict) else told
        if isinstance(told, list) and told and all(isinstance(name, str) for name in told):
            names[str(column)] = [name.strip() for name in told]
    return names


def _name_classes(name: str, column: str, values: Sequence[Any], names: Sequence[str]) -> list[str]:
    """The class name of each number; `datasets` writes -1 where there is no label."""
    labels = []
    for row, value in enumerate(values, 1):
        if value is None or value == -1:
            labels.append(to_cell(None))
        elif isinstance(value, str):
            labels.append(value.strip())
        elif isinstance(value, int) and 0 <= value < len(names):
            labels.append(names[value])
        else:
            raise DataError(
                f"row {row} of {name} has {value!r} in column {column}, and there are {len(names)} class names: write it again"
            )
    return labels
