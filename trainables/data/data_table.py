"""The record of a data set in the store: class names, and for each image its id, content hash, label and split."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.data.describe import describe_images
from trainables.data.finding import MOST_RECORDED, DataFinding, FoundInData
from trainables.data.floor import Floor, measure_floor, measure_nearest
from trainables.data.images import ImageSet, labels_sha256
from trainables.errors import DamagedObject, ObjectMissing
from trainables.splits.split import number_groups
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
    groups       the name of each image's group, or None where images have none
    sources      the name of each image's source, or None
    """

    data_id: str
    name: str
    class_names: tuple[str, ...]
    image_ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    splits: npt.NDArray[np.int8]
    groups: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    floor: Floor | None = None
    """What anybody gets on test without a net; None where the record is older than that."""
    found: FoundInData = field(default_factory=FoundInData)
    """What a look at the images found, when the record was written."""

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Positions of the images of `split`, ascending."""
        return np.flatnonzero(self.splits == layout.SPLITS.index(split))

    def labels_of(self, split: str) -> npt.NDArray[np.int64]:
        """True labels of the images of `split`, in the order of `rows`."""
        return self.labels[self.rows(split)]

    def ids_of(self, split: str) -> list[str]:
        """The ids of the images of `split`, in the order of `rows`."""
        return [self.image_ids[row] for row in self.rows(split).tolist()]

    def groups_of(self, split: str) -> npt.NDArray[np.int64] | None:
        """Numbers of the groups of the images of `split`, int64 (images,), in the order of `rows`; None where images have none."""
        return None if self.groups is None else number_groups([self.groups[row] for row in self.rows(split).tolist()])

    def sources_of(self, split: str) -> list[str] | None:
        """The source of each image of `split`, in the order of `rows`; None where images have none."""
        return None if self.sources is None else [self.sources[row] for row in self.rows(split).tolist()]

    def labels_sha256(self, split: str) -> str:
        """The hash that aligned predictions on `split` have."""
        return labels_sha256(self.labels_of(split))


def write_data_table(
    store: Store, images: ImageSet, look: Callable[[ImageSet], FoundInData] | None = None
) -> FoundInData:
    """Write the record of `images` under its `data_id`, with what `look` finds in them, unless it exists undamaged.

    Returns what was found; nothing where the record was there.
    """
    names = {"group": images.groups, "source": images.sources}
    named = {column: pa.array(values) for column, values in names.items() if values is not None}
    table = pa.table(
        {
            "image_id": pa.array(images.image_ids),
            "sha256": pa.array([bytes.fromhex(digest) for digest in images.image_sha256], pa.binary(32)),
            "label": pa.array(images.labels),
            "split": pa.array(images.splits),
            **named,
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data = bytes(sink.getvalue())
    trust_written(data)
    with contextlib.suppress(ObjectMissing, DamagedObject):
        read_data_table(store, images.data_id)
        return FoundInData()
    store.put(layout.data_key(images.data_id, "images.parquet"), data)
    found = look(images) if look else None
    height, width, channels = images.pixels.shape[1:]
    mean, std = images.statistics
    summary = {
        "name": images.name,
        "class_names": list(images.class_names),
        "image_shape": {"height": height, "width": width, "channels": channels},
        "normalisation": {"mean": mean.tolist(), "std": std.tolist()},
        **({"decoding": images.decoding.to_dict()} if images.decoding else {}),
        "images": {split: len(images.rows(split)) for split in layout.SPLITS},
        "images_sha256": sha256_of(data),
        "columns": list(named),
        "understood": describe_images(images),
        "floor": asdict(measure_floor(images)),
        **(_record_found(found) if found else {}),
    }
    if passed_over := images.reading.passed_over:
        lines = [f"{other.name}\t{other.reason}\n" for other in passed_over]
        store.put(layout.data_key(images.data_id, "passed_over.tsv"), "".join(lines).encode(errors="backslashreplace"))
    store.put(layout.data_key(images.data_id, "data.json"), seal_json(summary))
    return found or FoundInData()


def write_nearest_scores(store: Store, images: ImageSet) -> None:
    """Write what the nearest neighbour reaches on test by other metrics than accuracy, unless the store has it: a sweep that asks for
    one of them needs it, and so may a record of an older version."""
    key = layout.data_key(images.data_id, "floor.json")
    if store.stat(key) is None:
        store.put(key, seal_json({"nearest_neighbour": measure_nearest(images)}))


def read_nearest_scores(store: Store, data_id: str) -> dict[str, float]:
    """What `write_nearest_scores` wrote, by metric; empty where the store has none that is readable."""
    try:
        found = get_json(store, layout.data_key(data_id, "floor.json")).get("nearest_neighbour")
    except (ObjectMissing, DamagedObject):
        return {}
    scores = found.items() if isinstance(found, dict) else ()
    return {str(metric): float(score) for metric, score in scores if isinstance(score, int | float)}


def read_data_table(store: Store, data_id: str) -> DataTable:
    """The record of a data set. Raises `ObjectMissing` where the store has none, `DamagedObject` where it is not readable."""
    summary = get_json(store, layout.data_key(data_id, "data.json"))
    raw = store.get(layout.data_key(data_id, "images.parquet"))
    with _naming_damage(store, data_id):
        if sha256_of(raw) != summary.get("images_sha256", sha256_of(raw)):
            raise ValueError("images.parquet is not what was written")
        columns = summary.get("columns", [])
        named = [str(column) for column in columns] if isinstance(columns, list) else []
        table = read_columns(raw, ["image_id", "label", "split", *named])
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
            groups=tuple(to_objects(table["group"])) if "group" in named else None,
            sources=tuple(to_objects(table["source"])) if "source" in named else None,
            floor=_read_floor(summary.get("floor")),
            found=_read_found(summary),
        )


def _record_found(found: FoundInData) -> dict[str, Any]:
    return {
        "findings": [one.to_dict(MOST_RECORDED) for one in found.findings],
        "thumbnails": {image_id: base64.b64encode(png).decode() for image_id, png in found.thumbnails.items()},
    }


def _read_found(summary: Mapping[str, Any]) -> FoundInData:
    """The inverse of `_record_found`; nothing where the record is older than that. Raises `ValueError`."""
    findings, thumbnails = summary.get("findings", []), summary.get("thumbnails", {})
    try:
        return FoundInData(
            tuple(DataFinding.from_dict(one) for one in findings),
            {str(image_id): base64.b64decode(png, validate=True) for image_id, png in thumbnails.items()},
        )
    except (AttributeError, TypeError) as error:
        raise ValueError(f"findings: {error}") from None


def _read_floor(payload: object) -> Floor | None:
    """The inverse of `dataclasses.asdict`; None stays None. Raises `ValueError`."""
    if payload is None:
        return None
    try:
        return Floor(**payload)  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(f"floor: {error}") from None


def read_understood(store: Store, data_id: str) -> list[str]:
    """How the data was understood when its record was written, in lines for people; empty where the store does not say."""
    try:
        lines = get_json(store, layout.data_key(data_id, "data.json")).get("understood", [])
    except (ObjectMissing, DamagedObject):
        return []
    return [str(line) for line in lines] if isinstance(lines, list) else []


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
