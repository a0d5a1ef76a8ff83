"""The training images of a member of a bag: a bootstrap of them, or all but one fold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.config.trial import BagConfig


def choose_bag(
    labels: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    bag: BagConfig,
    data_id: str,
    groups: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int64]:
    """The members of `rows` (positions in `labels`) that are trained on, ascending; rows that a bootstrap draws twice, twice.

    A bootstrap has as many images as `rows`, drawn with replacement within each class (Breiman 1996 draws from all
    classes at once, so a small class may vanish). Folds are stratified: their sizes differ by at most one image, in total and
    for each class. Where images have `groups` (int64, as long as `labels`), a bootstrap draws groups, as many as there are of each
    class, and a fold holds whole groups. Both follow from `data_id`, which identifies images and split, so they are the same for every configuration.
    """
    if bag.kind == "none":
        return rows
    if bag.kind == "fold":
        kept: npt.NDArray[np.int64] = rows[choose_folds(labels, rows, bag.of, data_id, groups) != bag.number]
        return kept
    if groups is not None:
        return _draw_groups(list_groups(labels, rows, groups), f"bootstrap/{data_id}/{bag.number}")
    drawn = []
    for label in np.unique(labels[rows]):
        of_class = rows[labels[rows] == label]
        name = f"bootstrap/{data_id}/{bag.number}/{label}"
        drawn.append(of_class[[_draw(f"{name}/{at}") % len(of_class) for at in range(len(of_class))]])
    return np.sort(np.concatenate(drawn))


def choose_folds(
    labels: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    of: int,
    data_id: str,
    groups: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int64]:
    """The fold (1 to `of`) of each of `rows`, int64 (rows,): assigned in the order of hashes, class after class.

    With `groups` (int64, as long as `labels`) each group goes, from the largest to the smallest of its class, to the fold that has
    the fewest images of this class, of equals to the one with the fewest in all.
    """
    if groups is not None:
        return _deal_folds(labels, rows, of, data_id, groups)
    places = sorted(range(len(rows)), key=lambda at: (labels[rows[at]], _draw(f"fold/{data_id}/{rows[at]}")))
    folds = np.empty(len(rows), np.int64)
    folds[places] = np.arange(len(rows)) % of + 1
    return folds


@dataclass(frozen=True, eq=False)
class Group:
    """Images of one group: the class that most of them have (of equals the lowest), and their positions, int64 (images,), ascending."""

    label: int
    rows: npt.NDArray[np.int64]


def list_groups(
    labels: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]
) -> list[Group]:
    """The groups of `rows` (positions in `labels` and `groups`), by class and then by first position."""
    order = rows[np.argsort(groups[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    found = [Group(int(np.bincount(labels[held]).argmax()), np.sort(held)) for held in np.split(order, starts)]
    return sorted(found, key=lambda group: (group.label, group.rows[0]))


def _draw_groups(groups: list[Group], name: str) -> npt.NDArray[np.int64]:
    drawn: list[npt.NDArray[np.int64]] = []
    for label in sorted({group.label for group in groups}):
        of_class = [group for group in groups if group.label == label]
        drawn += [of_class[_draw(f"{name}/{label}/{at}") % len(of_class)].rows for at in range(len(of_class))]
    return np.sort(np.concatenate(drawn))


def _deal_folds(
    labels: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], of: int, data_id: str, groups: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    found = list_groups(labels, rows, groups)
    fold_of = np.zeros(len(labels), np.int64)
    held = np.zeros(of, np.int64)
    for label in sorted({group.label for group in found}):
        of_class = np.zeros(of, np.int64)
        mine = [group for group in found if group.label == label]
        for group in sorted(mine, key=lambda one: (-len(one.rows), _draw(f"fold/{data_id}/{one.rows[0]}"))):
            fold = int(np.lexsort((held, of_class))[0])
            fold_of[group.rows] = fold + 1
            of_class[fold] += len(group.rows)
            held[fold] += len(group.rows)
    return fold_of[rows]


def _draw(name: str) -> int:
    """An integer below 2**64: its remainder by any number of images is practically uniform."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
