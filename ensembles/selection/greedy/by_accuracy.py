"""Greedy by accuracy: an image is evaluated again only while some candidate can change the team's prediction for it.

The minimum and maximum that any candidate gives to each class decide most images for all candidates at once: with 200
candidates and 10 classes two fifths of them after one pick, nine tenths after eight. Of the others only the classes that could
still win are read, and these values stay cached for the next pick.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.config import TieRule
from ensembles.selection.greedy.running_mean import make_sum

BLOCK_VALUES = 2**17
"""Numbers that are processed at a time, 512 KiB: with their results they fit in the cache of one core."""

DOUBT = 2e-6
"""Leads below this are resolved in the arithmetic of the rule: three float32 roundings of numbers up to one, twice."""

CACHE_SHARE = 0.03
"""Share of the pool's memory that the cache may take."""


@dataclass(frozen=True, eq=False)
class _OpenImages:
    """Images whose prediction some candidate could change, grouped by a similar number of rival classes.

    rows          int64 (images,)
    true_cells    int64 (images,), cells of the true class, in a member's flattened predictions
    rivals        int64 (rivals, images), cells of the classes that could win instead; of an image with fewer, some twice
    """

    rows: npt.NDArray[np.int64]
    true_cells: npt.NDArray[np.int64]
    rivals: npt.NDArray[np.int64]


