"""Reads predictions of checkpoints, verifies them, and checks that they are of one split's images, or gives the reason why not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from trainables.data.data_table import DataTable
from trainables.errors import DamagedObject, MismatchedPredictions, ObjectMissing, StoreTooNew
from trainables.results.checkpoint import CheckpointId, Promise, read_predictions, read_promises, read_true_class
from trainables.results.predictions import Predictions
from trainables.results.true_class import TrueClass, rows_sha256
from trainables.store.base import Store

READERS = 10
"""Files read at a time: a bucket answers after some 20 ms, and boto3 keeps at most ten connections open."""

UNUSABLE = (ObjectMissing, DamagedObject, StoreTooNew, MismatchedPredictions)
"""Errors that leave a checkpoint out. A store that fails temporarily raises: that must not change which checkpoints vote."""

Manifests = Mapping[CheckpointId, dict[str, Promise] | str]
"""The parts in the manifest of each checkpoint, or the reason why it cannot be used."""

Part = TypeVar("Part", Predictions, TrueClass)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class SplitImages:
    """The images that predictions must be of.

    rows      int64 (images,), positions in the data set's table, rising
    labels    int64 (images,), positions in `class_names`
    """

    data_id: str
    split: str
    rows: npt.NDArray[np.int64]
    rows_sha256: str
    labels: npt.NDArray[np.int64]
    labels_sha256: str
    class_names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(images, classes)."""
        return len(self.rows), len(self.class_names)

    def why_not(self, found: Predictions | TrueClass) -> str | None:
        """Why predictions do not line up, or None if they do."""
        images, classes = self.shape
        knows = found.classes if isinstance(found, TrueClass) else found.probabilities.shape[1]
        count = len(found.true_class) if isinstance(found, TrueClass) else len(found.rows)
        if found.data_id != self.data_id:
            return f"its predictions are of data {found.data_id}, not {self.data_id}"
        if found.split != self.split:
            return f"its predictions are of split {found.split}, not {self.split}"
        if knows != classes:
            return f"its predictions know {knows} classes, not {classes}"
        same_rows = (
            found.rows_sha256 == self.rows_sha256 and count == images
            if isinstance(found, TrueClass)
            else np.array_equal(found.rows, self.rows)
        )
        if not same_rows:
            return f"its {count} predictions are not of the {images} images of {self.split} in their order"
        if found.labels_sha256 != self.labels_sha256:
            return f"its predictions were made for other labels of {self.split}"
        return None


def images_of(table: DataTable, split: str) -> SplitImages:
    """The images that predictions on `split` must be of."""
    rows = table.rows(split)
    return SplitImages(
        table.data_id,
        split,
        rows,
        rows_sha256(rows),
        table.labels_of(split),
        table.labels_sha256(split),
        table.class_names,
    )


def predictions_of(
    store: Store, member: CheckpointId, images: SplitImages, manifests: Manifests | None = None
) -> Predictions | str:
    """Predictions of `member` on `images`, or why it cannot be used. Raises `StoreError` if the store does not answer.

    `manifests` is the result of `read_manifests`, if it is known.
    """
    return _read_aligned(read_predictions, store, member, images, None if manifests is None else manifests[member])


def true_class_of(store: Store, member: CheckpointId, images: SplitImages, manifests: Manifests) -> TrueClass | str:
    """As `predictions_of`, for the columns that selection needs."""
    return _read_aligned(read_true_class, store, member, images, manifests[member])


def _read_aligned(
    read: Callable[[Store, CheckpointId, str, dict[str, Promise] | None], Part],
    store: Store,
    member: CheckpointId,
    images: SplitImages,
    promises: dict[str, Promise] | str | None,
) -> Part | str:
    if isinstance(promises, str):
        return promises
    try:
        found = read(store, member, images.split, promises)
    except UNUSABLE as error:
        return str(error)
    return images.why_not(found) or found


def read_in_order(
    read: Callable[[Item], Result], items: Iterable[Item], readers: int = READERS
) -> Iterator[tuple[Item, Result]]:
    """Each item with its result of `read`, in order; at most `readers` results are computed and held at a time."""
    under_way: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(readers) as pool:
        try:
            for item in items:
                under_way.append((item, pool.submit(read, item)))
                if len(under_way) >= readers:
                    first, future = under_way.popleft()
                    yield first, future.result()
                    del future
            while under_way:
                first, future = under_way.popleft()
                yield first, future.result()
                del future
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def read_manifests(store: Store, members: Sequence[CheckpointId]) -> Manifests:
    """The manifests of `members`, to be read once if several splits are read."""

    def read(member: CheckpointId) -> dict[str, Promise] | str:
        try:
            return read_promises(store, member)
        except UNUSABLE as error:
            return str(error)

    return dict(read_in_order(read, members, READERS))
