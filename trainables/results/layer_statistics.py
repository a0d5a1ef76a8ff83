"""Statistics of an epoch as values, and statistics of its layers as a table. Needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pyarrow as pa

from trainables.errors import DamagedObject
from trainables.tables.arrow_file import reading_table, write_table


@dataclass(frozen=True)
class LayerStatistics:
    """Statistics of one layer: of the inputs of a non-linearity, or of the updates of a layer with weights."""

    layer: str
    """Name of the layer in the net; `…#2` stands for the second pass through it."""
    kind: str
    """Class of the layer: `ReLU`, `Conv2d`."""
    mean: float | None = None
    std: float | None = None
    dead_share: float | None = None
    """Share of the layer's units (channels, or neurons) that no image of the sample activates."""
    low: float | None = None
    high: float | None = None
    """`low` and `high` are the edges of the histogram."""
    histogram: tuple[int, ...] = ()
    """Counts of the values before the non-linearity, in bins of equal width."""
    update_ratio: float | None = None
    """Norm of a step over norm of the weights, the median over the monitored steps."""


@dataclass(frozen=True)
class EpochStatistics:
    """Statistics of one epoch. Numbers are rounded to six digits; None stands for a number that is not finite."""

    fit_loss: float | None
    """Mean cross-entropy of a sample of the training images, in nats, in evaluation mode as on validation."""
    fit_accuracy: float | None
    """Accuracy on the same sample."""
    rate: float | None
    """Learning rate of the last step."""
    grad_norm: float | None
    """Norm of the gradient over all parameters, before clipping; the median over the monitored steps."""
    update_ratio: float | None
    """Norm of a step over norm of the weights; the median over layers, of the median over monitored steps."""
    dead_share: float | None
    """Share of units that no image activates, in the layer with the largest share."""
    surge: float | None
    """Highest mean loss of eight successive steps over the median of such means; 1 where an epoch has fewer than 16 steps."""
    layers: tuple[LayerStatistics, ...] = field(default=(), compare=False)

    def scalars(self) -> dict[str, float | None]:
        """All fields but the layers."""
        values = asdict(self)
        del values["layers"]
        return values


_SCHEMA = pa.schema(
    [
        ("layer", pa.string()),
        ("kind", pa.string()),
        ("mean", pa.float64()),
        ("std", pa.float64()),
        ("dead_share", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("histogram", pa.list_(pa.int64())),
        ("update_ratio", pa.float64()),
    ]
)


def layers_to_arrow(layers: tuple[LayerStatistics, ...]) -> bytes:
    """The bytes of an Arrow IPC file: one row a layer, one column a field of `LayerStatistics`."""
    return write_table(pa.Table.from_pylist([asdict(layer) for layer in layers], schema=_SCHEMA))


def layers_from_arrow(data: bytes) -> tuple[LayerStatistics, ...]:
    """The inverse of `layers_to_arrow`. Raises `DamagedObject` where `data` is something else."""
    with reading_table(data, "a table of layer statistics", DamagedObject) as (table, _):
        rows: list[dict[str, Any]] = table.to_pylist()
        names = {one.name for one in fields(LayerStatistics)}
        return tuple(
            LayerStatistics(
                **{key: value for key, value in row.items() if key in names} | {"histogram": tuple(row["histogram"])}
            )
            for row in rows
        )
