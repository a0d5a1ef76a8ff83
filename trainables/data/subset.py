"""Subsets of an image set: some of its classes, and a limited number of training images."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence, Set
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trainables.data.images import ImageSet, with_hashes
from trainables.errors import DataError
from trainables.store import layout

TRAIN = layout.SPLITS.index("train")


def select_classes(images: ImageSet, classes: Sequence[str | int]) -> ImageSet:
    """The images of `classes`, which are names in `class_names` (case-insensitive) or positions there.

    Classes stay in the order of the set, whatever the order of `classes`: the same selection is the same data. A number is
    taken for a name where a class has that name. Raises `DataError` for a class that does not exist, or is named twice.
    """
    labels = find_classes(images.class_names, classes, images.name)
    label_of = np.full(len(images.class_names), -1, np.int64)
    label_of[labels] = np.arange(len(labels))
    rows = np.flatnonzero(label_of[images.labels] >= 0)
    selected = _take(images, rows)
    renumbered = replace(
        selected,
        labels=label_of[selected.labels],
        class_names=tuple(images.class_names[label] for label in labels),
    )
    return _keep_hashes(renumbered, selected)


def find_classes(class_names: Sequence[str], classes: Sequence[str | int], set_name: str) -> list[int]:
    """Positions of `classes` in `class_names`, ascending, as `select_classes` finds them. Raises as it does."""
    labels = sorted(_find_class(class_names, class_name, set_name) for class_name in classes)
    if twice := [class_names[label] for label, after in pairwise(labels) if label == after]:
        raise DataError(f"data.classes names {twice[0]!r} twice: keep one")
    return labels


def limit_train(images: ImageSet, count: int, seed: int) -> ImageSet:
    """`images` with only `count` images in `train`.

    Each class keeps its share of them to about one image (largest remainder), and at least one. The selection follows from
    `seed` and the images' hashes, not from their order or names. Raises `DataError` where `train` has fewer than `count`
    images, or `count` is less than one a class.
    """
    rows = images.rows("train")
    if count > len(rows):
        raise DataError(
            f"data.train is {count}, but only {len(rows)} images of {images.name} are left to train on: "
            "lower data.train, data.validation or data.test, or leave data.train out"
        )
    available = np.bincount(images.labels[rows], minlength=len(images.class_names))
    if count < (classes := int((available > 0).sum())):
        raise DataError(f"data.train is {count}, but {classes} classes need at least one image each: raise data.train")
    key = {row: hashlib.sha256(f"{seed}:train:{images.image_sha256[row]}".encode()).digest() for row in rows.tolist()}
    order = np.array(sorted(key, key=key.__getitem__), np.int64)
    selected = [order[images.labels[order] == label][:quota] for label, quota in enumerate(_quotas(available, count))]
    others = np.flatnonzero(images.splits != TRAIN)
    return _take(images, np.sort(np.concatenate([others, *selected])))


def sort_images(images: ImageSet) -> ImageSet:
    """`images` in the order of their hashes, of equal ones by label and id: the same images are the same data, whatever names and
    order their layout gives them. Pixels that are in this order already are not copied."""
    order = sorted(
        range(len(images.pixels)),
        key=lambda row: (images.image_sha256[row], images.labels[row], images.image_ids[row]),
    )
    return _take(images, np.array(order, np.int64))


def leave_out_images(images: ImageSet, ids: Set[str]) -> ImageSet:
    """`images` without those named `ids`. Classes stay, also where they have no image any more."""
    return _take(images, np.flatnonzero([image_id not in ids for image_id in images.image_ids]))


def _quotas(available: npt.NDArray[np.int64], count: int) -> list[int]:
    """The number of images of each class, `count` in all; of equal remainders the first class gets the additional image."""
    exact = available * (count / available.sum())
    quotas = np.minimum(available, np.maximum(np.floor(exact).astype(np.int64), (available > 0).astype(np.int64)))
    while (left := count - int(quotas.sum())) != 0:
        # There are too many only where rare classes got their minimum of one image.
        step, adjustable = (1, quotas < available) if left > 0 else (-1, quotas > 1)
        behind = np.where(adjustable, step * (exact - quotas), -np.inf)
        quotas[int(behind.argmax())] += step
    return [int(quota) for quota in quotas]


def _find_class(class_names: Sequence[str], wanted: str | int, set_name: str) -> int:
    names = [name.casefold() for name in class_names]
    name = str(wanted).casefold()
    if names.count(name) == 1:
        return names.index(name)
    if str(wanted) in class_names:
        return list(class_names).index(str(wanted))
    if isinstance(wanted, int) and 0 <= wanted < len(names):
        return wanted
    known = ", ".join(class_names[:20]) + (" …" if len(names) > 20 else "")
    if isinstance(wanted, int):
        raise DataError(
            f"data.classes names class {wanted}, but {set_name} has {len(names)} classes, 0 to {len(names) - 1}: {known}"
        )
    near = [known_name for known_name in names if name in known_name][:1] or difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {class_names[names.index(near[0])]!r}?" if near else ""
    raise DataError(f"data.classes names {wanted!r}, which is no class of {set_name}, only {known}{hint}")


def _take(images: ImageSet, rows: npt.NDArray[np.int64]) -> ImageSet:
    taken = replace(
        images,
        pixels=_take_pixels(images, rows),
        labels=images.labels[rows],
        image_ids=images.ids_of(rows),
        splits=images.splits[rows],
        groups=_take_names(images.groups, rows),
        sources=_take_names(images.sources, rows),
        originals=None if images.originals is None else images.originals[rows],
    )
    return _keep_hashes(taken, images, rows)


def _take_pixels(images: ImageSet, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """The pixels of `rows`; not copied where that changes nothing, as where only equal images change places."""
    if len(rows) != len(images.pixels):
        return images.pixels[rows]
    hashes = vars(images).get("image_sha256")
    moved = np.flatnonzero(rows != np.arange(len(rows))).tolist()
    if not moved or (hashes and all(hashes[place] == hashes[rows[place]] for place in moved)):
        return images.pixels
    return images.pixels[rows]


def _keep_hashes(images: ImageSet, former: ImageSet, rows: npt.NDArray[np.int64] | None = None) -> ImageSet:
    """`images`, whose pixels are those of `former` (its `rows`), with the hashes that are known of them."""
    hashes: tuple[str, ...] | None = vars(former).get("image_sha256")
    if hashes is None:
        return images
    return with_hashes(images, hashes if rows is None else tuple(hashes[row] for row in rows.tolist()))


def _take_names(names: Sequence[str] | None, rows: npt.NDArray[np.int64]) -> tuple[str, ...] | None:
    return None if names is None else tuple(names[row] for row in rows.tolist())
