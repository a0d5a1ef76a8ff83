"""Splits images into training, validation and test: stratified, and by their pixels alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from trainables.errors import DataError
from trainables.store import layout

TRAIN, VALIDATION, TEST = (layout.SPLITS.index(split) for split in ("train", "validation", "test"))

UNGIVEN = -1
"""Of an image that came without a split."""

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
    given: npt.NDArray[np.int8] | None = None,
    groups: Sequence[str] | None = None,
) -> npt.NDArray[np.int8]:
    """The split of each image, int8 (images,), positions in `layout.SPLITS`.

    `validation` and `test` are shares, which hold within each class and in total (largest remainder) to about one image a
    class. The split of an image follows from `seed` and its hash, not from order or names. Equal images get the same split,
    under the lowest of their labels, so that no image is both trained on and evaluated on. A class with at least three
    distinct images has one in each split; one with fewer has one in `train`.

    `given` is a split that came with the data, int8 (images,), `UNGIVEN` for an image without one. Validation and test images
    stay what they are, even where an image outside equals one inside; of the others, those splits are dealt that did not come,
    and their shares are of these others.

    `groups` names what must not fall into two splits, one for each image. Equal images join their groups. Groups are dealt as a
    whole, so that shares hold as far as their sizes allow. Where images of one group came in two splits, they stay there.

    Raises `DataError` where a split that is assigned here would have fewer images than there are classes, or there are fewer
    groups than splits.
    """
    fixed = np.zeros(len(labels), bool) if given is None else (given == VALIDATION) | (given == TEST)
    outside = np.flatnonzero(~fixed)
    came = set() if given is None else set(given[fixed].tolist())
    dealt_splits = tuple(split for split in (TRAIN, VALIDATION, TEST) if split not in came)
    shares = {
        split: share for split, share in ((VALIDATION, validation), (TEST, test)) if split in dealt_splits and share
    }
    splits = np.full(len(labels), TRAIN, np.int8)
    if given is not None:
        splits[fixed] = given[fixed]
    if dealt_splits != (TRAIN,) and len(outside):
        splits[outside] = _deal_all(
            labels[outside],
            [image_sha256[row] for row in outside.tolist()],
            shares,
            seed,
            dealt_splits,
            (None if groups is None else [groups[row] for row in outside.tolist()]),
        )
    _require_one_a_class(splits, len(np.unique(labels)), dealt_splits)
    return splits


def _deal_all(
    labels: npt.NDArray[np.int64],
    image_sha256: Sequence[str],
    shares: Mapping[int, float],
    seed: int,
    dealt_splits: tuple[int, ...],
    groups: Sequence[str] | None,
) -> npt.NDArray[np.int8]:
    """The split of each image, none of which has one."""
    units, names = _number_units(image_sha256, groups)
    keys = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names]
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
    classes, place = np.unique(labels, return_inverse=True)
    _require_large_enough_shares(len(labels), len(classes), shares)
    if groups is not None:
        counts = np.zeros((len(names), len(classes)), np.int64)
        np.add.at(counts, (units, place), 1)
        return _deal_groups(counts, order, shares, dealt_splits)[units]
    sizes = np.bincount(units, minlength=len(keys))
    class_of = np.full(len(keys), np.iinfo(np.int64).max)
    np.minimum.at(class_of, units, labels)
    classes, place = np.unique(class_of, return_inverse=True)
    images = np.bincount(place, weights=sizes, minlength=len(classes)).astype(np.int64)
    quotas = {split: _quotas(images, shares.get(split, 0.0)) for split in (VALIDATION, TEST)}
    by_class = order[np.argsort(place[order], kind="stable")]
    units_of = np.split(by_class, np.cumsum(np.bincount(place, minlength=len(classes)))[:-1])
    of_unit = np.empty(len(keys), np.int8)
    for mine, for_validation, for_test in zip(
        units_of, quotas[VALIDATION].tolist(), quotas[TEST].tolist(), strict=False
    ):
        of_unit[mine] = _deal(sizes[mine], for_validation, for_test, dealt_splits)
    return of_unit[units]


def _number_units(image_sha256: Sequence[str], groups: Sequence[str] | None) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The number of each image's unit, int64 (images,), and a name for each unit that depends on nothing but what is in it.

    A unit is a set of equal images, or groups that equal images join.
    """
    if groups is None:
        number: dict[str, int] = {}
        units = [number.setdefault(digest, len(number)) for digest in image_sha256]
        return np.array(units, np.int64), list(number)
    return join_groups(image_sha256, groups)


def number_groups(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """A number for each of `names`, int64 (images,), from 0 in the order of the alphabet.

    >>> number_groups(["b", "a", "b"]).tolist()
    [1, 0, 1]
    """
    place = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([place[name] for name in names], np.int64)


def join_groups(image_sha256: Sequence[str], groups: Sequence[str]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The number of each image's group, int64 (images,), where groups that share an equal image are one; and their names.

    The name of groups that were joined is the first of theirs in the alphabet.
    """
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    first: dict[str, str] = {}
    for digest, group in zip(image_sha256, groups, strict=True):
        one, other = sorted((top(group), top(first.setdefault(digest, group))))
        above[other] = one
    number: dict[str, int] = {}
    units = [number.setdefault(top(group), len(number)) for group in groups]
    return np.array(units, np.int64), list(number)


def _deal_groups(
    counts: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    shares: Mapping[int, float],
    dealt_splits: tuple[int, ...],
) -> npt.NDArray[np.int8]:
    """The split of each group, int8 (groups,); `counts` int64 (groups, classes) are its images of each class.

    Groups are dealt from the largest to the smallest, of equals in `order`, each to the split that its classes are farthest
    behind in, in shares of what that split is to have: so that a small split is not filled by the first large group. Then a split without a
    group gets the smallest one of the split that has most.
    """
    if len(counts) < len(dealt_splits):
        raise DataError(
            f"data.group makes {len(counts)} group(s) of the images, but {len(dealt_splits)} splits need one each: name a finer "
            "group, or give the split with the data"
        )
    in_all = counts.sum(0)
    share_of = {TRAIN: 1 - sum(shares.values()), **shares}
    wanted = np.stack([share_of.get(split, 0.0) * in_all for split in dealt_splits])
    left = wanted.copy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    sizes = counts.sum(1)
    splits = np.empty(len(counts), np.int8)
    for group in np.lexsort((rank, -sizes)).tolist():
        mine = counts[group]
        # Images of a class weigh by how rare it is: else a large class alone decides.
        weights = mine / np.maximum(in_all, 1)
        behind = (weights * left / np.maximum(wanted, 1e-9)).sum(1)
        fits = (left - mine >= -0.5).all(1, where=mine > 0)
        best = int(np.lexsort((-behind, ~fits))[0])
        splits[group] = dealt_splits[best]
        left[best] -= mine
    for split in dealt_splits:
        held = np.bincount(splits, minlength=len(layout.SPLITS))
        if not held[split]:
            richest = int(held.argmax())
            candidates = np.flatnonzero(splits == richest)
            splits[candidates[np.lexsort((rank[candidates], sizes[candidates]))[0]]] = split
    return splits


def _require_large_enough_shares(images: int, classes: int, shares: Mapping[int, float]) -> None:
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
