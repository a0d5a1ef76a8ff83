"""The columns of a checkpoint's predictions that choosing by log-loss or accuracy needs: a class's share of the bytes."""

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
    """What one checkpoint says of the true class of each image of a split, valid by construction.

    rows_sha256      of the images' positions, see `rows_sha256`
    labels_sha256    of their true labels
    classes          how many the predictions know
    truth            float32 (images,), probability of the true class
    predicted        unsigned integers (images,), the likeliest class; of equals the lower number
    """

    data_id: str
    split: str
    rows_sha256: str
    labels_sha256: str
    classes: int
    truth: npt.NDArray[np.float32]
    predicted: npt.NDArray[np.unsignedinteger]

    def __post_init__(self) -> None:
        truth, predicted = self.truth, self.predicted
        if self.split not in layout.SPLITS:
            raise MismatchedPredictions(f"split is {self.split!r}, not one of {', '.join(layout.SPLITS)}")
        if (
            truth.ndim != 1
            or truth.dtype != np.float32
            or predicted.shape != truth.shape
            or predicted.dtype.kind != "u"
        ):
            raise MismatchedPredictions(
                f"probabilities of the true class are {truth.dtype}{truth.shape} and predicted classes "
                f"{predicted.dtype}{predicted.shape}, not float32 and unsigned (images,)"
            )
        if len(truth) and not (truth.min() >= 0 and truth.max() <= 1 + SUM_TOLERANCE):  # of a NaN both are NaN
            raise MismatchedPredictions("a probability of the true class is NaN, negative or above one")
        if len(truth) and predicted.max() >= self.classes:
            raise MismatchedPredictions(f"class {predicted.max()} is predicted, but there are only {self.classes}")


def rows_sha256(rows: npt.NDArray[np.integer]) -> str:
    """Hexadecimal SHA-256 of images' positions in their order."""
    return hashlib.sha256(np.ascontiguousarray(rows, "<i4").tobytes()).hexdigest()


def take_true_class(predictions: Predictions, labels: npt.NDArray[np.int64]) -> TrueClass:
    """The columns of `predictions` at the true `labels` of its images (int64 (images,))."""
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


def true_class_to_arrow(truth: TrueClass) -> bytes:
    """The bytes of an Arrow IPC file: `truth` float32 and `predicted` uint8 (wider for many classes), the rest as metadata."""
    table = pa.table(
        {"truth": pa.array(truth.truth), "predicted": pa.array(truth.predicted)},
        metadata={
            "data_id": truth.data_id,
            "split": truth.split,
            "rows_sha256": truth.rows_sha256,
            "labels_sha256": truth.labels_sha256,
            "classes": str(truth.classes),
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
