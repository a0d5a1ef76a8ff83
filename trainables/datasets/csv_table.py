"""A table of file names and labels, with a header: `image,label`."""

from __future__ import annotations

import csv
import difflib
import os
from collections.abc import Iterator
from pathlib import Path

from trainables.data.images import ImageSet
from trainables.datasets.decode import decode_images, some_of
from trainables.errors import DataError

DELIMITERS = ",;\t"
"""Possible delimiters. The one that occurs most often in the header is used, of equals the first: spreadsheets write `;` in half
of Europe."""


def load_csv_table(
    table: Path,
    root: Path | None = None,
    image_column: str = "image",
    label_column: str = "label",
    size: int | None = None,
    channels: int | None = None,
) -> ImageSet:
    """The images that `table` names, in `train`; the id is the path relative to `root` (default: the table's folder).

    Labels are strings; class names are the distinct labels, sorted. `size` and `channels` as in `decode_files`.
    Raises `DataError` where the table is not readable, lacks a column or a value, names a file twice, a file outside
    `root`, a missing file, or a file that is no image.
    """
    root = root or table.parent
    class_of = read_table(table, root, image_column, label_column)
    if missing := [file for file in sorted(class_of) if not (root / file).is_file()]:
        raise DataError(
            f"{table} names {len(class_of)} files, {len(missing)} of them are not in {root}: {some_of(missing)}: "
            "add them, or name the folder that file names start from with data.root="
        )
    return decode_images(table.stem, root, class_of, size, channels)


def read_table(table: Path, root: Path, image_column: str, label_column: str) -> dict[str, str]:
    """Labels of the images by path relative to `root`. Raises `DataError` as `load_csv_table` does."""
    class_of: dict[str, str] = {}
    line_of: dict[str, int] = {}
    outside, twice = [], []
    top = os.path.abspath(root)  # noqa: PTH100 pathlib keeps the `..` that must be resolved without following links
    for line, image, label in _rows(table, image_column, label_column):
        whole = os.path.normpath(os.path.join(top, image))  # noqa: PTH118
        file = os.path.relpath(whole, top).replace(os.sep, "/")
        if file == ".." or file.startswith("../"):
            outside.append(f"{image} (line {line})")
        elif file in class_of:
            twice.append(f"{file} (lines {line_of[file]} and {line})")
        else:
            class_of[file], line_of[file] = label, line
    if outside:
        raise DataError(
            f"{table} names files outside {root}: {some_of(outside)}: name a folder above them with data.root="
        )
    if twice:
        raise DataError(f"{table} names files twice: {some_of(twice)}: keep one line a file")
    if len(found := sorted(set(class_of.values()))) < 2:
        found_labels = f"one label, {found[0]!r}," if found else "no label"
        raise DataError(f"{table} holds {found_labels} in column {label_column!r}, at least 2 classes are needed")
    return class_of


def _rows(table: Path, image_column: str, label_column: str) -> Iterator[tuple[int, str, str]]:
    """Line number (as an editor counts), file name and label of each row that is not blank."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            delimiter = max(DELIMITERS, key=lines.readline().count)
            lines.seek(0)
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            header = [column.strip() for column in next(reader, [])]
            image_at = _place(table, header, "image_column", image_column)
            label_at = _place(table, header, "label_column", label_column)
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                row += [""] * (len(header) - len(row))
                if not row[image_at].strip() or not row[label_at].strip():
                    empty = image_column if not row[image_at].strip() else label_column
                    raise DataError(f"line {reader.line_num} of {table} has no {empty}: fill it in or remove the line")
                yield reader.line_num, row[image_at].strip(), row[label_at].strip()
    except OSError as error:
        raise DataError(f"data.csv {table} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"data.csv {table} is no CSV in UTF-8 ({error}): save it as such") from None


def _place(table: Path, header: list[str], key: str, column: str) -> int:
    if header.count(column) == 1:
        return header.index(column)
    if column in header:
        raise DataError(f"{table} has {header.count(column)} columns called {column!r}: rename all but one")
    near = difflib.get_close_matches(column, header, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    found = ", ".join(map(repr, header)) or "an empty header"
    raise DataError(f"{table} has no column {column!r}, only {found}: name one with data.{key}={hint}")
