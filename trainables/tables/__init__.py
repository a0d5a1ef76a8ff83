"""Arrow and Parquet tables as files: written in one form, and read safely, even if they are damaged or forged."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.tables.arrow_file import reading_table, write_table
    from trainables.tables.arrow_limits import read_plain
    from trainables.tables.parquet_limits import read_columns

__all__ = ["read_columns", "read_plain", "reading_table", "write_table"]

__getattr__ = lazy_names(
    __name__,
    {
        "arrow_file": (
            "reading_table",
            "write_table",
        ),
        "arrow_limits": ("read_plain",),
        "parquet_limits": ("read_columns",),
    },
)
