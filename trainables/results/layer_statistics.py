"""What was seen of a trial in one epoch, as values, and its layers as columns of a table. No torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pyarrow as pa

from trainables.errors import DamagedObject
from trainables.tables.arrow_file import reading_table, write_table


@dataclass(frozen=True)
class LayerStatistics:
    """What was seen of one layer: a non-linearity by what enters it, or a layer with weights by its updates."""

    layer: str
    """Its name in the net; `…#2` is the second time that an image passes through it."""
    kind: str
    """Its class: `ReLU`, `Conv2d`."""
    mean: float | None = None
    std: float | None = None
    dead_share: float | None = None
    """Of its units (channels, or neurons) those that none of the images looked at activates."""
    low: float | None = None
    high: float | None = None
    """Edges of the histogram."""
    histogram: tuple[int, ...] = ()
    """Values before the non-linearity, in bins of equal width."""
    update_ratio: float | None = None
    """Norm of a step over norm of the weights, the median over the watched steps."""


@dataclass(frozen=True)
class EpochStatistics:
    """What was seen of one epoch. Numbers are rounded to six digits; None stands for one that is not finite."""

    fit_loss: float | None
    """Mean cross-entropy of some training images, in nats, in evaluation mode as that of validation is."""
    fit_accuracy: float | None
    """Of the same images."""
    rate: float | None
    """Learning rate of the last step."""
    grad_norm: float | None
    """Norm of the gradient over all parameters, before it is clipped; the median of the watched steps."""
    update_ratio: float | None
    """Norm of a step over norm of the weights; the median over layers, of the median over watched steps."""
    dead_share: float | None
    """Share of units that no image activates, in the layer that has most of them."""
    surge: float | None
    """Highest mean loss of eight steps in a row over the median of such means; 1 where an epoch has fewer than 16."""
    layers: tuple[LayerStatistics, ...] = field(default=(), compare=False)

    def scalars(self) -> dict[str, float | None]:
        """All but the layers."""
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
    with reading_table(data, "a table of watched layers", DamagedObject) as (table, _):
        rows: list[dict[str, Any]] = table.to_pylist()
        names = {one.name for one in fields(LayerStatistics)}
        return tuple(
            LayerStatistics(
                **{key: value for key, value in row.items() if key in names} | {"histogram": tuple(row["histogram"])}
            )
            for row in rows
        )
