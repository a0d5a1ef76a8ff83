"""All candidates' predictions on one split, side by side, proved to be of the same images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trainables.checkpoint import CheckpointId, read_predictions
from trainables.data_table import DataTable
from trainables.errors import DamagedObject, MismatchedPredictions, ObjectMissing
from trainables.predictions import Predictions
from trainables.record import TrialRecord
from trainables.store import Store

READERS = 10
"""Predictions read at a time: a bucket answers after some 20 ms, and boto3 keeps at most ten connections open."""


@dataclass(frozen=True, eq=False)
class PredictionPool:
    """Candidates' class probabilities on one split, valid by construction.

    members          the candidates, all different
    probabilities    float32 (members, images, classes)
    labels           int64 (images,), positions in `class_names`
    left_out         candidates whose predictions could not be used, each with the reason
    """

    data_id: str
    split: str
    members: tuple[CheckpointId, ...]
    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    left_out: tuple[tuple[CheckpointId, str], ...] = ()

    def __post_init__(self) -> None:
        expected = (len(self.members), len(self.labels), len(self.class_names))
        if self.probabilities.shape != expected or self.probabilities.dtype != np.float32:
            raise MismatchedPredictions(
                f"the pool's probabilities are {self.probabilities.dtype}{self.probabilities.shape}, "
                f"not float32{expected} (members, images, classes)"
            )
        if 0 in expected:
            raise MismatchedPredictions(
                f"split {self.split} of data {self.data_id} has {expected[0]} members, {expected[1]} images and "
                f"{expected[2]} classes: a vote needs at least one of each"
            )
        if len(set(self.members)) != len(self.members):
            raise MismatchedPredictions("a checkpoint stands in the pool twice: name each candidate once")

    def position(self, member: CheckpointId) -> int:
        """Where `member` stands in `members`. Raises `MismatchedPredictions` where it does not."""
        try:
            return self.members.index(member)
        except ValueError:
            reason = dict(self.left_out).get(member, "it was no candidate")
            raise MismatchedPredictions(
                f"{member} has no predictions on {self.split} to vote with ({reason}): "
                "run the sweep again to make them, or choose the team anew"
            ) from None


def read_pool(store: Store, members: Sequence[CheckpointId], split: str, table: DataTable) -> PredictionPool:
    """The predictions of `members` on `split`, in their order.

    Predictions that are missing or damaged, or are not of the images of `table`, are left out and named in
    `left_out`. Raises `MismatchedPredictions` where none is left, and `StoreError` where the store does not answer:
    a store that fails for a moment must not change who votes.
    """
    rows, labels_sha256 = table.rows(split), table.labels_sha256(split)
    probabilities = np.empty((len(members), len(rows), len(table.class_names)), np.float32)

    def fill(position: int) -> str | None:
        try:
            found = read_predictions(store, members[position], split)
        except (ObjectMissing, DamagedObject, MismatchedPredictions) as error:
            return str(error)
        reason = _why_not(found, table.data_id, split, labels_sha256, rows, len(table.class_names))
        if reason is None:
            probabilities[position] = found.probabilities
        return reason

    with ThreadPoolExecutor(READERS) as readers:
        reasons = list(readers.map(fill, range(len(members))))
    kept = [position for position, reason in enumerate(reasons) if reason is None]
    left_out = tuple((members[position], reason) for position, reason in enumerate(reasons) if reason is not None)
    if not kept:
        first = f"; {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
        raise MismatchedPredictions(
            f"none of {len(members)} checkpoints has predictions on {split} to vote with{first}"
        )
    return PredictionPool(
        data_id=table.data_id,
        split=split,
        members=tuple(members[position] for position in kept),
        probabilities=probabilities[kept] if left_out else probabilities,
        labels=table.labels_of(split),
        class_names=table.class_names,
        left_out=left_out,
    )


def _why_not(
    found: Predictions, data_id: str, split: str, labels_sha256: str, rows: npt.NDArray[np.int64], classes: int
) -> str | None:
    """Why predictions do not line up, or None where they do."""
    if found.data_id != data_id:
        return f"its predictions are of data {found.data_id}, not {data_id}"
    if found.split != split:
        return f"its predictions are of split {found.split}, not {split}"
    if found.probabilities.shape[1] != classes:
        return f"its predictions know {found.probabilities.shape[1]} classes, not {classes}"
    if not np.array_equal(found.rows, rows):
        return f"its {len(found.rows)} predictions are not of the {len(rows)} images of {split} in their order"
    if found.labels_sha256 != labels_sha256:
        return f"its predictions were made for other labels of {split}"
    return None


def candidates(records: Iterable[TrialRecord], pool: Literal["best", "every"]) -> list[CheckpointId]:
    """Who could vote, in the order of `records`: each trial at its best epoch, or at every epoch (rising)."""
    if pool == "best":
        return [CheckpointId(record.trial_id, record.best.epoch) for record in records if record.best]
    return [CheckpointId(record.trial_id, result.epoch) for record in records for result in record.epochs]
