"""What a round of boosting leaves to the one after it: a part of its checkpoint, proved by its manifest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainables.errors import DamagedObject


@dataclass(frozen=True, eq=False)
class BoostTable:
    """Weights of the images that are trained on, valid by construction.

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
    columns = pa.table(
        {"row": pa.array(table.rows), "weight": pa.array(table.weights)}, metadata={"data_id": table.data_id}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, columns.schema) as writer:
        writer.write_table(columns)
    return bytes(sink.getvalue())


def boost_from_arrow(data: bytes) -> BoostTable:
    """The inverse of `boost_to_arrow`. Raises `DamagedObject` where `data` is something else."""
    try:
        found = pa.ipc.open_file(pa.BufferReader(data)).read_all().combine_chunks()
        found.validate(full=True)
        told = {key.decode(): value.decode() for key, value in (found.schema.metadata or {}).items()}
        return BoostTable(told["data_id"], found["row"].to_numpy(), found["weight"].to_numpy())
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise DamagedObject(f"not a table of boosting: {error}") from None
