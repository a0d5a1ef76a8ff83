"""An image set: pixels, labels and the three splits, in memory, valid by construction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from trainables.config.base import short_hash
from trainables.data.decoding import Decoding
from trainables.data.reading import Reading
from trainables.errors import DataError
from trainables.splits.split import join_groups
from trainables.store import layout

Statistics = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Mean and standard deviation of each channel, float64 (channels,)."""

BLOCK_BYTES = 2**20
"""Pixels that are copied at a time where all are looked at. What is counted of them takes up to 8 times as much."""


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """The arrays of an image set that training needs, without objects that are slow to serialise. Shapes as in `ImageSet`;
    `groups` are numbered, int64 (images,); `statistics` are `channel_statistics` where they are known already."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    splits: npt.NDArray[np.int8]
    classes: int
    groups: npt.NDArray[np.int64] | None = None
    statistics: Statistics | None = None

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Positions of the images of `split`, ascending."""
        return np.flatnonzero(self.splits == layout.SPLITS.index(split))


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images of one size, each in one of the three splits.

    pixels       uint8 (images, height, width, channels)
    labels       int64 (images,), positions in `class_names`
    image_ids    a unique name for each image: a relative path, or the split and number in a bundled set
    splits       int8 (images,), positions in `layout.SPLITS`
    groups       the name of each image's group, or None where images have none: a group lies in one split, unless the data came so
    sources      the name of each image's source, or None
    reading      what a person should know about how the data was understood
    decoding     how the pixels were decoded, or None where they came decoded
    originals    int64 (images, 3): height, width and bytes of each file, 0 where unknown; None where they were not looked at. They
                 say nothing of what the data is, and enter no id
    """

    name: str
    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    image_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    splits: npt.NDArray[np.int8]
    groups: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    reading: Reading = field(default_factory=Reading)
    decoding: Decoding | None = None
    originals: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        count = len(self.pixels)
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8:
            raise DataError(
                f"{self.name}: pixels are {self.pixels.dtype}{self.pixels.shape}, not uint8 (images, height, width, channels)"
            )
        if not count == len(self.labels) == len(self.image_ids) == len(self.splits):
            raise DataError(
                f"{self.name}: {count} images, but {len(self.labels)} labels, {len(self.image_ids)} ids and {len(self.splits)} splits"
            )
        for what, names in (("groups", self.groups), ("sources", self.sources)):
            if names is not None and len(names) != count:
                raise DataError(f"{self.name}: {count} images, but {len(names)} {what}")
        if self.originals is not None and self.originals.shape != (count, 3):
            raise DataError(f"{self.name}: {count} images, but originals are {self.originals.shape}, not (images, 3)")
        if len(self.class_names) < 2:
            raise DataError(f"{self.name}: {len(self.class_names)} class(es) found, at least 2 are needed")
        if len(set(self.image_ids)) != count:
            raise DataError(f"{self.name}: two images have the same id")
        if count and not 0 <= self.labels.min() <= self.labels.max() < len(self.class_names):
            raise DataError(
                f"{self.name}: labels run from {self.labels.min()} to {self.labels.max()}, outside the {len(self.class_names)} classes"
            )
        if count and not 0 <= self.splits.min() <= self.splits.max() < len(layout.SPLITS):
            raise DataError(
                f"{self.name}: splits run from {self.splits.min()} to {self.splits.max()}, outside 0 to {len(layout.SPLITS) - 1}"
            )

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Positions of the images of `split`, ascending."""
        return np.flatnonzero(self.splits == layout.SPLITS.index(split))

    def ids_of(self, rows: npt.NDArray[np.integer]) -> tuple[str, ...]:
        """The ids of the images at `rows`, in their order."""
        return tuple(self.image_ids[row] for row in rows.tolist())

    @property
    def arrays(self) -> ImageArrays:
        """The arrays alone, shared with this set."""
        groups = None if self.groups is None else join_groups(self.image_sha256, self.groups)[0]
        return ImageArrays(self.pixels, self.labels, self.splits, len(self.class_names), groups)

    @cached_property
    def image_sha256(self) -> tuple[str, ...]:
        """Hexadecimal SHA-256 of each image's pixels."""
        return hash_images(self.pixels)

    @cached_property
    def statistics(self) -> Statistics:
        """`channel_statistics` of this set."""
        return channel_statistics(self)

    @cached_property
    def data_id(self) -> str:
        """Sixteen hexadecimal digits that identify images, their order, labels, class names, split, groups and sources.

        They do not depend on the name of the set, the names of the images and the place and layout they were read from.
        """
        columns = hashlib.sha256("\n".join(self.image_sha256).encode())
        for names in (self.groups, self.sources):
            if names is not None:
                columns.update("\n".join(names).encode())
        columns.update(np.ascontiguousarray(self.labels, "<i8").tobytes())
        columns.update(np.ascontiguousarray(self.splits, "i1").tobytes())
        return short_hash(
            {"classes": self.class_names, "shape": self.pixels.shape, "columns": columns.hexdigest()}, digits=16
        )


def channel_statistics(images: ImageArrays | ImageSet) -> Statistics:
    """Mean and standard deviation of each channel over the training images, pixels from 0 to 1: float64 (channels,).

    Computed from the counts of the 256 grey levels: exact, and the same bits whatever the size of a block. Takes a few megabytes
    beside the set, or what an image takes where that is more. The deviation of a channel that hardly varies is 0.001.
    """
    height, width, channels = images.pixels.shape[1:]
    rows = images.rows("train")
    counts = np.zeros((channels, 256), np.int64)
    for block in split_rows(rows, height * width * channels):
        values = images.pixels[block].reshape(-1, channels)
        for channel in range(channels):
            counts[channel] += np.bincount(values[:, channel], minlength=256)
    levels = np.arange(256) / 255
    pixels = len(rows) * height * width
    mean = counts @ levels / pixels
    deviation = np.sqrt(counts @ levels**2 / pixels - mean**2)
    return mean, np.maximum(deviation, 1e-3)


def split_rows(
    rows: npt.NDArray[np.int64], image_bytes: int, block_bytes: int = BLOCK_BYTES
) -> Iterator[npt.NDArray[np.int64]]:
    """`rows` in parts whose images, of `image_bytes` each, take `block_bytes` at most; at least one image a part."""
    step = max(1, block_bytes // max(1, image_bytes))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def hash_images(pixels: npt.NDArray[np.uint8]) -> tuple[str, ...]:
    """Hexadecimal SHA-256 of each image's pixels: (images, height, width, channels)."""
    return tuple(hashlib.sha256(np.ascontiguousarray(image).data).hexdigest() for image in pixels)


def with_hashes(images: ImageSet, image_sha256: tuple[str, ...]) -> ImageSet:
    """`images`, whose pixels are known to have these hashes: they are not hashed again."""
    vars(images)["image_sha256"] = image_sha256
    return images


def labels_sha256(labels: npt.NDArray[np.int64]) -> str:
    """Hexadecimal SHA-256 of labels in their order, by which predictions show that they are aligned."""
    return hashlib.sha256(np.ascontiguousarray(labels, "<i8").tobytes()).hexdigest()


def hash_labels(images: ImageSet | ImageArrays) -> dict[str, str]:
    """`labels_sha256` of each split, for predictions."""
    return {split: labels_sha256(images.labels[images.rows(split)]) for split in layout.SPLITS}
