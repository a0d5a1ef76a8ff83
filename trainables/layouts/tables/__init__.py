"""Layouts of images in tables: CSV, JSON lines, Parquet and Arrow.

A text becomes a `Table`; its columns, labels, splits and file names are found one after the other, each in a file.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.layouts.tables.table import read_table
    from trainables.layouts.tables.table_text import Table

__all__ = ["Table", "read_table"]

__getattr__ = lazy_names(__name__, {"table": ("read_table",), "table_text": ("Table",)})
