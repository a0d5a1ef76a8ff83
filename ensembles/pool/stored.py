"""The candidates of a selection in a store, read only as far as they are requested."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ensembles.config import EnsembleConfig
from ensembles.pool.alignment import Manifests, images_of, read_manifests
from ensembles.pool.mean_file import MeanFile, mean_from_arrow, mean_to_arrow
from ensembles.pool.pool import PredictionPool, read_pool
from ensembles.pool.streaming import StreamedMean, stream, stream_mean
from ensembles.pool.true_class import TrueClassPool, read_true_class_pool
from trainables.data.data_table import DataTable
from trainables.errors import DamagedObject, MismatchedPredictions, ObjectMissing
from trainables.results.checkpoint import CheckpointId, Promise
from trainables.store import layout
from trainables.store.base import Store


def needs_true_class_alone(config: EnsembleConfig) -> bool:
    """Whether the rule of `config` depends only on each candidate's probability of the true class: then
    `select(true_or_other(pool.true_class), config)` selects as it would from the whole predictions."""
    rule = config.select in ("greedy", "greedy-once") and config.metric == "log_loss"
    return rule and config.ties == "caucus" and config.start == 0 and not config.diverse


@dataclass(frozen=True, eq=False)
class StoredPool:
    """Candidates that can vote.

    true_class    the columns on validation that selection needs, with the candidates that were left out, and why
    """

    store: Store
    table: DataTable
    true_class: TrueClassPool
    manifests: Manifests
    _means: dict[str, StreamedMean] = field(default_factory=dict)

    @property
    def members(self) -> tuple[CheckpointId, ...]:
        """All candidates, in order."""
        return self.true_class.members

    def without(self, left_out: Iterable[tuple[CheckpointId, str]]) -> StoredPool:
        """The pool without the candidates in `left_out`, which are added to `true_class.left_out` with their reason."""
        true_class = self.true_class
        for member, reason in left_out:
            true_class = true_class.without(member, reason)
        return StoredPool(self.store, self.table, true_class, self.manifests)

    def read(self, members: Iterable[CheckpointId], split: str) -> PredictionPool:
        """The whole predictions of `members` on `split`, in the order of the pool; see `read_pool`."""
        asked = set(members)
        return read_pool(
            self.store, [each for each in self.members if each in asked], split, self.table, manifests=self.manifests
        )

    def damaged(self, split: str) -> tuple[tuple[CheckpointId, str], ...]:
        """The candidates whose whole predictions on `split` cannot be used, each with the reason: reads them all."""
        files = stream(self.store, self.members, split, self.table, manifests=self.manifests)
        return tuple((member, found) for member, found in files if isinstance(found, str))

    def mean(self, split: str) -> StreamedMean:
        """The unweighted mean of all candidates on `split`: from the store if it is cached there, else in one pass over the files."""
        if split not in self._means:
            self._means[split] = self._read_mean(split) or stream_mean(
                self.store, self.members, split, self.table, manifests=self.manifests
            )
        return self._means[split]

    def save_means(self) -> None:
        """Store the means that were computed, so that another vote of the same candidates reads these instead of all files.
        Raises `StoreError`."""
        for split, mean in self._means.items():
            key = self._mean_key(split, self.members)
            if key and not mean.left_out and self.store.stat(key) is None:
                images = images_of(self.table, split)
                self.store.put(key, mean_to_arrow(MeanFile(images.rows_sha256, mean.probabilities)))

    def _read_mean(self, split: str) -> StreamedMean | None:
        key = self._mean_key(split, self.members)
        if key is None:
            return None
        try:
            found = mean_from_arrow(self.store.get(key))
        except (ObjectMissing, DamagedObject, MismatchedPredictions):
            return None
        images = images_of(self.table, split)
        if found.rows_sha256 != images.rows_sha256 or found.probabilities.shape != images.shape:
            return None
        return StreamedMean(found.probabilities, self.members, ())

    def _mean_key(self, split: str, members: Sequence[CheckpointId]) -> str | None:
        """Key derived from the hashes of the averaged files, so that it fits no others; None if a manifest lacks one of them."""
        digest = hashlib.sha256()
        for member in members:
            promised = self.manifests[member]
            part = promised.get(layout.predictions_part(split)) if isinstance(promised, dict) else None
            if not isinstance(part, Promise):
                return None
            digest.update(f"{part.sha256}\n".encode())
        return layout.mean_key(self.table.data_id, digest.hexdigest())


def open_pool(store: Store, members: Sequence[CheckpointId], table: DataTable) -> StoredPool:
    """The candidates `members`: reads their manifests and one column of their predictions on validation. Raises the same
    errors as `read_pool`."""
    manifests = read_manifests(store, members)
    true_class = read_true_class_pool(store, members, "validation", table, manifests)
    return StoredPool(store, table, true_class, manifests)
