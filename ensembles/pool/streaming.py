"""Reads every candidate once without holding all: one pass over the files, a few in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.pool.alignment import READERS, Manifests, images_of, predictions_of, read_in_order
from ensembles.pool.pool import nobody_left
from trainables.data.data_table import DataTable
from trainables.errors import MismatchedPredictions
from trainables.results.checkpoint import CheckpointId
from trainables.results.predictions import Predictions
from trainables.store.base import Store


@dataclass(frozen=True, eq=False)
class StreamedMean:
    """The mean of many members, none of which stays in memory.

    probabilities    float64 (images, classes), equal to the soft `vote` of the same members
    members          the members that were averaged
    left_out         members that could not be used, each with the reason
    """

    probabilities: npt.NDArray[np.float64]
    members: tuple[CheckpointId, ...]
    left_out: tuple[tuple[CheckpointId, str], ...]


def stream(
    store: Store,
    members: Sequence[CheckpointId],
    split: str,
    table: DataTable,
    readers: int = READERS,
    manifests: Manifests | None = None,
) -> Iterator[tuple[CheckpointId, Predictions | str]]:
    """The predictions of `members` on `split` in their order, or the reason why they cannot be used. Hardly
    more than `readers` files are held at a time. Raises `StoreError` if the store does not answer."""
    images = images_of(table, split)
    return read_in_order(lambda member: predictions_of(store, member, images, manifests), members, readers)


def stream_mean(
    store: Store,
    members: Sequence[CheckpointId],
    split: str,
    table: DataTable,
    weights: Sequence[float] | None = None,
    readers: int = READERS,
    manifests: Manifests | None = None,
) -> StreamedMean:
    """The mean of the members' probabilities on `split`, each counted once or by its weight, summed in their order.

    Members that cannot be used are left out and named, and the weights of the others are normalised to their sum. Raises
    `MismatchedPredictions` if no member is left.
    """
    total = np.zeros((len(table.rows(split)), len(table.class_names)))
    weight_of = dict(zip(members, weights if weights is not None else (1.0,) * len(members), strict=True))
    used, left_out, sum_of_weights = [], [], 0.0
    for member, found in stream(store, members, split, table, readers, manifests):
        if isinstance(found, str):
            left_out.append((member, found))
            continue
        # Without weights nothing is multiplied: sums of float32 in float64 are exact, so that ties stay ties.
        total += found.probabilities if weights is None else weight_of[member] * found.probabilities.astype(np.float64)
        sum_of_weights += weight_of[member]
        used.append(member)
    if not used:
        raise MismatchedPredictions(nobody_left(split, len(members), left_out))
    total /= sum_of_weights
    return StreamedMean(total, tuple(used), tuple(left_out))
