"""A table of pseudo-labelled images in the store: images that an ensemble has labelled, for the training of a second stage.

The table's name is the hash of its bytes. So a trial whose configuration contains the name depends on every pixel and label,
and the name verifies the table when it is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.errors import DamagedObject, DataError, ObjectMissing
from trainables.store import layout
from trainables.store.base import Store, sha256_of
from trainables.tables.parquet_limits import read_columns, to_objects

NAME_DIGITS = 16


@dataclass(frozen=True, eq=False)
class PseudoTable:
    """Images with labels from an ensemble, valid by construction.

    pixels       uint8 (images, height, width, channels)
    labels       int64 (images,), positions in the data set's class names
    confidence   float32 (images,), the vote's probability of that class
    agreeing     int64 (images,), number of members that predict that class
    image_ids    a unique name for each image
    """

    data_id: str
    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    agreeing: npt.NDArray[np.int64]
    image_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.pixels)
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8 or not count:
            raise DataError(
                f"pixels of pseudo-labelled images are {self.pixels.dtype}{self.pixels.shape}, "
                "not uint8 (images, height, width, channels) of at least one image"
            )
        lengths = {len(column) for column in (self.labels, self.confidence, self.agreeing, self.image_ids)}
        if lengths != {count}:
            raise DataError(f"{count} pseudo-labelled images, but columns of {sorted(lengths)} entries")
        if len(set(self.image_ids)) != count:
            raise DataError("two pseudo-labelled images have the same id")
        if self.labels.min() < 0:
            raise DataError(f"a pseudo-label is {self.labels.min()}, not the number of a class")


def write_pseudo_table(store: Store, table: PseudoTable) -> str:
    """Write `table`, unless it exists undamaged; returns its name. Raises `StoreError`."""
    data = _to_parquet(table)
    name = sha256_of(data)[:NAME_DIGITS]
    try:
        _read_verified(store, table.data_id, name)
    except (ObjectMissing, DamagedObject):
        store.put(layout.pseudo_key(table.data_id, name), data)
    return name


def read_pseudo_table(store: Store, data_id: str, name: str) -> PseudoTable:
    """The table called `name`. Raises `ObjectMissing` where there is none, `DamagedObject` where it does not match its name."""
    data = _read_verified(store, data_id, name)
    try:
        found = read_columns(data, ["image_id", "label", "confidence", "agreeing", "pixels"])
        metadata = {key.decode(): value.decode() for key, value in (found.schema.metadata or {}).items()}
        shape = tuple(int(metadata[side]) for side in ("height", "width", "channels"))
        pixels = np.frombuffer(b"".join(found["pixels"].to_pylist()), np.uint8)
        return PseudoTable(
            data_id=metadata["data_id"],
            pixels=pixels.reshape(len(found), *shape),
            labels=found["label"].to_numpy().astype(np.int64),
            confidence=found["confidence"].to_numpy().astype(np.float32),
            agreeing=found["agreeing"].to_numpy().astype(np.int64),
            image_ids=tuple(to_objects(found["image_id"])),
        )
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise _damaged(store, data_id, name, str(error)) from None


def _to_parquet(table: PseudoTable) -> bytes:
    """The table as a Parquet file. The same table gives the same bytes with the same version of Arrow."""
    height, width, channels = table.pixels.shape[1:]
    shape = {"height": str(height), "width": str(width), "channels": str(channels)}
    columns = pa.table(
        {
            "image_id": pa.array(table.image_ids, pa.string()),
            "label": pa.array(table.labels, pa.int64()),
            "confidence": pa.array(table.confidence, pa.float32()),
            "agreeing": pa.array(table.agreeing, pa.int64()),
            "pixels": pa.array([image.tobytes() for image in table.pixels], pa.binary(height * width * channels)),
        },
        metadata={"data_id": table.data_id, **shape},
    )
    sink = pa.BufferOutputStream()
    pq.write_table(columns, sink, compression="zstd")
    return bytes(sink.getvalue())


def _read_verified(store: Store, data_id: str, name: str) -> bytes:
    data = store.get(layout.pseudo_key(data_id, name))
    if sha256_of(data)[:NAME_DIGITS] != name:
        raise _damaged(store, data_id, name, f"its {len(data)} bytes have another hash than its name")
    return data


def _damaged(store: Store, data_id: str, name: str, why: str) -> DamagedObject:
    key = layout.pseudo_key(data_id, name)
    return DamagedObject(
        f"the table of pseudo-labels {store.uri}/{key} is damaged ({why}): restore it, or run the sweep again, "
        "which labels the images again"
    )