class _CellCache:
    """Cells of all members' predictions, cached from the pick before."""

    def __init__(self, flat: npt.NDArray[np.float32]) -> None:
        self._flat = flat
        self._most = int(flat.shape[1] * CACHE_SHARE)
        self._cached: npt.NDArray[np.float32] | None = None
        self._cells = np.empty(0, np.int64)
        self._place = np.full(flat.shape[1], -1, np.int32)
        self._next: npt.NDArray[np.int64] | None = None
        self._from = self._missing = self._cells

    def request(self, cells: npt.NDArray[np.int64]) -> None:
        """Set the cells that `read` will return for every member."""
        self._next = None
        if self._cached is None and 0 < len(cells) <= self._most:
            self._cached = np.empty((len(self._flat), min(self._most, len(cells) + len(cells) // 4)), np.float32)
        if self._cached is not None and len(cells) <= self._cached.shape[1]:
            self._from = self._place[cells].astype(np.int64)
            self._missing = np.flatnonzero(self._from < 0)
            self._next = cells

    def read(self, start: int, cells: npt.NDArray[np.int64], buffer: npt.NDArray[np.float32]) -> None:
        """Read the cells of member `start` and the following ones into `buffer`, float32 (members, cells)."""
        if self._cached is None or self._next is None:
            for place, target in enumerate(buffer, start=start):
                np.take(self._flat[place], cells, out=target, mode="clip")
            return
        cached = self._cached[start : start + len(buffer)]
        if len(self._missing) < len(cells):
            np.take(cached, self._from, axis=1, out=buffer, mode="clip")
        if len(self._missing):
            for place, target in enumerate(buffer, start=start):
                target[self._missing] = self._flat[place][cells[self._missing]]
        cached[:, : len(cells)] = buffer

    def close(self) -> None:
        """Mark the requested cells as cached, once all members have been read."""
        if self._next is not None:
            self._place[self._cells] = -1
            self._cells = self._next
            self._place[self._cells] = np.arange(len(self._cells), dtype=np.int32)


class AccuracyCosts:
    """Errors of the team with each candidate, in the arithmetic of `ties`."""

    def __init__(self, probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], ties: TieRule) -> None:
        self._pool, self._labels, self._ties = probabilities, labels, ties
        self._team = make_sum(ties, probabilities.shape[1:])
        self._least, self._most = probabilities[0].copy(), probabilities[0].copy()
        for one in probabilities[1:]:
            np.minimum(self._least, one, out=self._least)
            np.maximum(self._most, one, out=self._most)
        self._swing = max(1.0, float(self._most.max()))
        self._doubt = DOUBT * self._swing
        self._right = np.zeros(len(labels), bool)
        self._until = np.full(len(labels), -1, np.int64)
        self._cache = _CellCache(probabilities.reshape(len(probabilities), -1))

    def costs_with_each(self, allowed: npt.NDArray[np.bool_], everyone: bool = False) -> npt.NDArray[np.float64]:
        """Cost of the team with each candidate, float64 (members,); infinite for candidates that are not allowed."""
        right = self._count() if self._team.count else self._count_alone()
        share = right / len(self._labels)
        return np.where(allowed, -share if self._ties == "caucus" else 1 - share, np.inf)

    def add(self, position: int) -> None:
        """Add the candidate at `position` to the team."""
        self._team.add(self._pool[position])

    def _count_alone(self) -> npt.NDArray[np.int64]:
        """Scaling float32 in float64 makes no ties: the likeliest class is that of the predictions themselves."""
        return np.array([np.count_nonzero(one.argmax(1) == self._labels) for one in self._pool])

    def _count(self) -> npt.NDArray[np.int64]:
        """Images that the team has right with each candidate, int64 (members,)."""
        sure, groups = self._open()
        members = len(self._pool)
        right = np.full(members, sure)
        if not groups:
            return right
        cells = np.concatenate([part for group in groups for part in (group.true_cells, group.rivals.reshape(-1))])
        rows, classes = cells // self._pool.shape[2], cells % self._pool.shape[2]
        base, share = self._team.base((rows, classes)).astype(np.float32), np.float32(self._team.share)
        block = max(1, BLOCK_VALUES // len(cells))
        buffer = np.empty((min(block, members), len(cells)), np.float32)
        self._cache.request(cells)
        for start in range(0, members, block):
            work = buffer[: members - start]
            self._cache.read(start, cells, work)
            work *= share
            work += base
            low = 0
            for group in groups:
                middle, high = low + len(group.rows), low + len(group.rows) + group.rivals.size
                lead, rivals = work[:, low:middle], work[:, middle:high]
                low = high
                for nth in range(len(group.rivals)) if len(group.rivals) < 4 else ():
                    part = rivals[:, nth * len(group.rows) : (nth + 1) * len(group.rows)]
                    np.maximum(part, rivals[:, : len(group.rows)], out=rivals[:, : len(group.rows)])
                if len(group.rivals) >= 4:
                    rivals = rivals.reshape(len(work), *group.rivals.shape).max(axis=1)
                lead -= rivals[:, : len(group.rows)]
                right[start : start + len(work)] += (lead > self._doubt).sum(axis=1)
                np.abs(lead, out=lead)
                if lead.min() <= self._doubt:
                    doubted, images = np.nonzero(lead <= self._doubt)
                    self._resolve_doubtful(right, start + doubted, group.rows[images])
        self._cache.close()
        return right

    def _resolve_doubtful(
        self, right: npt.NDArray[np.int64], members: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
    ) -> None:
        """Count these members right on these rows where they are, in the arithmetic of the rule."""
        step = max(1, BLOCK_VALUES // 2 // self._pool.shape[2])
        for start in range(0, len(rows), step):
            positions, rows_of_block = members[start : start + step], rows[start : start + step]
            predicted = self._team.scale(self._team.join(self._pool[positions, rows_of_block], rows_of_block)).argmax(1)
            np.add.at(right, positions[predicted == self._labels[rows_of_block]], 1)

    def _open(self) -> tuple[int, list[_OpenImages]]:
        """Number of images that are right with any candidate, and the images that are open."""
        rows = np.flatnonzero(self._until < self._team.count)
        share, classes = np.float32(self._team.share), self._pool.shape[2]
        labels, every = self._labels[rows], np.arange(len(rows))
        team = self._team.base(rows).astype(np.float32)
        most, least = self._most[rows], self._least[rows]
        most *= share
        least *= share
        most += team
        least += team
        most_of_true, least_of_true = most[every, labels], least[every, labels]
        best_least = least.max(axis=1)
        most[every, labels] = least[every, labels] = -np.inf
        right_by, wrong_by = least_of_true - most.max(axis=1), least.max(axis=1) - most_of_true
        self._right[rows] = right_by > self._doubt
        # A pick moves no lead by more than the swing, so an image need not be evaluated until its slack is used up.
        slack = (np.maximum(right_by, wrong_by) - 2 * self._doubt) / share
        lasts = np.clip(np.floor(slack / (self._swing * 1.0001) - 1e-3), 0, 2**31).astype(np.int64)
        closed = np.maximum(right_by, wrong_by) > self._doubt
        self._until[rows] = np.where(closed, self._team.count + lasts, -1)
        open_places = np.flatnonzero(~closed)
        can_win = most[open_places] >= (best_least[open_places] - self._doubt)[:, np.newaxis]
        return int(np.count_nonzero(self._right)), _group(rows[open_places], labels[open_places], can_win, classes)


def _group(
    rows: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], can_win: npt.NDArray[np.bool_], classes: int
) -> list[_OpenImages]:
    """Group images by the number of classes that could win, in powers of two."""
    counts = can_win.sum(axis=1)
    rivals = np.nonzero(can_win)[1]
    first = np.cumsum(counts) - counts
    groups, low = [], 0
    for high in (1, 2, 4, 8, 16, 32, classes):
        chosen = np.flatnonzero((counts > low) & (counts <= high))
        low = high
        if len(chosen):
            nth = np.minimum(np.arange(int(counts[chosen].max()))[:, np.newaxis], counts[chosen] - 1)
            start = rows[chosen] * classes
            groups.append(_OpenImages(rows[chosen], start + labels[chosen], start + rivals[first[chosen] + nth]))
    return groups
