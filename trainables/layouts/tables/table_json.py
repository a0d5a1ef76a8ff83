"""Tables as JSON: an object a line, a list of objects, columns as lists, or labels by file name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from trainables.errors import DataError
from trainables.layouts.tables.table_text import Table

NULL = "null"
"""The text of a cell that says that it holds nothing, as JSON and Parquet can: one of the words for a missing label."""

_ROWS = ("data", "rows", "annotations", "images", "samples", "items", "records")
"""Keys of an object that hold its list of rows."""


def read_json_lines(name: str, text: str) -> Table:
    """A table with an object a line. Raises `DataError` that names the line."""
    rows, lines = [], []
    for line, part in enumerate(text.split("\n"), 1):
        if not part.strip():
            continue
        row = _parse(f"line {line} of {name}", part)
        if not isinstance(row, dict):
            raise DataError(
                f"line {line} of {name} is {_brief(row)}, and each line must be an object: write one a line"
            )
        rows.append(row)
        lines.append(line)
    return _from_objects(name, rows, lines, "line")


def read_json(name: str, text: str) -> Table:
    """The table in a JSON file.

    It is a list of objects, alone or under a key as `data`, an object of columns, each a list or a list by row number as pandas
    writes it, or an object that has labels by file name. Raises `DataError`.
    """
    found = _parse(name, text)
    if isinstance(found, dict):
        if all(_is_rows(found.get(key)) for key in ("images", "annotations", "categories")):
            found = _join_coco(found)
        found = next((found[key] for key in _ROWS if _is_rows(found.get(key))), found)
    if _is_rows(found):
        return _from_objects(name, found, range(1, len(found) + 1), "entry")
    if isinstance(found, dict) and found:
        columns = [list(part.values()) if isinstance(part, dict) else part for part in found.values()]
        if all(isinstance(part, list) for part in columns) and len({len(part) for part in columns}) == 1:
            objects = [dict(zip(found, cells, strict=True)) for cells in zip(*columns, strict=True)]
            return _from_objects(name, objects, range(1, len(objects) + 1), "entry")
        if not any(isinstance(part, list | dict) for part in columns):
            objects = [{"image": file, "label": label} for file, label in found.items()]
            return _from_objects(name, objects, range(1, len(objects) + 1), "entry")
    raise DataError(
        f"{name} is {_brief(found)}, no table: write a list of objects, one an image, with `image` and `label`"
    )


def _join_coco(found: Mapping[str, Any]) -> dict[str, Any]:
    """COCO's lists of images, annotations and categories as rows, one an annotation."""
    files = {str(image.get("id")): image.get("file_name") for image in found["images"]}
    names = {str(category.get("id")): category.get("name") for category in found["categories"]}
    rows = [
        {"image": files.get(str(note.get("image_id"))), "label": names.get(str(note.get("category_id")))}
        for note in found["annotations"]
    ]
    return {"annotations": rows}


def to_cell(value: Any) -> str:
    """A value of JSON or Parquet as a cell's text: lists and objects as JSON, nothing as `NULL`."""
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return NULL
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def check_texts(name: str, table: Table) -> Table:
    """`table`, unless a text has half of a surrogate pair, which JSON can write and no file can hold. Raises `DataError`."""
    for row, line in zip(table.rows, table.lines, strict=True):
        try:
            "".join(row).encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{table.unit} {line} of {name} has half of a surrogate pair, no text: write it again"
            ) from None
    return table


def _parse(what: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what} is no JSON ({error}): write it again") from None


def _is_rows(found: object) -> bool:
    return isinstance(found, list) and bool(found) and all(isinstance(row, dict) for row in found)


def _from_objects(name: str, rows: Sequence[Mapping[str, Any]], lines: Sequence[int], unit: str) -> Table:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if len(columns) * len(rows) > 50_000_000:
        raise DataError(
            f"{name} has {len(columns):,} columns in {len(rows):,} rows: write one object an image with few keys"
        )
    texts = [[to_cell(row[key]) if key in row else "" for key in columns] for row in rows]
    table = Table(name, tuple(" ".join(column.split()) for column in columns), texts, lines, unit=unit)
    try:
        "".join(columns).encode()
    except UnicodeEncodeError:
        raise DataError(f"a key of {name} has half of a surrogate pair, no text: write it again") from None
    return check_texts(name, table)


def _brief(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")
