"""A rung: the accuracies of the trials that came to one epoch, kept in order."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator

ROUNDING = 1e-9
"""The interpolated cut-off of 16 trials is 1e-16 above the sixth best, which it should be; accuracies differ by far more."""

Key = tuple[float, int, str]
"""Sorts the best first: minus the accuracy (infinite if that is no number), the order of arrival, `trial_id`."""


class Rung:
    """The trials that reached one rung, in order of accuracy; among equals, the one that came first.

    An accuracy that is no number ranks last. It counts as an arrival but not for the cut-off, which is that of the
    finite ones: taken as minus infinity it would make the interpolated cut-off minus infinity wherever it is the lower
    neighbour, and all would pass. Such a trial counts like one that diverges earlier and never comes to the rung.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._keys: dict[str, Key] = {}
        self._best_first: list[Key] = []
        """Keys of finite accuracies only."""

    def add(self, trial_id: str, accuracy: float) -> None:
        """Add a result to the rung; each trial comes once."""
        key = (-accuracy if math.isfinite(accuracy) else math.inf, len(self._keys), trial_id)
        self._keys[trial_id] = key
        if self.is_finite(trial_id):
            insort(self._best_first, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, trial_id: str) -> bool:
        return trial_id in self._keys

    def __iter__(self) -> Iterator[str]:
        """All trials in the order in which they came."""
        return iter(self._keys)

    def ranked(self) -> Iterator[str]:
        """Trials with a finite accuracy, the best first."""
        return (trial_id for _, _, trial_id in self._best_first)

    def key(self, trial_id: str) -> Key:
        """The key by which trials of this rung sort, the best first."""
        return self._keys[trial_id]

    def is_finite(self, trial_id: str) -> bool:
        """Whether its accuracy is a number."""
        return self._keys[trial_id][0] < math.inf

    def rank(self, trial_id: str) -> int:
        """Its rank, counted from 1; equals share one."""
        return 1 + bisect_left(self._best_first, (self._keys[trial_id][0], -1, ""))

    def is_among_best(self, trial_id: str, count: int) -> bool:
        """Whether it is one of the best `count`; among equals, the one that came first is."""
        return self.is_finite(trial_id) and bisect_left(self._best_first, self._keys[trial_id]) < count

    def passes(self, trial_id: str, reduction: int) -> bool:
        """Whether it is not below the cut-off."""
        cutoff = self.cutoff(reduction)
        return cutoff is not None and -self._keys[trial_id][0] >= cutoff - ROUNDING

    def cutoff(self, reduction: int) -> float | None:
        """The accuracy that the best one in `reduction` have, interpolated as numpy's `percentile` does.

        It is `np.nanpercentile(accuracies, 100 * (1 - 1 / reduction))`, read off the order in constant time; None
        without a finite accuracy.
        """
        if not self._best_first:
            return None
        whole, part = divmod(len(self._best_first) - 1, reduction)
        upper = -self._best_first[whole][0]
        if part == 0:
            return upper
        lower = -self._best_first[whole + 1][0]
        return upper - (upper - lower) * part / reduction

    def describe(self, trial_id: str) -> str:
        """The rank as text: `rung 2, rank 5 of 6`."""
        rank = f"{self.name}, rank {self.rank(trial_id)} of {len(self)}"
        return rank if self.is_finite(trial_id) else f"{rank}: its validation accuracy is not a number"


def rung_epochs(first: int, reduction: int, last: int) -> list[int]:
    """The epochs of rungs that rise by `reduction` from `first`, none above `last`.

    >>> rung_epochs(1, 3, 27)
    [1, 3, 9, 27]

    Raises `ValueError` where there are none, or no end of them.
    """
    if reduction < 2:
        raise ValueError(f"reduction is {reduction}: at least 2, or no trial is left behind")
    if not 1 <= first <= last:
        raise ValueError(f"the first rung is epoch {first}: from 1 to max_epochs, which is {last}")
    epochs = [first]
    while epochs[-1] * reduction <= last:
        epochs.append(epochs[-1] * reduction)
    return epochs
