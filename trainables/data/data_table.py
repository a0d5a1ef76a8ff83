"""The record of a data set in the store: class names, and for each image its id, content hash, label and split."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.data.images import ImageSet, channel_statistics, labels_sha256
from trainables.errors import DamagedObject, ObjectMissing
from trainables.store import layout
from trainables.store.base import Store, sha256_of
from trainables.store.json_records import get_json, seal_json
from trainables.tables.arrow_column import to_array
from trainables.tables.parquet_limits import read_columns, to_objects, trust_written


@dataclass(frozen=True, eq=False)
class DataTable:
    """The data set without pixels, for voting and reporting.

    image_ids    one for each row; `rows` in predictions are positions here
    labels       int64 (images,), positions in `class_names`
    splits       int8 (images,), positions in `layout.SPLITS`
    """

    data_id: str
    name: str
    class_names: tuple[str, ...]
    image_ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    splits: npt.NDArray[np.int8]

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Positions of the images of `split`, ascending."""
        return np.flatnonzero(self.splits == layout.SPLITS.index(split))

    def labels_of(self, split: str) -> npt.NDArray[np.int64]:
        """True labels of the images of `split`, in the order of `rows`."""
        return self.labels[self.rows(split)]

    def labels_sha256(self, split: str) -> str:
        """The hash that aligned predictions on `split` have."""
        return labels_sha256(self.labels_of(split))


def write_data_table(store: Store, images: ImageSet) -> None:
    """Write the record of `images` under its `data_id`, unless it exists undamaged."""
    table = pa.table(
        {
            "image_id": pa.array(images.image_ids),
            "sha256": pa.array([bytes.fromhex(digest) for digest in images.image_sha256], pa.binary(32)),
            "label": pa.array(images.labels),
            "split": pa.array(images.splits),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data = bytes(sink.getvalue())
    trust_written(data)
    with contextlib.suppress(ObjectMissing, DamagedObject):
        read_data_table(store, images.data_id)
        return
    store.put(layout.data_key(images.data_id, "images.parquet"), data)
    height, width, channels = images.pixels.shape[1:]
    mean, std = channel_statistics(images.arrays)
    summary = {
        "name": images.name,
        "class_names": list(images.class_names),
        "image_shape": {"height": height, "width": width, "channels": channels},
        "normalisation": {"mean": mean.tolist(), "std": std.tolist()},
        "images": {split: len(images.rows(split)) for split in layout.SPLITS},
        "images_sha256": sha256_of(data),
    }
    store.put(layout.data_key(images.data_id, "data.json"), seal_json(summary))


def read_data_table(store: Store, data_id: str) -> DataTable:
    """The record of a data set. Raises `ObjectMissing` where the store has none, `DamagedObject` where it is not readable."""
    summary = get_json(store, layout.data_key(data_id, "data.json"))
    raw = store.get(layout.data_key(data_id, "images.parquet"))
    with _naming_damage(store, data_id):
        if sha256_of(raw) != summary.get("images_sha256", sha256_of(raw)):
            raise ValueError("images.parquet is not what was written")
        table = read_columns(raw, ["image_id", "label", "split"])
        names = summary["class_names"]
        if not isinstance(names, list):
            raise ValueError("class_names is no list")
        return DataTable(
            data_id=data_id,
            name=str(summary["name"]),
            class_names=tuple(str(name) for name in names),
            image_ids=tuple(to_objects(table["image_id"])),
            labels=to_array(table["label"]),
            splits=to_array(table["split"]),
        )


def read_image_sha256(store: Store, data_id: str) -> tuple[str, ...]:
    """Hexadecimal SHA-256 of each image's pixels, in the order of the table. Raises as `read_data_table` does."""
    raw = store.get(layout.data_key(data_id, "images.parquet"))
    with _naming_damage(store, data_id):
        return tuple(digest.hex() for digest in to_objects(read_columns(raw, ["sha256"])["sha256"]))


@contextlib.contextmanager
def _naming_damage(store: Store, data_id: str) -> Iterator[None]:
    """Turns the exceptions of reading a damaged record into a `DamagedObject` that names it."""
    try:
        yield
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise DamagedObject(
            f"the record of data {data_id} in {store.uri} is damaged ({error}): delete data/{data_id}, the next run writes it again"
        ) from None
