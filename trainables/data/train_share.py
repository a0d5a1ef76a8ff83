"""Selects a share of the training images: the same share of each class, and nested."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt


def choose_share(labels: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.int64]:
    """`share` of `rows` (positions in `labels`) of each class, rounded, at least one of each class; ascending.

    The selection follows from the rows' numbers alone, and a larger share contains every smaller one: a learning curve over
    shares only adds images.
    """
    if share >= 1:
        return rows
    order = np.array(sorted(rows.tolist(), key=lambda row: hashlib.sha256(f"share/{row}".encode()).digest()), np.int64)
    selected = []
    for label in np.unique(labels[rows]):
        of_class = order[labels[order] == label]
        selected.append(of_class[: max(1, int(share * len(of_class) + 0.5))])
    return np.sort(np.concatenate(selected))
