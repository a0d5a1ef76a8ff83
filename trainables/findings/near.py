"""Finds images that are nearly equal: saved again, resized, or brighter; above all in several splits, or under several labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from trainables.data.finding import LEAVE_OUT, DataFinding
from trainables.data.images import ImageSet
from trainables.findings.looks import Looks
from trainables.findings.perceptual_hash import find_alike, hash_looks
from trainables.store import layout

LEAST_CORRELATION = 0.997
"""Of two small pictures that count as nearly equal. JPEGs saved again at quality 40 reach it in 9 of 10 cases; of all pairs of the
1,797 digits none does, and of the 70,000 garments of Fashion-MNIST 80, which show one garment each."""

LEAST_CONTRAST = 4.0
"""Grey levels: what remains of flatter images is noise."""

LEAST_FIELDS = 48
"""Grey means of an image: with fewer, as of 4 x 4 pixels, all images look alike."""

FARTHEST_TINT = 8.0
"""Grey levels by which the means of a channel, less the brightness, differ at most: hearts of two colours are two pictures."""

BLOCK = 4096


def find_near(images: ImageSet, looks: Looks) -> Iterator[DataFinding]:
    """At most one finding of each kind; a group of nearly equal images counts for the first kind that it is of."""
    pairs = find_pairs(images, looks)
    if not len(pairs):
        return
    component = join_pairs(pairs, len(images.labels))
    several_labels = _differ(component, images.labels)
    several_splits = _differ(component, images.splits)
    if len(some := pairs[several_labels[pairs[:, 0]]]):
        rows = np.unique(some)
        one, other = _example(some, images.labels)
        names = images.class_names
        yield DataFinding(
            "near-duplicates-under-several-labels",
            images.ids_of(rows),
            f"{len(rows):,} images are nearly equal to one of another class, as {images.image_ids[one]} "
            f"({names[images.labels[one]]}) and {images.image_ids[other]} ({names[images.labels[other]]}): look which label is right",
            LEAVE_OUT,
            images.ids_of(rows),
        )
    if len(some := pairs[several_splits[pairs[:, 0]] & ~several_labels[pairs[:, 0]]]):
        rows = np.unique(some)
        one, other = _example(some, images.splits)
        test = layout.SPLITS.index("test")
        of_test = np.unique(component[rows[images.splits[rows] == test]])
        held = int((images.splits[rows] == test).sum())
        trained = np.isin(component[rows], of_test) & (images.splits[rows] != test)
        said = f", {held:,} of them in test" if held and trained.any() else ""
        splits = [layout.SPLITS[images.splits[row]] for row in (one, other)]
        yield DataFinding(
            "near-duplicates-across-splits",
            images.ids_of(rows),
            f"{len(rows):,} images are nearly equal to one in another split{said}, as {images.image_ids[one]} ({splits[0]}) and "
            f"{images.image_ids[other]} ({splits[1]}): scores on them are too good",
            LEAVE_OUT,
            images.ids_of(rows[_is_before_last_split(component[rows], images.splits[rows])]),
        )
    if len(some := pairs[~several_splits[pairs[:, 0]] & ~several_labels[pairs[:, 0]]]):
        rows = np.unique(some)
        one, other = some[0]
        _, first = np.unique(component[rows], return_index=True)
        yield DataFinding(
            "near-duplicates",
            images.ids_of(rows),
            f"{len(rows):,} images are nearly equal to one of their class and split, as {images.image_ids[one]} and "
            f"{images.image_ids[other]}: they count as several, and tell the same",
            LEAVE_OUT,
            images.ids_of(np.delete(rows, first)),
        )


def find_pairs(images: ImageSet, looks: Looks) -> npt.NDArray[np.int64]:
    """Pairs of rows that are nearly, but not wholly, equal, int64 (pairs, 2), the lower row first."""
    if looks.small[:1].size < LEAST_FIELDS:
        return np.empty((0, 2), np.int64)
    pairs = find_alike(hash_looks(looks.small))
    has_contrast = looks.contrast >= LEAST_CONTRAST
    pairs = pairs[has_contrast[pairs[:, 0]] & has_contrast[pairs[:, 1]]]
    centred = _normalise(looks.small)
    tints = looks.colours - looks.colours.mean(1, keepdims=True)
    found = []
    for start in range(0, len(pairs), BLOCK):
        some = pairs[start : start + BLOCK]
        one, other = some.T
        correlation = np.einsum("ij,ij->i", centred[one].astype(np.float32), centred[other].astype(np.float32))
        is_near = (correlation >= LEAST_CORRELATION) & (np.abs(tints[one] - tints[other]).max(1) <= FARTHEST_TINT)
        found.append(some[is_near])
    near = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    digests = images.image_sha256
    is_equal = np.array([digests[one] == digests[other] for one, other in near.tolist()], np.bool_)
    return near[~is_equal]


def _normalise(small: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
    """Each image less its mean and divided by its norm, float16 (images, values): products are correlations, to about 1e-4."""
    flat = small.reshape(len(small), -1)
    found = np.empty_like(flat)
    for start in range(0, len(flat), BLOCK):
        block = flat[start : start + BLOCK].astype(np.float32)
        block -= block.mean(1, keepdims=True)
        found[start : start + BLOCK] = block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-6)
    return found


def join_pairs(pairs: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """For each of `count` rows the lowest row that pairs lead to from it, int64 (count,).

    >>> join_pairs(np.array([[0, 3], [2, 3], [1, 4]]), 6).tolist()
    [0, 1, 0, 0, 1, 5]
    """
    lowest = np.arange(count)
    while True:
        one, other = lowest[pairs[:, 0]], lowest[pairs[:, 1]]
        if (one == other).all():
            return lowest
        np.minimum.at(lowest, np.maximum(one, other), np.minimum(one, other))
        while (lowest != (above := lowest[lowest])).any():
            lowest = above


def _differ(component: npt.NDArray[np.int64], values: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Whether `values` differ within each row's component."""
    lowest, highest = np.full(len(values), 2**40), np.full(len(values), -1)
    np.minimum.at(lowest, component, values)
    np.maximum.at(highest, component, values)
    found: npt.NDArray[np.bool_] = (lowest != highest)[component]
    return found


def _example(pairs: npt.NDArray[np.int64], values: npt.NDArray[np.integer]) -> tuple[int, int]:
    """The first pair whose `values` differ; where only chains of pairs do, the first pair."""
    differing = np.flatnonzero(values[pairs[:, 0]] != values[pairs[:, 1]])
    one, other = pairs[differing[0] if len(differing) else 0].tolist()
    return one, other


def _is_before_last_split(component: npt.NDArray[np.int64], splits: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """Rows to leave out, so that those stay that are evaluated on: of test before validation before train."""
    last = np.full(int(component.max()) + 1, -1)
    np.maximum.at(last, component, splits)
    found: npt.NDArray[np.bool_] = splits < last[component]
    return found
