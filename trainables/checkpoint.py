"""A checkpoint in a store: its parts, and last its manifest with the sizes and hashes that prove it whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trainables import layout
from trainables.errors import DamagedObject, ObjectMissing
from trainables.predictions import Predictions, from_arrow
from trainables.store import Store, get_json, sha256_of, to_json


@dataclass(frozen=True, order=True)
class CheckpointId:
    """Names one checkpoint: a trial at the end of an epoch (counted from 1)."""

    trial_id: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.trial_id}@{self.epoch}"

    def key(self, part: str) -> str:
        """Key of one part in the store."""
        return layout.checkpoint_prefix(self.trial_id, self.epoch) + part


def write_checkpoint(store: Store, checkpoint: CheckpointId, parts: dict[str, bytes]) -> None:
    """Store all `parts` (file name to bytes), then the manifest that makes them a checkpoint.

    Raises `StoreError` when the store stays unwilling; then no reader sees this checkpoint.
    """
    manifest = {
        "trial_id": checkpoint.trial_id,
        "epoch": checkpoint.epoch,
        "parts": {name: {"size_bytes": len(data), "sha256": sha256_of(data)} for name, data in parts.items()},
    }
    for name, data in parts.items():
        store.put(checkpoint.key(name), data)
    store.put(checkpoint.key(layout.MANIFEST), to_json(manifest))


def read_part(store: Store, checkpoint: CheckpointId, part: str) -> bytes:
    """One part of a checkpoint, proved by the manifest.

    Raises `ObjectMissing` where there is no such checkpoint or part, and `DamagedObject` where it is not what was written.
    """
    manifest = get_json(store, checkpoint.key(layout.MANIFEST))
    parts = manifest.get("parts")
    promised = parts.get(part) if isinstance(parts, dict) else None
    if not isinstance(promised, dict):
        raise ObjectMissing(f"checkpoint {checkpoint} in {store.uri} has no {part}")
    data = store.get(checkpoint.key(part))
    if len(data) != promised.get("size_bytes") or sha256_of(data) != promised.get("sha256"):
        raise DamagedObject(
            f"{store.uri}/{checkpoint.key(part)} is not what its manifest promises "
            f"({len(data)} bytes of {promised.get('size_bytes')}): delete this checkpoint's folder, the next run writes it again"
        )
    return data


def committed_epochs(store: Store, trial_id: str) -> list[int]:
    """Epochs of a trial whose checkpoints are whole (have a manifest), rising."""
    keys = (found.key for found in store.find(layout.trial_prefix(trial_id)))
    return sorted(epoch for key in keys if key.endswith("/" + layout.MANIFEST) and (epoch := layout.epoch_of(key)))


def committed(store: Store, trial_ids: Iterable[str]) -> list[CheckpointId]:
    """All whole checkpoints of the given trials, sorted."""
    return sorted(CheckpointId(name, epoch) for name in trial_ids for epoch in committed_epochs(store, name))


def read_predictions(store: Store, checkpoint: CheckpointId, split: str) -> Predictions:
    """A checkpoint's predictions on `split`. Raises as `read_part` does, and `MismatchedPredictions`."""
    return from_arrow(read_part(store, checkpoint, layout.predictions_part(split)))
