"""The mean of many checkpoints' predictions as a file, so that another vote need not read them all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainables.errors import MismatchedPredictions
from trainables.tables.arrow_column import to_array
from trainables.tables.arrow_file import reading_table, write_table


@dataclass(frozen=True, eq=False)
class MeanFile:
    """Mean class probabilities, float64 (images, classes), of the images with this hash of their positions."""

    rows_sha256: str
    probabilities: npt.NDArray[np.float64]


def mean_to_arrow(mean: MeanFile) -> bytes:
    """The bytes of an Arrow IPC file: `probabilities` fixed_size_list<float64>; the SHA-256 of its numbers as metadata."""
    values = np.ascontiguousarray(mean.probabilities, "<f8")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    integrity = {"rows_sha256": mean.rows_sha256, "sha256": _sha256(values)}
    return write_table(pa.table({"probabilities": lists}, metadata=integrity))


def mean_from_arrow(data: bytes) -> MeanFile:
    """The inverse of `mean_to_arrow`. Raises `MismatchedPredictions` if `data` is something else, or damaged."""
    with reading_table(data, "a file of mean probabilities", MismatchedPredictions) as (table, metadata):
        column = table["probabilities"]
        lists = column.chunk(0)
        found = to_array(lists.flatten()).reshape(len(lists), column.type.list_size)
        if found.dtype != np.float64 or _sha256(found) != metadata["sha256"]:
            raise MismatchedPredictions("not a file of mean probabilities: its numbers have another SHA-256")
        return MeanFile(metadata["rows_sha256"], found)


def _sha256(found: npt.NDArray[np.float64]) -> str:
    return hashlib.sha256(found.tobytes()).hexdigest()
