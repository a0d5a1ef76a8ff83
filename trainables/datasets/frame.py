"""Images of a data frame: one row an image, with its file's name and its label, or with the encoded image itself."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from trainables.config.data import DataConfig
from trainables.data.images import ImageSet
from trainables.datasets.load import load_images
from trainables.errors import DataError

FILE = "frame.parquet"
"""What messages call the frame."""


def is_frame(value: Any) -> bool:
    """Whether `value` is a data frame of pandas or Polars, or a table of Arrow; imports none of them."""
    return isinstance(value, pa.Table) or (hasattr(value, "columns") and hasattr(value, "dtypes"))


def images_from_frame(frame: Any, **keys: Any) -> ImageSet:
    """An `ImageSet` of the rows of `frame`, a data frame of pandas or Polars or an Arrow table, read as a Parquet file is.

    `keys` are those of `data`, as `label_column="species"` and `size=32`. File names are relative to `root`, by default the
    working directory; where all are absolute, to the folder that they have in common. Raises `DataError`.
    """
    table = _to_arrow(frame)
    if wrong := sorted({"name", "path", "csv", "endpoint_url"} & keys.keys()):
        raise DataError(f"{wrong[0]} means nothing where a data frame names the images: remove it")
    root = keys.get("root")
    if root is None:
        table, root = _relate(table, str(keys.get("image_column", "")))
    # Read through a file, so that a frame is understood as the same table on a disk is: columns, splits, labels, messages.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        pq.write_table(table, path)
        try:
            config = DataConfig.model_validate({**keys, "path": str(path), "root": root})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise DataError(f"data{'.' * bool(where)}{where} of a data frame: {first['msg']}") from None
        return load_images(config)


def _to_arrow(frame: Any) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if hasattr(frame, "to_arrow"):  # Polars
        return frame.to_arrow()
    columns: Mapping[str, list[Any]] = {str(name): _plain(frame[name]) for name in frame.columns}
    try:
        return pa.table(dict(columns))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(
            f"data is a {type(frame).__name__} that is no table of names and labels ({error}): give file names in a column, or "
            "hand images in memory over as (images, labels)"
        ) from None


def _plain(column: Any) -> list[Any]:
    """The cells of a column as Python objects, paths as texts; what pandas takes for missing is None."""
    missing = column.isna().tolist()
    cells = column.tolist()
    return [
        None if gone else str(cell) if isinstance(cell, PurePath) else cell
        for cell, gone in zip(cells, missing, strict=True)
    ]


def _relate(table: pa.Table, image_column: str) -> tuple[pa.Table, str]:
    """The table with names below the folder that all absolute names of a column have in common, and that folder; as it is, and the
    working directory, where no column has such names."""
    for name in [image_column] if image_column in table.column_names else table.column_names:
        at = table.column_names.index(name)
        kind = table.schema.field(at).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            continue
        cells = [Path(cell or "") for cell in table.column(at).to_pylist()]
        if cells and all(cell.is_absolute() for cell in cells):
            root = os.path.commonpath([cell.parent for cell in cells])
            names = pa.array([str(cell.relative_to(root)) for cell in cells], pa.string())
            return table.set_column(at, name, names), root
    return table, "."
