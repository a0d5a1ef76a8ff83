"""A table comes back from its file with its metadata, and what cannot be read is refused by the reader's own error."""

from __future__ import annotations

import pyarrow as pa
import pytest

from trainables.errors import DamagedObject, MismatchedPredictions
from trainables.tables.arrow_file import reading_table, write_table

TABLE = pa.table({"row": pa.array([3, 5], pa.int32())}, metadata={"data_id": "d1"})


def test_columns_and_metadata_come_back() -> None:
    with reading_table(write_table(TABLE), "a table of rows", DamagedObject) as (table, metadata):
        assert table.to_pylist() == [{"row": 3}, {"row": 5}]
        assert metadata == {"data_id": "d1"}


def test_a_table_without_metadata_has_none() -> None:
    with reading_table(write_table(TABLE.replace_schema_metadata(None)), "a table", DamagedObject) as (_, metadata):
        assert metadata == {}


@pytest.mark.parametrize("data", [b"", b"something", write_table(TABLE)[:-20]])
def test_what_is_no_arrow_file_is_refused(data: bytes) -> None:
    with (
        pytest.raises(MismatchedPredictions, match=r"^not a table of rows: "),
        reading_table(data, "a table of rows", MismatchedPredictions),
    ):
        pass


@pytest.mark.parametrize("missing", ["column", "metadata"])
def test_a_missing_column_or_metadata_key_is_refused_alike(missing: str) -> None:
    with (
        pytest.raises(DamagedObject, match=r"^not a table of rows: .*share"),
        reading_table(write_table(TABLE), "a table of rows", DamagedObject) as (table, metadata),
    ):
        table["share"] if missing == "column" else metadata["share"]


def test_an_error_that_says_more_passes_as_it_is() -> None:
    with (
        pytest.raises(MismatchedPredictions, match=r"^rows are of another split$"),
        reading_table(write_table(TABLE), "a table of rows", DamagedObject),
    ):
        raise MismatchedPredictions("rows are of another split")
