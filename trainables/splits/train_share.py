"""Selects a share of the training images: the same share of each class, and nested."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from trainables.splits.bagging import Group, list_groups


def choose_share(
    labels: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    share: float,
    groups: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int64]:
    """`share` of `rows` (positions in `labels`) of each class, rounded, at least one of each class; ascending.

    The selection follows from the rows' numbers alone, and a larger share contains every smaller one: a learning curve over
    shares only adds images. Where images have `groups` (int64, as long as `labels`), whole groups are selected: of each class those
    whose middle lies within the share, at least one.
    """
    if share >= 1:
        return rows
    if groups is not None:
        return _choose_groups(list_groups(labels, rows, groups), share)
    order = np.array(sorted(rows.tolist(), key=lambda row: hashlib.sha256(f"share/{row}".encode()).digest()), np.int64)
    selected = []
    for label in np.unique(labels[rows]):
        of_class = order[labels[order] == label]
        selected.append(of_class[: max(1, int(share * len(of_class) + 0.5))])
    return np.sort(np.concatenate(selected))


def _choose_groups(groups: list[Group], share: float) -> npt.NDArray[np.int64]:
    selected: list[npt.NDArray[np.int64]] = []
    for label in sorted({group.label for group in groups}):
        of_class = [group.rows for group in groups if group.label == label]
        of_class.sort(key=lambda held: hashlib.sha256(f"share/{held[0]}".encode()).digest())
        sizes = np.array([len(held) for held in of_class])
        within = int((np.cumsum(sizes) - sizes / 2 <= share * sizes.sum()).sum())
        selected += of_class[: max(1, within)]
    return np.sort(np.concatenate(selected))
