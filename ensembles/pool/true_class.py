"""What choosing by log-loss, and ranking by accuracy, needs of all candidates: one column of their predictions, not all."""

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
    """Candidates' answers for the true class of each image of one split, valid by construction.

    members      the candidates, all different
    truth        float32 (members, images), what each gives to the true class
    predicted    unsigned integers (members, images), each one's likeliest class; of equals the lower number
    labels       int64 (images,), positions in `class_names`
    left_out     candidates whose predictions could not be used, or are those of another, each with the reason
    """

    data_id: str
    split: str
    members: tuple[CheckpointId, ...]
    truth: npt.NDArray[np.float32]
    predicted: npt.NDArray[np.unsignedinteger]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    left_out: tuple[tuple[CheckpointId, str], ...] = ()

    def __post_init__(self) -> None:
        expected = (len(self.members), len(self.labels))
        if self.truth.shape != expected or self.truth.dtype != np.float32 or self.predicted.shape != expected:
            raise MismatchedPredictions(
                f"the pool's true-class probabilities are {self.truth.dtype}{self.truth.shape} and its predicted classes "
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
        """float64 (members,): share of the images that each predicts right."""
        return np.array([np.count_nonzero(row == self.labels) for row in self.predicted]) / len(self.labels)

    def log_losses(self) -> npt.NDArray[np.float64]:
        """float64 (members,), nats; see `metrics.log_loss`."""
        only = np.zeros(len(self.labels), np.int64)
        return np.array([log_loss(row[:, None], only) for row in self.truth])

    def without(self, member: CheckpointId, reason: str) -> TrueClassPool:
        """This pool without `member`, which is listed in `left_out`. Raises `MismatchedPredictions` where it was the last."""
        kept = [position for position, each in enumerate(self.members) if each != member]
        return TrueClassPool(
            self.data_id,
            self.split,
            tuple(self.members[position] for position in kept),
            self.truth[kept],
            self.predicted[kept],
            self.labels,
            self.class_names,
            (*self.left_out, (member, reason)),
        )


def true_or_other(pool: TrueClassPool) -> PredictionPool:
    """The same candidates on two classes, the true one and all others together: whoever is chosen by log-loss from `pool` is
    chosen from this, number by number."""
    return PredictionPool(
        pool.data_id,
        pool.split,
        pool.members,
        np.stack([pool.truth, np.maximum(1 - pool.truth, 0)], axis=2),
        np.zeros(len(pool.labels), np.int64),
        ("true", "other"),
        pool.left_out,
    )


def take_true_class_pool(pool: PredictionPool) -> TrueClassPool:
    """The same of a pool that is read whole."""
    images, dtype = np.arange(len(pool.labels)), np.min_scalar_type(len(pool.class_names) - 1)
    predicted = np.empty((len(pool.members), len(images)), dtype)
    for position, probabilities in enumerate(pool.probabilities):
        predicted[position] = probabilities.argmax(1)
    truth = pool.probabilities[:, images, pool.labels]
    return TrueClassPool(
        pool.data_id, pool.split, pool.members, truth, predicted, pool.labels, pool.class_names, pool.left_out
    )


def read_true_class_pool(
    store: Store, members: Sequence[CheckpointId], split: str, table: DataTable, manifests: Manifests | None = None
) -> TrueClassPool:
    """The candidates `members` on `split`, in their order, from one column of their predictions: of ten classes a ninth
    of the bytes. Checkpoints without that file, or with a damaged one, are read whole instead.

    Who cannot be used is left out and named, and so is who predicts the same as an earlier one, bit for bit: the bytes of
    both files have one SHA-256 in their manifests. A file that is promised but damaged shows only when it is read.
    `manifests` is what `read_manifests` said of `members`, where that is known. Raises as `read_pool` does.
    """
    told = read_manifests(store, members) if manifests is None else manifests
    images = images_of(table, split)
    truth = np.empty((len(members), len(images.rows)), np.float32)
    predicted = np.empty(truth.shape, np.min_scalar_type(len(table.class_names) - 1))

    def fill(position: int) -> str | None:
        found = _read(store, members[position], images, told)
        if isinstance(found, str):
            return found
        truth[position], predicted[position] = found.true_class, found.predicted
        return None

    with ThreadPoolExecutor(READERS) as readers:
        reasons = list(readers.map(fill, range(len(members))))
    _merge(store, members, images, truth, predicted, told, reasons)
    kept = [position for position, reason in enumerate(reasons) if reason is None]
    left_out = tuple((members[position], reason) for position, reason in enumerate(reasons) if reason is not None)
    if not kept:
        raise MismatchedPredictions(nobody_left(split, len(members), left_out))
    return TrueClassPool(
        data_id=table.data_id,
        split=split,
        members=tuple(members[position] for position in kept),
        truth=truth[kept] if left_out else truth,
        predicted=predicted[kept] if left_out else predicted,
        labels=images.labels,
        class_names=table.class_names,
        left_out=left_out,
    )


def _read(store: Store, member: CheckpointId, images: SplitImages, manifests: Manifests) -> TrueClass | str:
    if _promised(manifests, member, images):
        found = true_class_of(store, member, images, manifests)
        if isinstance(found, TrueClass):
            return found
    read = predictions_of(store, member, images, manifests)
    return read if isinstance(read, str) else take_true_class(read, images.labels)


def _promised(manifests: Manifests, member: CheckpointId, images: SplitImages) -> Promise | None:
    """What the manifest says of the whole predictions."""
    promises = manifests[member]
    return None if isinstance(promises, str) else promises.get(layout.predictions_part(images.split))


def _merge(
    store: Store,
    members: Sequence[CheckpointId],
    images: SplitImages,
    truth: npt.NDArray[np.float32],
    predicted: npt.NDArray[np.unsignedinteger],
    manifests: Manifests,
    reasons: list[str | None],
) -> None:
    """Give duplicates their reason. Files that differ may still hold the same numbers, written by another version of
    Arrow: where the columns at hand are equal, these are compared."""
    first: dict[bytes, list[int]] = {}
    for position, reason in enumerate(reasons):
        if reason is not None:
            continue
        mark = hashlib.sha256(truth[position].data)
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
