"""The columns that choosing needs are those of the predictions, or are refused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.errors import CaucusError, MismatchedPredictions
from trainables.results.predictions import Predictions, to_arrow
from trainables.results.true_class import (
    TrueClass,
    rows_sha256,
    take_true_class,
    true_class_from_arrow,
    true_class_to_arrow,
)

ROWS = np.array([4, 2, 9], np.int32)
PROBABILITIES = np.array([[0.5, 0.25, 0.25], [0.375, 0.25, 0.375], [0, 0.125, 0.875]], np.float32)
LABELS = np.array([1, 2, 0])


def make() -> TrueClass:
    return take_true_class(Predictions("d1", "validation", "ab" * 32, ROWS, PROBABILITIES), LABELS)


def test_it_is_the_column_of_the_true_class_and_the_first_of_the_likeliest() -> None:
    found = make()
    assert found.true_class.tolist() == [0.25, 0.375, 0]
    assert found.predicted.tolist() == [0, 0, 2]
    assert (found.data_id, found.split, found.labels_sha256, found.classes) == ("d1", "validation", "ab" * 32, 3)
    assert found.rows_sha256 == rows_sha256(ROWS.astype(np.int64)) != rows_sha256(ROWS[::-1])


def test_a_file_gives_back_what_was_written() -> None:
    read = true_class_from_arrow(true_class_to_arrow(make()))
    assert read.true_class.tolist() == [0.25, 0.375, 0]
    assert read.true_class.dtype == np.float32
    assert read.predicted.tolist() == [0, 0, 2]
    assert read.predicted.dtype == np.uint8
    names = ("data_id", "split", "rows_sha256", "labels_sha256", "classes")
    assert [getattr(read, name) for name in names] == [getattr(make(), name) for name in names]


@pytest.mark.parametrize(("classes", "dtype"), [(2, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_the_predicted_class_is_as_narrow_as_the_classes_allow(classes: int, dtype: type) -> None:
    one_hot = np.eye(classes, dtype=np.float32)[-1:]
    found = take_true_class(Predictions("d1", "test", "", ROWS[:1], one_hot), np.array([0]))
    assert true_class_from_arrow(true_class_to_arrow(found)).predicted.dtype == dtype
    assert found.predicted.tolist() == [classes - 1]


def test_of_ten_classes_it_is_a_ninth_of_the_bytes() -> None:
    rng = np.random.default_rng(0)
    given = rng.dirichlet(np.ones(10), 5_000).astype(np.float32)
    predictions = Predictions("d1", "test", "ab" * 32, np.arange(5_000, dtype=np.int32), given)
    part = true_class_to_arrow(take_true_class(predictions, rng.integers(0, 10, 5_000)))
    assert len(part) < 0.12 * len(to_arrow(predictions))


@pytest.mark.parametrize(
    ("true_class", "predicted", "message"),
    [
        ([np.nan], [0], "NaN, negative or above one"),
        ([0.5, np.nan], [0, 0], "NaN, negative or above one"),
        ([-0.1], [0], "NaN, negative or above one"),
        ([1.1], [0], "NaN, negative or above one"),
        ([np.inf], [0], "NaN, negative or above one"),
        ([0.5], [3], "class 3 is predicted, but there are only 3"),
        ([0.5], [0, 1], r"float32\(1,\) and predicted classes uint8\(2,\)"),
    ],
)
def test_what_cannot_be_is_refused(true_class: list[float], predicted: list[int], message: str) -> None:
    with pytest.raises(MismatchedPredictions, match=message):
        TrueClass("d1", "test", "", "", 3, np.array(true_class, np.float32), np.array(predicted, np.uint8))


@pytest.mark.parametrize(
    ("true_class", "predicted"),
    [
        (np.ones(1), np.zeros(1, np.uint8)),
        (np.ones(1, np.float32), np.zeros(1, np.int64)),
        (np.ones((1, 1), np.float32), np.zeros((1, 1), np.uint8)),
    ],
)
def test_other_types_and_shapes_are_refused(true_class: npt.NDArray, predicted: npt.NDArray) -> None:
    with pytest.raises(MismatchedPredictions, match="not float32 and unsigned"):
        TrueClass("d1", "test", "", "", 3, true_class, predicted)


def test_a_split_that_does_not_exist_is_refused() -> None:
    with pytest.raises(MismatchedPredictions, match="split is 'dev'"):
        TrueClass("d1", "dev", "", "", 3, np.ones(1, np.float32), np.zeros(1, np.uint8))


def written(columns: dict[str, pa.Array], **metadata: str) -> bytes:
    table = pa.table(columns, metadata=metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


COLUMNS = {"truth": pa.array([0.5], pa.float32()), "predicted": pa.array([1], pa.uint8())}
METADATA = {"data_id": "d1", "split": "test", "rows_sha256": "", "labels_sha256": "", "classes": "2"}


def test_the_file_is_plain_arrow_that_others_can_write() -> None:
    assert true_class_from_arrow(written(COLUMNS, **METADATA)).true_class.tolist() == [0.5]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"weights of something",
        to_arrow(Predictions("d1", "validation", "ab" * 32, ROWS, PROBABILITIES)),
        true_class_to_arrow(make())[:-20],
        written(COLUMNS),
        written(COLUMNS, **{**METADATA, "classes": "two"}),
        written({"truth": COLUMNS["truth"]}, **METADATA),
        written({**COLUMNS, "truth": pa.array([None], pa.float32())}, **METADATA),
        written({**COLUMNS, "predicted": pa.array(["cat"])}, **METADATA),
    ],
)
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(MismatchedPredictions):
        true_class_from_arrow(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 1200))
def test_damage_anywhere_is_refused_or_harmless(noise: bytes, place: int) -> None:
    whole = true_class_to_arrow(make())
    try:
        read = true_class_from_arrow(whole[:place] + noise + whole[place + len(noise) :])
    except CaucusError:
        return
    assert read.predicted.shape == read.true_class.shape
    assert ((read.true_class >= 0) & (read.true_class <= 1.001)).all()
