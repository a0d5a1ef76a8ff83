"""The columns of a checkpoint's predictions that selection by log-loss or accuracy needs: a class's share of the bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainables.errors import MismatchedPredictions
from trainables.results.predictions import SUM_TOLERANCE, Predictions
from trainables.store import layout
from trainables.tables.arrow_column import to_array
from trainables.tables.arrow_file import reading_table, write_table


@dataclass(frozen=True, eq=False)
class TrueClass:
    """One checkpoint's predictions for the true class of each image of a split, valid by construction.

    rows_sha256      hash of the images' positions, see `rows_sha256`
    labels_sha256    hash of their true labels
    classes          number of classes of the predictions
    true_class       float32 (images,), probability of the true class
    predicted        unsigned integers (images,), the most probable class; of equals the lower number
    """

    data_id: str
    split: str
    rows_sha256: str
    labels_sha256: str
    classes: int
    true_class: npt.NDArray[np.float32]
    predicted: npt.NDArray[np.unsignedinteger]

    def __post_init__(self) -> None:
        true_class, predicted = self.true_class, self.predicted
        if self.split not in layout.SPLITS:
            raise MismatchedPredictions(f"split is {self.split!r}, not one of {', '.join(layout.SPLITS)}")
        if (
            true_class.ndim != 1
            or true_class.dtype != np.float32
            or predicted.shape != true_class.shape
            or predicted.dtype.kind != "u"
        ):
            raise MismatchedPredictions(
                f"probabilities of the true class are {true_class.dtype}{true_class.shape} and predicted classes "
                f"{predicted.dtype}{predicted.shape}, not float32 and unsigned (images,)"
            )
        if len(true_class) and not (
            true_class.min() >= 0 and true_class.max() <= 1 + SUM_TOLERANCE
        ):  # of a NaN both are NaN
            raise MismatchedPredictions("a probability of the true class is NaN, negative or above one")
        if len(true_class) and predicted.max() >= self.classes:
            raise MismatchedPredictions(f"class {predicted.max()} is predicted, but there are only {self.classes}")


def rows_sha256(rows: npt.NDArray[np.integer]) -> str:
    """Hexadecimal SHA-256 of images' positions in their order."""
    return hashlib.sha256(np.ascontiguousarray(rows, "<i4").tobytes()).hexdigest()


def take_true_class(predictions: Predictions, labels: npt.NDArray[np.int64]) -> TrueClass:
    """The columns of `predictions` for the true `labels` of its images, int64 (images,)."""
    found = predictions.probabilities
    return TrueClass(
        predictions.data_id,
        predictions.split,
        rows_sha256(predictions.rows),
        predictions.labels_sha256,
        found.shape[1],
        found[np.arange(len(found)), labels],
        found.argmax(1).astype(np.min_scalar_type(max(0, found.shape[1] - 1))),
    )


def true_class_to_arrow(columns: TrueClass) -> bytes:
    """The bytes of an Arrow IPC file: `truth` float32 and `predicted` uint8 (wider for many classes), the rest as metadata."""
    table = pa.table(
        {"truth": pa.array(columns.true_class), "predicted": pa.array(columns.predicted)},
        metadata={
            "data_id": columns.data_id,
            "split": columns.split,
            "rows_sha256": columns.rows_sha256,
            "labels_sha256": columns.labels_sha256,
            "classes": str(columns.classes),
        },
    )
    return write_table(table)


def true_class_from_arrow(data: bytes) -> TrueClass:
    """The inverse of `true_class_to_arrow`. Raises `MismatchedPredictions` where `data` is something else."""
    with reading_table(data, "a file of true-class probabilities", MismatchedPredictions) as (table, metadata):
        return TrueClass(
            metadata["data_id"],
            metadata["split"],
            metadata["rows_sha256"],
            metadata["labels_sha256"],
            int(metadata["classes"]),
            to_array(table["truth"]),
            to_array(table["predicted"]),
        )
