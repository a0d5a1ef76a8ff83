"""The report's section on the health of the data: classes by split, what looks wrong, and predictions that were left out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainables.data.data_table import DataTable
from trainables.data.finding import DataFinding
from trainables.results.checkpoint import CheckpointId
from trainables.store import layout

MOST_CLASSES = 300
MOST_LEFT_OUT = 200
MOST_FOUND = 100
PNG = b"\x89PNG\r\n\x1a\n"
LARGEST_PX, LARGEST_BYTES = 64, 2**14
"""A picture in a record that is larger is not shown: a record may be a stranger's, and a small file may unpack to gigabytes."""
UNEVEN = 10
"""The report mentions a class with this many times the training images of another."""
FEW = 10
"""With fewer test images of a class, its accuracy is a guess."""


@dataclass(frozen=True)
class ClassCount:
    """Images of one class in each split."""

    name: str
    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class Picture:
    """A small picture of one image."""

    image_id: str
    png: str
    """The PNG file in base64."""


@dataclass(frozen=True)
class FoundRow:
    """Something that a look at the images found before anything was trained."""

    kind: str
    detail: str
    patch: str
    level: str
    """`wrong` or `look`."""
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class DataSection:
    """What the section shows."""

    name: str
    data_id: str
    images: dict[str, int]
    """Number of images by split."""
    classes: tuple[ClassCount, ...]
    class_count: int
    more: int
    """Classes that are not in the table, which has those with the most training images."""
    findings: tuple[str, ...]
    found: tuple[FoundRow, ...]
    """What `caucus doctor` says of the images, the weightiest first."""
    left_out: tuple[tuple[CheckpointId, str], ...]
    left_out_count: int


def lay_out(table: DataTable, left_out: Sequence[tuple[CheckpointId, str]]) -> DataSection:
    """The section."""
    names = table.class_names
    counts = [np.bincount(table.labels_of(split), minlength=len(names)).tolist() for split in layout.SPLITS]
    classes = [ClassCount(name, *(split[number] for split in counts)) for number, name in enumerate(names)]
    shown = classes
    if len(classes) > MOST_CLASSES:
        place = {id(one): number for number, one in enumerate(classes)}
        shown = sorted(sorted(classes, key=lambda one: -one.train)[:MOST_CLASSES], key=lambda one: place[id(one)])
    return DataSection(
        name=table.name,
        data_id=table.data_id,
        images={split: len(table.rows(split)) for split in layout.SPLITS},
        classes=tuple(shown),
        class_count=len(names),
        more=len(classes) - len(shown),
        findings=tuple(_find(classes)),
        found=tuple(_show(found, table.found.thumbnails) for found in table.found.findings[:MOST_FOUND]),
        left_out=tuple(left_out[:MOST_LEFT_OUT]),
        left_out_count=len(left_out),
    )


def _show(found: DataFinding, thumbnails: Mapping[str, bytes]) -> FoundRow:
    shown = [image_id for image_id in found.images if _is_small_png(thumbnails.get(image_id, b""))]
    pictures = (Picture(image_id, base64.b64encode(thumbnails[image_id]).decode()) for image_id in shown)
    return FoundRow(found.kind, found.detail, found.patch, "wrong" if found.is_wrong else "look", tuple(pictures))


def _is_small_png(png: bytes) -> bool:
    """Whether a file begins as a PNG does, and its header says that it is small."""
    sides = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    return png.startswith(PNG) and len(png) <= LARGEST_BYTES and 0 < min(sides) <= max(sides) <= LARGEST_PX


def _find(classes: Sequence[ClassCount]) -> list[str]:
    """Warnings that a reader needs to interpret the figures by class."""
    sentences = []
    for split in layout.SPLITS:
        without = [one.name for one in classes if getattr(one, split) == 0]
        if without:
            sentences.append(f"{_name(without)} no {split} images.")
    trained = [one for one in classes if one.train]
    if trained:
        most, least = max(trained, key=lambda one: one.train), min(trained, key=lambda one: one.train)
        if most.train >= UNEVEN * least.train:
            sentences.append(
                f"Classes are uneven: {most.name} has {most.train:,} training images, {least.name} {least.train:,}. "
                "Accuracy is mostly that of the large ones; balanced accuracy and macro F1 are not."
            )
    few = [one.name for one in classes if 0 < one.test < FEW]
    if few:
        sentences.append(
            f"{_name(few)} fewer than {FEW} test images: what is said of {'it' if len(few) == 1 else 'them'} alone is a guess."
        )
    return sentences


def _name(names: Sequence[str]) -> str:
    """`cat has`, `cat and dog have`, `cat, dog and 7 more have`."""
    if len(names) == 1:
        return f"{names[0]} has"
    if len(names) <= 3:
        return f"{', '.join(names[:-1])} and {names[-1]} have"
    return f"{', '.join(names[:2])} and {len(names) - 2:,} more classes have"
