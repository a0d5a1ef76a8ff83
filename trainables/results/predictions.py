"""Predictions of a checkpoint on a split: class probabilities, with hashes that identify the images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainables.errors import MismatchedPredictions
from trainables.store import layout
from trainables.tables.arrow_column import to_array
from trainables.tables.arrow_file import reading_table, write_table

SUM_TOLERANCE = 1e-3
"""Tolerance for the sum of a row of probabilities: bfloat16 logits through a float32 softmax are off by less than 1e-5."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class probabilities of one split, valid by construction.

    rows             int32 (images,), the images' positions in the data set's table
    probabilities    float32 (images, classes), finite, not negative, each row adds up to one
    labels_sha256    hash of the true labels of these rows, which shows that the members of an ensemble are aligned
    """

    data_id: str
    split: str
    labels_sha256: str
    rows: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        found = self.probabilities
        if self.split not in layout.SPLITS:
            raise MismatchedPredictions(f"split is {self.split!r}, not one of {', '.join(layout.SPLITS)}")
        if found.ndim != 2 or found.dtype != np.float32 or len(found) != len(self.rows):
            raise MismatchedPredictions(
                f"probabilities are {found.dtype}{found.shape}, not float32 ({len(self.rows)} images, classes)"
            )
        if _is_surely_fine(found):
            return
        if not np.isfinite(found).all():
            raise MismatchedPredictions(
                f"{int((~np.isfinite(found)).any(1).sum())} of {len(found)} rows hold a NaN or an infinity"
            )
        if found.size and (found.min() < 0 or np.abs(found.sum(1, dtype=np.float64) - 1).max() > SUM_TOLERANCE):
            raise MismatchedPredictions(
                "a row is no probability distribution: a negative entry, or a sum other than one"
            )


def _is_surely_fine(found: npt.NDArray[np.float32]) -> bool:
    """Whether every row is certainly a distribution, in a tenth of the time of the exact check: a NaN or an infinity shows in
    the sum of its row, and sums in float32 are off by less than half of the tolerance."""
    if not found.size:
        return False
    sums = np.einsum("ij->i", found)  # not a matrix product, whose threads would compete with those that read files
    return bool(found.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE / 2)


def to_arrow(predictions: Predictions) -> bytes:
    """The bytes of an Arrow IPC file: `row` int32, `probabilities` fixed_size_list<float32>, the rest as metadata."""
    classes = predictions.probabilities.shape[1]
    flat = pa.array(np.ascontiguousarray(predictions.probabilities).reshape(-1))
    table = pa.table(
        {"row": pa.array(predictions.rows), "probabilities": pa.FixedSizeListArray.from_arrays(flat, classes)},
        metadata={
            "data_id": predictions.data_id,
            "split": predictions.split,
            "labels_sha256": predictions.labels_sha256,
        },
    )
    return write_table(table)


def from_arrow(data: bytes) -> Predictions:
    """The inverse of `to_arrow`, zero-copy. Raises `MismatchedPredictions` where `data` is something else."""
    with reading_table(data, "a predictions file", MismatchedPredictions) as (table, metadata):
        column = table["probabilities"]
        lists = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        probabilities = to_array(lists.flatten()).reshape(len(lists), column.type.list_size)
        rows = to_array(table["row"])
        return Predictions(metadata["data_id"], metadata["split"], metadata["labels_sha256"], rows, probabilities)
