"""Tables with names or contents of images: CSV, Parquet and arrays, from their bytes."""

from __future__ import annotations

import csv
import io
import math
import zipfile
import zlib
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from trainables.datasets.csv_table import DELIMITERS
from trainables.errors import DataError
from trainables.tables.unpacked_size import check_unpacked

TABLES = (".csv", ".parquet", ".npz")
COLUMN = "image"
"""Column of a table: file names relative to its folder; in Parquet also the bytes of image files."""

NAMED = 8
"""Columns that a message about a table names; a binary file that is taken for a table may have a million."""

_NO_ARRAYS = (
    ValueError,
    OSError,
    KeyError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    zlib.error,
    zipfile.BadZipFile,
)
"""Exceptions of zipfile and numpy for damaged archives, encrypted archives, and unknown compression methods."""


def read_csv(source: str, data: bytes) -> list[str]:
    """File names in the column `image` of a CSV file, "" where a row has none. Raises `DataError`."""
    try:
        lines = data.decode("utf-8-sig")
        header = next(iter(lines.splitlines()), "")
        delimiter = max(DELIMITERS, key=header.count)
        reader = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter, strict=True)
        columns = [column.strip() for column in next(reader, [])]
        _check_column(source, columns)
        place = columns.index(COLUMN)
        return [row[place].strip() if len(row) > place else "" for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{source} is no CSV in UTF-8 ({error}): save it as such") from None


def read_parquet(source: str, data: bytes) -> list[Any]:
    """Cells of the column `image` of a Parquet file: names, bytes of image files, both (`bytes`, `path`), or None. Raises `DataError`."""
    import pyarrow as pa

    from trainables.tables.parquet_limits import ColumnsMissing, read_columns, to_objects

    try:
        cells = to_objects(read_columns(data, [COLUMN])[COLUMN])
    except ColumnsMissing as error:
        raise _no_column(source, error.names) from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source} cannot be read as Parquet ({error}): write it again") from None
    if other := next((cell for cell in cells if not isinstance(cell, str | bytes | dict | None)), None):
        raise DataError(
            f"column {COLUMN!r} of {source} holds {other!r}: it must hold file names or bytes of image files"
        )
    return cells


def _check_column(source: str, columns: Sequence[str]) -> None:
    if list(columns).count(COLUMN) != 1:
        raise _no_column(source, columns)


def _no_column(source: str, columns: Sequence[str]) -> DataError:
    named = ", ".join(repr(name[:60]) for name in columns[:NAMED]) + (", …" if len(columns) > NAMED else "")
    has = f"has columns {named}" if columns else "has no header"
    return DataError(f"{source} {has}: it needs one called {COLUMN!r} with the images' file names")


def read_arrays(source: str, data: bytes) -> npt.NDArray[np.uint8]:
    """Images of an `.npz` file, uint8 (images, height, width) or (images, height, width, 1, 3 or 4). Raises `DataError`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_unpacked(len(data), sum(part.file_size for part in archive.infolist()))
            names = [part.removesuffix(".npy") for part in archive.namelist() if part.endswith(".npy")]
            name = next(
                (known for known in ("images", COLUMN, "pixels") if known in names), names[0] if len(names) == 1 else ""
            )
            if not name:
                raise DataError(
                    f"{source} holds arrays {', '.join(names) or 'none'}: call the one with images 'images'"
                )
            part = archive.getinfo(f"{name}.npy")
            with archive.open(part) as file:
                _check_header(source, name, file, part.file_size)
            with archive.open(part) as file:
                found: npt.NDArray[np.uint8] = np.lib.format.read_array(file, allow_pickle=False)
            return found
    except DataError:
        raise
    except _NO_ARRAYS as error:
        raise DataError(f"{source} cannot be read as arrays ({error}): save it again with numpy.savez") from None


def _check_header(source: str, name: str, file: IO[bytes], size_bytes: int) -> None:
    """Raise `DataError` unless an array contains images, before memory is allocated for its declared shape."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    if kind != np.uint8 or len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3, 4)):
        raise DataError(
            f"{name} of {source} is {kind}{shape}: it must be uint8 (images, height, width) or "
            "(images, height, width, channels), with 1, 3 or 4 channels and values from 0 to 255"
        )
    if math.prod(shape) != size_bytes - file.tell():
        raise ValueError(f"{name} declares {math.prod(shape):,} pixels and holds {size_bytes - file.tell():,}")
