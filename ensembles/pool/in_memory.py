"""Candidates that can be read member by member: from a store, or from a pool that is in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from ensembles.pool.pool import PredictionPool
from ensembles.pool.streaming import StreamedMean
from ensembles.pool.true_class import TrueClassPool, take_true_class_pool
from trainables.errors import MismatchedPredictions
from trainables.results.checkpoint import CheckpointId


class Candidates(Protocol):
    """Candidates as the correction of a score needs them; `StoredPool` and `WholePool` implement it."""

    @property
    def true_class(self) -> TrueClassPool:
        """Each candidate's probability of the true class on validation."""

    def read(self, members: Iterable[CheckpointId], split: str) -> PredictionPool:
        """The whole predictions of `members`, in the order of the pool."""

    def mean(self, split: str) -> StreamedMean:
        """The mean of all candidates."""


@dataclass(frozen=True, eq=False)
class WholePool(Candidates):
    """The candidates of a pool in memory, on its one split."""

    pool: PredictionPool

    @cached_property
    @override
    def true_class(self) -> TrueClassPool:
        return take_true_class_pool(self.pool)

    def read(self, members: Iterable[CheckpointId], split: str) -> PredictionPool:
        """As the protocol says; nothing is copied if all are requested. Raises `MismatchedPredictions` for another split."""
        self._check(split)
        asked = set(members)
        positions = [position for position, each in enumerate(self.pool.members) if each in asked]
        return self.pool if len(positions) == len(self.pool.members) else take(self.pool, positions)

    @override
    def mean(self, split: str) -> StreamedMean:
        self._check(split)
        total = np.zeros(self.pool.probabilities.shape[1:])
        for probabilities in self.pool.probabilities:
            total += probabilities
        return StreamedMean(total / len(self.pool.members), self.pool.members, ())

    def _check(self, split: str) -> None:
        if split != self.pool.split:
            raise MismatchedPredictions(f"a pool of {self.pool.split} was asked for predictions on {split}")


def take(
    pool: PredictionPool,
    positions: Sequence[int] | npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64] | None = None,
) -> PredictionPool:
    """The pool of these members and images alone (`rows` left out: all images); an image may occur more than once."""
    found = [pool.probabilities[position] for position in positions]
    return PredictionPool(
        pool.data_id,
        pool.split,
        tuple(pool.members[position] for position in positions),
        np.stack(found if rows is None else [probabilities[rows] for probabilities in found]),
        pool.labels if rows is None else pool.labels[rows],
        pool.class_names,
        groups=pool.groups if rows is None or pool.groups is None else pool.groups[rows],
    )
