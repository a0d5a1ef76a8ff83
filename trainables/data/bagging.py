"""Which training images a member of a bag sees: a bootstrap of them, or all but one fold."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from trainables.config.trial import BagConfig


def choose_bag(
    labels: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], bag: BagConfig, data_id: str
) -> npt.NDArray[np.int64]:
    """Those of `rows` (positions in `labels`) that are trained on; rising, those drawn twice of a bootstrap twice.

    A bootstrap has as many images as `rows`, drawn with replacement within each class (Breiman 1996 draws from all
    classes at once, by which a small class may get lost). Folds are dealt class by class: they differ by at most one
    image, and by at most one of each class. Both follow from `data_id`, which names images and split, so they are the
    same for every configuration.
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
    """The fold (1 to `of`) of each of `rows`, int64 (rows,): by their hashes in turn, class after class."""
    places = sorted(range(len(rows)), key=lambda at: (labels[rows[at]], _draw(f"fold/{data_id}/{rows[at]}")))
    folds = np.empty(len(rows), np.int64)
    folds[places] = np.arange(len(rows)) % of + 1
    return folds


def _draw(name: str) -> int:
    """A whole number below 2**64: the remainder by any number of images is as good as uniform."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
