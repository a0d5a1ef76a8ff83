"""All candidates' predictions on one split, side by side, verified to be of the same images."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ensembles.pool.alignment import READERS, Manifests, images_of, predictions_of
from ensembles.pool.memory import allocate
from trainables.data.data_table import DataTable
from trainables.errors import MismatchedPredictions
from trainables.results.checkpoint import CheckpointId
from trainables.store.base import Store

IN_FLIGHT_BYTES = 64 * 2**20
"""Memory for files that are being read beside a small pool; beside a large pool it is a tenth of the pool."""


@dataclass(frozen=True, eq=False)
class PredictionPool:
    """Candidates' class probabilities on one split, valid by construction.

    members          the candidates, all different
    probabilities    float32 (members, images, classes)
    labels           int64 (images,), positions in `class_names`
    left_out         candidates whose predictions could not be used, each with the reason
    groups           int64 (images,), numbers of the groups that images belong to, or None: intervals draw whole groups
    """

    data_id: str
    split: str
    members: tuple[CheckpointId, ...]
    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    left_out: tuple[tuple[CheckpointId, str], ...] = ()
    groups: npt.NDArray[np.int64] | None = None

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

    @classmethod
    def from_arrays(
        cls,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        class_names: Sequence[str] | None = None,
        members: Sequence[str] | None = None,
        split: str = "validation",
    ) -> PredictionPool:
        """A pool of predictions from anywhere: to select, vote, calibrate and correct scores without a store.

        `probabilities` are (members, images, classes), rows that add up to 1; `labels` (images,), numbers of classes from 0.
        `members` names the models, `class_names` the classes; left out, they are numbered. Raises `MismatchedPredictions`.
        """
        table, numbers = np.asarray(probabilities, np.float32), np.asarray(labels)
        if table.ndim != 3:
            raise MismatchedPredictions(f"probabilities have shape {table.shape}: (members, images, classes) is needed")
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise MismatchedPredictions(
                f"labels are {numbers.dtype}{numbers.shape}: whole numbers (images,) are needed"
            )
        sums = table.sum(2)
        if not (np.isfinite(table).all() and (table >= 0).all() and np.allclose(sums, 1, atol=1e-3)):
            raise MismatchedPredictions(
                f"probabilities have rows that add up to {sums.min():g} to {sums.max():g}: each adds up to 1, with nothing "
                "below 0; give probabilities, not logits"
            )
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < table.shape[2]:
            raise MismatchedPredictions(
                f"labels run from {numbers.min()} to {numbers.max()}, outside the {table.shape[2]} classes of the probabilities"
            )
        names = members or [f"model-{number}" for number in range(len(table))]
        if len(names) != len(table):
            raise MismatchedPredictions(f"{len(names)} names for {len(table)} members: give one a member")
        return cls(
            data_id="arrays",
            split=split,
            members=tuple(CheckpointId(name, 1) for name in names),
            probabilities=table,
            labels=numbers.astype(np.int64),
            class_names=tuple(class_names or map(str, range(table.shape[2]))),
        )

    @cached_property
    def _positions(self) -> dict[CheckpointId, int]:
        return {member: position for position, member in enumerate(self.members)}

    def position(self, member: CheckpointId) -> int:
        """The position of `member` in `members`. Raises `MismatchedPredictions` if it is not there."""
        try:
            return self._positions[member]
        except KeyError:
            reason = dict(self.left_out).get(member, "it was no candidate")
            raise MismatchedPredictions(
                f"{member} has no predictions on {self.split} to vote with ({reason}): "
                "run the sweep again to make them, or select the team again"
            ) from None


def read_pool(
    store: Store,
    members: Sequence[CheckpointId],
    split: str,
    table: DataTable,
    *,
    merge: bool = False,
    limit_bytes: int | None = None,
    manifests: Manifests | None = None,
) -> PredictionPool:
    """The predictions of `members` on `split`, in their order.

    Predictions that are missing or damaged, or are not of the images of `table`, are left out and named in
    `left_out`; with `merge` also those that equal an earlier member's bit for bit: the same net has one vote. Takes the
    pool's float32 and less than a tenth on top, or `IN_FLIGHT_BYTES` if that is more; a pool above `limit_bytes` is a scratch
    file, see `allocate`. `manifests` is the result of `read_manifests`, if it is known. Raises `MismatchedPredictions` if no
    member is left, `StoreError` if the store does not answer (a temporary failure must not change which checkpoints vote),
    and `PoolTooLarge`.
    """
    images = images_of(table, split)
    probabilities = allocate((len(members), *images.shape), limit_bytes)
    marks = [0] * len(members)

    def fill(position: int) -> str | None:
        found = predictions_of(store, members[position], images, manifests)
        if isinstance(found, str):
            return found
        probabilities[position] = found.probabilities
        if merge:  # while it is in the cache: 1,000 members x 10,000 x 10 take 0.2 s
            marks[position] = zlib.crc32(probabilities[position].data)
        return None

    file_bytes = 4 * math.prod(images.shape) + 4 * images.shape[0]
    with ThreadPoolExecutor(_readers(probabilities.nbytes, file_bytes)) as readers:
        reasons = list(readers.map(fill, range(len(members))))
    if merge:
        _merge(members, probabilities, marks, reasons)
    kept = [position for position, reason in enumerate(reasons) if reason is None]
    left_out = tuple((members[position], reason) for position, reason in enumerate(reasons) if reason is not None)
    if not kept:
        raise MismatchedPredictions(nobody_left(split, len(members), left_out))
    for to, position in enumerate(kept):  # closes gaps in place: a copy would take as much memory again
        if to != position:
            probabilities[to] = probabilities[position]
    return PredictionPool(
        data_id=table.data_id,
        split=split,
        members=tuple(members[position] for position in kept),
        probabilities=probabilities[: len(kept)],
        labels=images.labels,
        class_names=table.class_names,
        left_out=left_out,
        groups=table.groups_of(split),
    )


def nobody_left(split: str, asked: int, left_out: Sequence[tuple[CheckpointId, str]]) -> str:
    """The error message if no candidate can vote."""
    first = f"; {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
    return f"none of {asked} checkpoints has predictions on {split} to vote with{first}"


def same_as(member: CheckpointId, split: str) -> str:
    """The reason why a duplicate of `member` is left out."""
    return f"its predictions on {split} are those of {member}, bit for bit: the same net has one vote"


def _merge(
    members: Sequence[CheckpointId],
    probabilities: npt.NDArray[np.float32],
    marks: Sequence[int],
    reasons: list[str | None],
) -> None:
    """Give duplicates their reason. Equal marks are a hint alone; the bits decide."""
    first: dict[int, list[int]] = {}
    for position, mark in enumerate(marks):
        if reasons[position] is None:
            alike = first.setdefault(mark, [])
            bits = probabilities[position].view(np.uint32)
            equal = next((other for other in alike if np.array_equal(probabilities[other].view(np.uint32), bits)), None)
            if equal is None:
                alike.append(position)
            else:
                reasons[position] = same_as(members[equal], "validation")


def _readers(pool_bytes: int, file_bytes: int) -> int:
    """How many files may be held at a time beside the pool, including the memory for their verification."""
    allowed = max(IN_FLIGHT_BYTES, pool_bytes // 10)
    return max(1, min(READERS, int(allowed / (2 * file_bytes + 1))))
