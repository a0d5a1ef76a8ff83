"""The image weights that a round of boosting passes to the next one: a part of its checkpoint, verified by its manifest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainables.errors import DamagedObject
from trainables.tables.arrow_file import reading_table, write_table


@dataclass(frozen=True, eq=False)
class BoostTable:
    """Weights of the training images, valid by construction.

    rows       int32 (images,), positions in the data set's table
    weights    float64 (images,), above zero, adding up to one
    """

    data_id: str
    rows: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.weights.shape != self.rows.shape or self.weights.dtype != np.float64:
            raise DamagedObject(
                f"weights of images are {self.weights.dtype}{self.weights.shape}, not float64 ({len(self.rows)},)"
            )
        if not (self.weights >= 0).all() or not abs(self.weights.sum() - 1) < 1e-6:  # NaN is not, either
            raise DamagedObject(
                "weights of images are no shares of one: one is negative or no number, or the sum is off"
            )


def boost_to_arrow(table: BoostTable) -> bytes:
    """The bytes of an Arrow IPC file: `row` int32, `weight` float64, the data's name as metadata."""
    columns = {"row": pa.array(table.rows), "weight": pa.array(table.weights)}
    return write_table(pa.table(columns, metadata={"data_id": table.data_id}))


def boost_from_arrow(data: bytes) -> BoostTable:
    """The inverse of `boost_to_arrow`. Raises `DamagedObject` where `data` is something else."""
    with reading_table(data, "a table of boosting", DamagedObject) as (found, metadata):
        return BoostTable(metadata["data_id"], found["row"].to_numpy(), found["weight"].to_numpy())
