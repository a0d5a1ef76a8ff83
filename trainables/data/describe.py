"""Says in words how a source was understood, before anything is trained."""

from __future__ import annotations

import numpy as np

from trainables.data.images import ImageSet
from trainables.data.reading import count_passed_over
from trainables.store import layout

SHOWN_CLASSES = 6
"""Classes that are named with their number of images; a set of a hundred would fill the terminal."""


def describe_images(images: ImageSet) -> list[str]:
    """What was understood, in one line, and then each thing that could be meant otherwise in a line of its own.

    As "3 classes: cat 412, dog 388, fox 41 · split given by folders: train 650, validation 95, test 96 · 12 files passed over (.heic)".
    """
    reading = images.reading
    parts = [_describe_classes(images), _describe_split(images)]
    if images.groups is not None:
        parts.append(f"{len(set(images.groups)):,} groups")
    if images.sources is not None:
        parts.append(f"{len(set(images.sources)):,} sources")
    if reading.unlabelled:
        parts.append(f"{reading.unlabelled:,} images without a label left out")
    if reading.passed_over:
        parts.append(count_passed_over(reading.passed_over))
    if reading.layout:
        parts.insert(0, reading.layout)
    return [" · ".join(parts), *reading.notes]


def describe_origin(images: ImageSet) -> list[str]:
    """Where the pixels came from this time, in one line; none where that took no time. It is no part of the data's record."""
    return [f"pixels: {images.reading.origin}"] if images.reading.origin else []


def _describe_classes(images: ImageSet) -> str:
    counts = np.bincount(images.labels, minlength=len(images.class_names)).tolist()
    named = list(zip(images.class_names, counts, strict=True))
    if len(named) > SHOWN_CLASSES:
        ranked = sorted(named, key=lambda pair: (-pair[1], pair[0]))
        most, least = ranked[0], ranked[-1]
        return f"{len(named)} classes, from {most[0]} {most[1]:,} to {least[0]} {least[1]:,} images"
    return f"{len(named)} classes: " + ", ".join(f"{name} {count:,}" for name, count in named)


def _describe_split(images: ImageSet) -> str:
    counts = ", ".join(f"{split} {len(images.rows(split)):,}" for split in layout.SPLITS)
    if images.reading.split_from:
        return f"split given by {images.reading.split_from}: {counts}"
    whole = " by whole groups" if images.groups is not None else ""
    return f"split dealt{whole}: {counts}"
