"""The training images of a member of a bag: a bootstrap of them, or all but one fold."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from trainables.config.trial import BagConfig


def choose_bag(
    labels: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], bag: BagConfig, data_id: str
) -> npt.NDArray[np.int64]:
    """The members of `rows` (positions in `labels`) that are trained on, ascending; rows that a bootstrap draws twice, twice.

    A bootstrap has as many images as `rows`, drawn with replacement within each class (Breiman 1996 draws from all
    classes at once, so a small class may vanish). Folds are stratified: their sizes differ by at most one image, in total and
    for each class. Both follow from `data_id`, which identifies images and split, so they are the same for every configuration.
    """
    if bag.kind == "none":
        return rows
    if bag.kind == "fold":
        kept: npt.NDArray[np.int64] = rows[choose_folds(labels, rows, bag.of, data_id) != bag.number]
        return kept
    drawn = []
    for label in np.unique(labels[rows]):
        of_class = rows[labels[rows] == label]
        name = f"bootstrap/{data_id}/{bag.number}/{label}"
        drawn.append(of_class[[_draw(f"{name}/{at}") % len(of_class) for at in range(len(of_class))]])
    return np.sort(np.concatenate(drawn))


def choose_folds(
    labels: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], of: int, data_id: str
) -> npt.NDArray[np.int64]:
    """The fold (1 to `of`) of each of `rows`, int64 (rows,): assigned in the order of hashes, class after class."""
    places = sorted(range(len(rows)), key=lambda at: (labels[rows[at]], _draw(f"fold/{data_id}/{rows[at]}")))
    folds = np.empty(len(rows), np.int64)
    folds[places] = np.arange(len(rows)) % of + 1
    return folds


def _draw(name: str) -> int:
    """An integer below 2**64: its remainder by any number of images is practically uniform."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
