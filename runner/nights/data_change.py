"""Changes of a data set, image by image: labels, images, splits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from trainables.data.data_table import read_data_table, read_image_sha256
from trainables.store import layout
from trainables.store.base import Store


@dataclass(frozen=True)
class DataRecord:
    """A data set without its pixels.

    images      class name and split of each image, by the hash of its pixels; of equal images the first one counts
    """

    data_id: str
    class_names: tuple[str, ...]
    images: dict[str, tuple[str, str]]


def read_data_record(store: Store, data_id: str) -> DataRecord:
    """The record of a data set in its store. Raises `StoreError` where it has none, or a damaged one."""
    table = read_data_table(store, data_id)
    images: dict[str, tuple[str, str]] = {}
    for digest, label, split in zip(read_image_sha256(store, data_id), table.labels, table.splits, strict=True):
        images.setdefault(digest, (table.class_names[label], layout.SPLITS[split]))
    return DataRecord(data_id, table.class_names, images)


def describe_relabelled(now: DataRecord, before: DataRecord) -> str:
    """Counts the images of both whose class has changed; "" where there are none."""
    both = now.images.keys() & before.images.keys()
    changed = Counter(now.images[name][1] for name in both if now.images[name][0] != before.images[name][0])
    if not changed:
        return ""
    return f"{_count(changed)} of {len(both):,} images have another label ({_by_split(changed)})"


def describe_changed_images(now: DataRecord, before: DataRecord) -> str:
    """Counts new and removed images, changed splits and changed classes; "" where there are none."""
    changes = []
    if now.class_names != before.class_names:
        changes.append(f"{len(before.class_names)} classes became {len(now.class_names)}, or have other names")
    added = Counter(split for name, (_, split) in now.images.items() if name not in before.images)
    removed = Counter(split for name, (_, split) in before.images.items() if name not in now.images)
    both = now.images.keys() & before.images.keys()
    moved = Counter(now.images[name][1] for name in both if now.images[name][1] != before.images[name][1])
    for changed, what in ((added, "new"), (removed, "gone"), (moved, "moved to another split")):
        if changed:
            changes.append(f"{_count(changed)} images {what} ({_by_split(changed)})")
    return ", ".join(changes)


def _count(changed: Counter[str]) -> str:
    return f"{changed.total():,}"


def _by_split(changed: Counter[str]) -> str:
    return ", ".join(f"{changed[split]:,} in {split}" for split in layout.SPLITS if changed[split])
