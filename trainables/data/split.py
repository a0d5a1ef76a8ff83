"""Splits images into training, validation and test: stratified, and by their pixels alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainables.errors import DataError
from trainables.store import layout

TRAIN, VALIDATION, TEST = (layout.SPLITS.index(split) for split in ("train", "validation", "test"))

_ADVICE = {
    TRAIN: "lower data.validation or data.test, or add images",
    VALIDATION: "raise data.validation or add images",
    TEST: "raise data.test or add images",
}


def split_images(
    labels: npt.NDArray[np.int64],
    image_sha256: Sequence[str],
    validation: float,
    test: float,
    seed: int,
    published_test: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.int8]:
    """The split of each image, int8 (images,), positions in `layout.SPLITS`.

    `validation` and `test` are shares, which hold within each class and in total (largest remainder) to about one image a
    class. The split of an image follows from `seed` and its hash, not from order or names. Equal images get the same split,
    under the lowest of their labels, so that no image is both trained on and evaluated on. A class with at least three
    distinct images has one in each split; one with fewer has one in `train`.

    `published_test` marks a published test split, bool (images,). It is not changed, even where an image outside equals one
    inside; `test` is not used, and `validation` is the share of the images outside.

    Raises `DataError` where a split that is assigned here would have fewer images than there are classes.
    """
    outside = np.flatnonzero(~published_test) if published_test is not None else np.arange(len(labels))
    dealt_splits = (TRAIN, VALIDATION, TEST) if published_test is None else (TRAIN, VALIDATION)
    number: dict[str, int] = {}
    group = np.array([number.setdefault(image_sha256[row], len(number)) for row in outside.tolist()], np.int64)
    keys = [hashlib.sha256(f"{seed}:{digest}".encode()).digest() for digest in number]
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
    sizes = np.bincount(group, minlength=len(keys))
    class_of = np.full(len(keys), np.iinfo(np.int64).max)
    np.minimum.at(class_of, group, labels[outside])

    classes, place = np.unique(class_of, return_inverse=True)
    images = np.bincount(place, weights=sizes, minlength=len(classes)).astype(np.int64)
    _require_large_enough_shares(
        len(outside),
        len(classes),
        {VALIDATION: validation} if published_test is not None else {VALIDATION: validation, TEST: test},
    )
    validation_quotas = _quotas(images, validation)
    test_quotas = _quotas(images, test) if published_test is None else np.zeros_like(images)
    by_class = order[np.argsort(place[order], kind="stable")]
    groups_of = np.split(by_class, np.cumsum(np.bincount(place, minlength=len(classes)))[:-1])
    of_group = np.empty(len(keys), np.int8)
    for mine, for_validation, for_test in zip(
        groups_of, validation_quotas.tolist(), test_quotas.tolist(), strict=False
    ):
        of_group[mine] = _deal(sizes[mine], for_validation, for_test, dealt_splits)

    splits = np.full(len(labels), TEST, np.int8)
    splits[outside] = of_group[group]
    _require_one_a_class(splits, len(np.unique(labels)), dealt_splits)
    return splits


def _require_large_enough_shares(images: int, classes: int, shares: dict[int, float]) -> None:
    """Refuse a share that is too small before it is rounded up to one image a class."""
    for split, share in shares.items():
        count = int(images * share + 0.5)
        if count < classes:
            name = layout.SPLITS[split]
            raise DataError(
                f"{name} split would hold {count} images for {classes} classes (data.{name} is {share:g} of {images} images): "
                f"at least one image a class is needed: {_ADVICE[split]}"
            )


def _quotas(images: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.int64]:
    """`share` of the images of each class, in whole images whose sum is `share` of all.

    The images that rounding down leaves over go to the largest remainders; of equals, to the first class.
    """
    exact = images.astype(np.float64) * share
    quotas: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    left_over = int(images.sum() * share + 0.5) - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[: max(left_over, 0)]] += 1
    return quotas


def _deal(sizes: npt.NDArray[np.int64], validation: int, test: int, splits: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """The split of each group of equal images of one class: first `test` images, then `validation`, the rest train.

    A group across a boundary goes to the side of its middle.
    """
    middle = np.cumsum(sizes) - sizes / 2
    dealt = np.select([middle < test, middle < test + validation], [TEST, VALIDATION], TRAIN).astype(np.int8)
    for split in splits:
        counts = np.bincount(dealt, minlength=len(layout.SPLITS))
        richest = int(counts.argmax())
        if counts[split] == 0 and (counts[richest] > 1 or split == TRAIN):
            candidates = np.flatnonzero(dealt == richest)
            dealt[candidates[sizes[candidates].argmin()]] = split
    return dealt


def _require_one_a_class(splits: npt.NDArray[np.int8], classes: int, dealt_splits: tuple[int, ...]) -> None:
    for split in dealt_splits:
        count = int((splits == split).sum())
        if count < classes:
            raise DataError(
                f"{layout.SPLITS[split]} split would hold {count} images for {classes} classes: "
                f"at least one image a class is needed: {_ADVICE[split]}"
            )
