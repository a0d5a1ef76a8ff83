"""Which training images are trained on where only a share of them is: of each class alike, and nested."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt


def choose_share(labels: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.int64]:
    """`share` of `rows` (positions in `labels`) of each class, rounded, at least one of a class; rising.

    Who is chosen follows from the rows' numbers alone, and a larger share holds all that a smaller one does: so a
    learning curve over shares adds images and takes none away.
    """
    if share >= 1:
        return rows
    order = np.array(sorted(rows.tolist(), key=lambda row: hashlib.sha256(f"share/{row}".encode()).digest()), np.int64)
    selected = []
    for label in np.unique(labels[rows]):
        of_class = order[labels[order] == label]
        selected.append(of_class[: max(1, int(share * len(of_class) + 0.5))])
    return np.sort(np.concatenate(selected))
