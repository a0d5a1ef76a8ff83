"""Tables that name images or hold them: CSV, Parquet and arrays, from their bytes."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.csv_table import DELIMITERS
from trainables.errors import DataError

TABLES = (".csv", ".parquet", ".npz")
COLUMN = "image"
"""Of a table: file names, relative to its folder; in Parquet also the bytes of image files."""


def read_csv(told: str, data: bytes) -> list[str]:
    """File names in the column `image` of a CSV file, "" where a row has none. Raises `DataError`."""
    try:
        lines = data.decode("utf-8-sig")
        header = next(iter(lines.splitlines()), "")
        delimiter = max(DELIMITERS, key=header.count)
        reader = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter, strict=True)
        columns = [column.strip() for column in next(reader, [])]
        _check_column(told, columns)
        place = columns.index(COLUMN)
        return [row[place].strip() if len(row) > place else "" for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{told} is no CSV in UTF-8 ({error}): save it as such") from None


def read_parquet(told: str, data: bytes) -> list[Any]:
    """Cells of the column `image` of a Parquet file: names, bytes of image files, both (`bytes`, `path`), or None. Raises `DataError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        _check_column(told, file.schema_arrow.names)
        cells: list[Any] = file.read(columns=[COLUMN])[COLUMN].to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{told} cannot be read as Parquet ({error}): write it again") from None
    if other := next((cell for cell in cells if not isinstance(cell, str | bytes | dict | None)), None):
        raise DataError(f"column {COLUMN!r} of {told} holds {other!r}: it must hold file names or bytes of image files")
    return cells


def _check_column(told: str, columns: Sequence[str]) -> None:
    if list(columns).count(COLUMN) != 1:
        has = f"has columns {', '.join(map(repr, columns))}" if columns else "has no header"
        raise DataError(f"{told} {has}: it needs one called {COLUMN!r} with the images' file names")


def read_arrays(told: str, data: bytes) -> npt.NDArray[np.uint8]:
    """Images of an `.npz` file, uint8 (images, height, width) or (images, height, width, 1, 3 or 4). Raises `DataError`."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            names = arrays.files
            name = next(
                (known for known in ("images", COLUMN, "pixels") if known in names), names[0] if len(names) == 1 else ""
            )
            if not name:
                raise DataError(f"{told} holds arrays {', '.join(names) or 'none'}: call the one with images 'images'")
            pixels = arrays[name]
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{told} cannot be read as arrays ({error}): save it again with numpy.savez") from None
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] not in (1, 3, 4)):
        raise DataError(
            f"{name} of {told} is {pixels.dtype}{pixels.shape}: it must be uint8 (images, height, width) or "
            "(images, height, width, channels), with 1, 3 or 4 channels and values from 0 to 255"
        )
    found: npt.NDArray[np.uint8] = pixels
    return found
