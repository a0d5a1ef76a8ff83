"""Predictions are valid by construction, and their file gives them back or is refused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.errors import CaucusError, MismatchedPredictions
from trainables.results.predictions import Predictions, from_arrow, to_arrow

ROWS = np.array([4, 2, 9], np.int32)
PROBABILITIES = np.array([[0.5, 0.25, 0.25], [1, 0, 0], [0, 0.125, 0.875]], np.float32)


def make(probabilities: npt.NDArray[np.float32] = PROBABILITIES, split: str = "validation") -> Predictions:
    return Predictions("d1", split, "ab" * 32, ROWS[: len(probabilities)], probabilities)


def test_a_file_gives_back_what_was_written() -> None:
    read = from_arrow(to_arrow(make()))
    assert (read.data_id, read.split, read.labels_sha256) == ("d1", "validation", "ab" * 32)
    assert read.rows.tolist() == [4, 2, 9]
    assert read.rows.dtype == np.int32
    assert read.probabilities.dtype == np.float32
    np.testing.assert_array_equal(read.probabilities, PROBABILITIES)


def test_a_split_without_images_keeps_its_classes() -> None:
    read = from_arrow(to_arrow(make(np.empty((0, 3), np.float32))))
    assert read.probabilities.shape == (0, 3)
    assert read.rows.shape == (0,)


def test_a_view_is_written_as_what_it_shows() -> None:
    assert from_arrow(to_arrow(make(PROBABILITIES[:, ::-1]))).probabilities[0].tolist() == [0.25, 0.25, 0.5]


def test_the_file_is_plain_arrow_that_others_can_read() -> None:
    table = pa.ipc.open_file(pa.BufferReader(to_arrow(make()))).read_all()
    assert table.schema.field("row").type == pa.int32()
    assert table.schema.field("probabilities").type == pa.list_(pa.float32(), 3)
    assert table.to_pylist()[2] == {"row": 9, "probabilities": [0, 0.125, 0.875]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, 0.25, np.nan], "1 of 1 rows hold a NaN or an infinity"),
        ([np.inf, 0, 0], "1 of 1 rows hold a NaN or an infinity"),
        ([1.5, -0.5, 0], "no probability distribution"),
        ([0.5, 0.25, 0.2], "no probability distribution"),
        ([0.5, 0.5, 0.002], "no probability distribution"),
        ([0, 0, 0], "no probability distribution"),
    ],
)
def test_what_is_no_distribution_is_refused(row: list[float], message: str) -> None:
    with pytest.raises(MismatchedPredictions, match=message):
        make(np.array([row], np.float32))


def test_rounding_of_float32_is_allowed() -> None:
    make(np.array([[0.5, 0.5, 0.0005]], np.float32))


@pytest.mark.parametrize(
    "probabilities",
    [PROBABILITIES.astype(np.float64), PROBABILITIES[0], PROBABILITIES[None], PROBABILITIES[:2]],
    ids=["float64", "one row", "three axes", "other count"],
)
def test_other_shapes_and_types_are_refused(probabilities: npt.NDArray[np.float32]) -> None:
    with pytest.raises(MismatchedPredictions, match="not float32 \\(3 images, classes\\)"):
        Predictions("d1", "test", "ab" * 32, ROWS, probabilities)


def test_a_split_that_does_not_exist_is_refused() -> None:
    with pytest.raises(MismatchedPredictions, match="split is 'dev', not one of train, validation, test"):
        make(split="dev")


def written(columns: dict[str, pa.Array], metadata: dict[str, str] | None = None) -> bytes:
    written_metadata = {"data_id": "d1", "split": "test", "labels_sha256": "ab" * 32} if metadata is None else metadata
    table = pa.table(columns, metadata=written_metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


ROW = pa.array([0], pa.int32())
LISTS = pa.array([[0.5, 0.5]], pa.list_(pa.float32(), 2))
FOREIGN = {
    "nothing": b"",
    "no arrow": b"weights of something",
    "no metadata": written({"row": ROW, "probabilities": LISTS}, {}),
    "no rows": written({"probabilities": LISTS}),
    "no probabilities": written({"row": ROW}),
    "a flat column": written({"row": ROW, "probabilities": pa.array([0.5], pa.float32())}),
    "lists of any length": written({"row": ROW, "probabilities": pa.array([[0.5, 0.5]], pa.list_(pa.float32()))}),
    "float64": written({"row": ROW, "probabilities": pa.array([[0.5, 0.5]], pa.list_(pa.float64(), 2))}),
    "words": written({"row": ROW, "probabilities": pa.array([["a", "b"]], pa.list_(pa.string(), 2))}),
    "a missing list": written({"row": ROW, "probabilities": pa.array([None], pa.list_(pa.float32(), 2))}),
    "a missing number": written({"row": ROW, "probabilities": pa.array([[0.5, None]], pa.list_(pa.float32(), 2))}),
    "a file cut short": to_arrow(make())[:-20],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_predictions_file_is_refused(name: str) -> None:
    with pytest.raises(MismatchedPredictions):
        from_arrow(FOREIGN[name])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 1200))
def test_damage_anywhere_is_refused_or_harmless(noise: bytes, place: int) -> None:
    whole = to_arrow(make())
    damaged = whole[:place] + noise + whole[place + len(noise) :]
    try:
        read = from_arrow(damaged)
    except CaucusError:
        return
    assert read.probabilities.shape == (len(read.rows), read.probabilities.shape[1])
