"""The columns that selection by log-loss and ranking by accuracy need: the probability of the true class, and the prediction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.metrics.scores import log_loss
from ensembles.pool.alignment import (
    READERS,
    Manifests,
    SplitImages,
    images_of,
    predictions_of,
    read_manifests,
    true_class_of,
)
from ensembles.pool.pool import PredictionPool, nobody_left, same_as
from trainables.data.data_table import DataTable
from trainables.errors import MismatchedPredictions
from trainables.results.checkpoint import CheckpointId, Promise
from trainables.results.true_class import TrueClass, take_true_class
from trainables.store import layout
from trainables.store.base import Store


@dataclass(frozen=True, eq=False)
class TrueClassPool:
    """Candidates' probabilities of the true class of each image of one split, valid by construction.

    members          the candidates, all different
    probabilities    float32 (members, images), each one's probability of the true class
    predicted        unsigned integers (members, images), each one's likeliest class; of equals the lower number
    labels           int64 (images,), positions in `class_names`
    left_out         candidates whose predictions could not be used, or equal those of another, each with the reason
    groups           int64 (images,), numbers of groups, or None; see `PredictionPool`
    """

    data_id: str
    split: str
    members: tuple[CheckpointId, ...]
    probabilities: npt.NDArray[np.float32]
    predicted: npt.NDArray[np.unsignedinteger]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    left_out: tuple[tuple[CheckpointId, str], ...] = ()
    groups: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        expected = (len(self.members), len(self.labels))
        if (
            self.probabilities.shape != expected
            or self.probabilities.dtype != np.float32
            or self.predicted.shape != expected
        ):
            raise MismatchedPredictions(
                f"the pool's true-class probabilities are {self.probabilities.dtype}{self.probabilities.shape} and its predicted classes "
                f"{self.predicted.shape}, not float32{expected} (members, images) and as many"
            )
        if 0 in expected:
            raise MismatchedPredictions(
                f"split {self.split} of data {self.data_id} has {expected[0]} members and {expected[1]} images: "
                "a vote needs at least one of each"
            )
        if len(set(self.members)) != len(self.members):
            raise MismatchedPredictions("a checkpoint stands in the pool twice: name each candidate once")

    def accuracies(self) -> npt.NDArray[np.float64]:
        """Accuracy of each candidate, float64 (members,)."""
        return np.array([np.count_nonzero(row == self.labels) for row in self.predicted]) / len(self.labels)

    def log_losses(self) -> npt.NDArray[np.float64]:
        """Log-loss of each candidate in nats, float64 (members,); see `metrics.log_loss`."""
        only = np.zeros(len(self.labels), np.int64)
        return np.array([log_loss(row[:, None], only) for row in self.probabilities])

    def without(self, member: CheckpointId, reason: str) -> TrueClassPool:
        """This pool without `member`, which is added to `left_out`. Raises `MismatchedPredictions` if it was the last."""
        kept = [position for position, each in enumerate(self.members) if each != member]
        return TrueClassPool(
            self.data_id,
            self.split,
            tuple(self.members[position] for position in kept),
            self.probabilities[kept],
            self.predicted[kept],
            self.labels,
            self.class_names,
            (*self.left_out, (member, reason)),
            self.groups,
        )


def true_or_other(pool: TrueClassPool) -> PredictionPool:
    """The same candidates on two classes, the true one and all others together: selection by log-loss gives the same members
    and the same scores as on the whole predictions."""
    return PredictionPool(
        pool.data_id,
        pool.split,
        pool.members,
        np.stack([pool.probabilities, np.maximum(1 - pool.probabilities, 0)], axis=2),
        np.zeros(len(pool.labels), np.int64),
        ("true", "other"),
        pool.left_out,
        pool.groups,
    )


def take_true_class_pool(pool: PredictionPool) -> TrueClassPool:
    """The true-class pool of a pool that is in memory."""
    images, dtype = np.arange(len(pool.labels)), np.min_scalar_type(len(pool.class_names) - 1)
    predicted = np.empty((len(pool.members), len(images)), dtype)
    for position, probabilities in enumerate(pool.probabilities):
        predicted[position] = probabilities.argmax(1)
    of_true_class = pool.probabilities[:, images, pool.labels]
    return TrueClassPool(
        pool.data_id,
        pool.split,
        pool.members,
        of_true_class,
        predicted,
        pool.labels,
        pool.class_names,
        pool.left_out,
        pool.groups,
    )


def read_true_class_pool(
    store: Store, members: Sequence[CheckpointId], split: str, table: DataTable, manifests: Manifests | None = None
) -> TrueClassPool:
    """The candidates `members` on `split`, in their order, from one column of their predictions: with ten classes a ninth
    of the bytes. Of checkpoints without that file, or with a damaged one, the whole predictions are read instead.

    Members that cannot be used are left out and named, and so are duplicates, which predict the same as an earlier member,
    bit for bit: their files have the same SHA-256 in the manifests. A file that is in the manifest but damaged is noticed only
    when it is read. `manifests` is the result of `read_manifests` for `members`, if it is known. Raises the same errors as
    `read_pool`.
    """
    known_manifests = read_manifests(store, members) if manifests is None else manifests
    images = images_of(table, split)
    of_true_class = np.empty((len(members), len(images.rows)), np.float32)
    predicted = np.empty(of_true_class.shape, np.min_scalar_type(len(table.class_names) - 1))

    def fill(position: int) -> str | None:
        found = _read(store, members[position], images, known_manifests)
        if isinstance(found, str):
            return found
        of_true_class[position], predicted[position] = found.true_class, found.predicted
        return None

    with ThreadPoolExecutor(READERS) as readers:
        reasons = list(readers.map(fill, range(len(members))))
    _merge(store, members, images, of_true_class, predicted, known_manifests, reasons)
    kept = [position for position, reason in enumerate(reasons) if reason is None]
    left_out = tuple((members[position], reason) for position, reason in enumerate(reasons) if reason is not None)
    if not kept:
        raise MismatchedPredictions(nobody_left(split, len(members), left_out))
    return TrueClassPool(
        data_id=table.data_id,
        split=split,
        members=tuple(members[position] for position in kept),
        probabilities=of_true_class[kept] if left_out else of_true_class,
        predicted=predicted[kept] if left_out else predicted,
        labels=images.labels,
        class_names=table.class_names,
        left_out=left_out,
        groups=table.groups_of(split),
    )


def _read(store: Store, member: CheckpointId, images: SplitImages, manifests: Manifests) -> TrueClass | str:
    if _promised(manifests, member, images):
        found = true_class_of(store, member, images, manifests)
        if isinstance(found, TrueClass):
            return found
    read = predictions_of(store, member, images, manifests)
    return read if isinstance(read, str) else take_true_class(read, images.labels)


def _promised(manifests: Manifests, member: CheckpointId, images: SplitImages) -> Promise | None:
    """The entry of the whole predictions in the manifest."""
    promises = manifests[member]
    return None if isinstance(promises, str) else promises.get(layout.predictions_part(images.split))


def _merge(
    store: Store,
    members: Sequence[CheckpointId],
    images: SplitImages,
    of_true_class: npt.NDArray[np.float32],
    predicted: npt.NDArray[np.unsignedinteger],
    manifests: Manifests,
    reasons: list[str | None],
) -> None:
    """Set the reason of duplicates. Files that differ may still hold the same numbers, written by another version of Arrow:
    if the columns in memory are equal, the whole predictions are compared."""
    first: dict[bytes, list[int]] = {}
    for position, reason in enumerate(reasons):
        if reason is not None:
            continue
        mark = hashlib.sha256(of_true_class[position].data)
        mark.update(predicted[position].data)
        alike = first.setdefault(mark.digest(), [])
        equal = next(
            (other for other in alike if _equal(store, images, manifests, members[other], members[position])), None
        )
        if equal is None:
            alike.append(position)
        else:
            reasons[position] = same_as(members[equal], images.split)


def _equal(store: Store, images: SplitImages, manifests: Manifests, one: CheckpointId, other: CheckpointId) -> bool:
    promised = [_promised(manifests, member, images) for member in (one, other)]
    if promised[0] == promised[1]:
        return True
    found = [predictions_of(store, member, images, manifests) for member in (one, other)]
    bits = [each.probabilities.tobytes() for each in found if not isinstance(each, str)]
    return len(bits) == 2 and bits[0] == bits[1]
