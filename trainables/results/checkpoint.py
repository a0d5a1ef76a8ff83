"""A checkpoint in a store: its parts, and last its manifest with the sizes and hashes that verify them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainables.errors import DamagedObject, ObjectMissing, StoreTooNew
from trainables.results.predictions import Predictions, from_arrow
from trainables.results.true_class import TrueClass, true_class_from_arrow
from trainables.store import layout
from trainables.store.base import Store, sha256_of
from trainables.store.json_records import parse_json, seal_json, unseal_json


@dataclass(frozen=True, order=True)
class CheckpointId:
    """The name of a checkpoint: a trial at the end of an epoch (counted from 1)."""

    trial_id: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.trial_id}@{self.epoch}"

    def key(self, part: str) -> str:
        """Key of a part in the store."""
        return layout.checkpoint_prefix(self.trial_id, self.epoch) + part


def write_checkpoint(store: Store, checkpoint: CheckpointId, parts: dict[str, bytes]) -> None:
    """Store all `parts` (file name to bytes), then the manifest, which makes them a checkpoint.

    A complete checkpoint is not written again: a worker that was cut off, and whose trial another worker took over, may come
    back and write the same epoch. Raises `StoreError` where the store keeps failing; then no reader sees this checkpoint.
    """
    if is_whole(store, checkpoint):
        return
    promises = {name: Promise(len(data), sha256_of(data)) for name, data in parts.items()}
    manifest, key = _write_manifest(checkpoint, promises), checkpoint.key(layout.MANIFEST)
    _write_parts(store, checkpoint, parts)
    if store.create(key, manifest) or is_whole(store, checkpoint):
        return
    # Another writer came between parts and manifest, whose `timing.json` differs at least. By now it has finished.
    _write_parts(store, checkpoint, parts)
    store.put(key, manifest)


def _write_manifest(checkpoint: CheckpointId, promises: Mapping[str, Promise]) -> bytes:
    parts = {name: {"size_bytes": each.size_bytes, "sha256": each.sha256} for name, each in promises.items()}
    return seal_json({"trial_id": checkpoint.trial_id, "epoch": checkpoint.epoch, "parts": parts})


def manifest_bytes(checkpoint: CheckpointId, sizes: Mapping[str, int]) -> int:
    """Size of the manifest that this version writes for parts of these sizes: a manifest with further keys has another size."""
    return len(_write_manifest(checkpoint, {name: Promise(size, "0" * 64) for name, size in sizes.items()}))


def _write_parts(store: Store, checkpoint: CheckpointId, parts: dict[str, bytes]) -> None:
    for name, data in parts.items():
        store.put(checkpoint.key(name), data)


MANIFEST_KEYS = ("trial_id", "epoch", "parts")
PART_KEYS = ("size_bytes", "sha256")
"""All keys that this version writes into a manifest, and into its entry for a part."""


@dataclass(frozen=True)
class Promise:
    """The manifest's entry for a part."""

    size_bytes: int
    sha256: str


def read_promises(store: Store, checkpoint: CheckpointId) -> dict[str, Promise]:
    """The entries of the manifest of `checkpoint`, by file name; incomplete entries are left out.

    Raises `ObjectMissing` where there is no such checkpoint, `DamagedObject` where its manifest is not readable, and `StoreTooNew`
    where a newer version describes parts in another way: such a manifest is never overwritten.
    """
    key = checkpoint.key(layout.MANIFEST)
    return parse_promises(store.get(key), f"{store.uri}/{key}")


def parse_promises(data: bytes, where: str) -> dict[str, Promise]:
    """The entries in the bytes of a manifest, as `read_promises`. Raises `DamagedObject` and `StoreTooNew`, which name `where`."""
    manifest = unseal_json(data, where)
    parts = manifest.get("parts")
    found = {
        name: Promise(entry["size_bytes"], entry["sha256"])
        for name, entry in (parts.items() if isinstance(parts, dict) else ())
        if isinstance(entry, dict) and isinstance(entry.get("size_bytes"), int) and isinstance(entry.get("sha256"), str)
    }
    is_short = not isinstance(parts, dict) or len(found) < len(parts)
    if is_short and (others := _unknown_keys(manifest)):
        raise StoreTooNew(f"{where} was written by a newer Caucus (key {others[0][:60]}): use that version")
    return found


def why_not_understood(data: bytes, where: str) -> str:
    """A sentence that names `where` and a part of the manifest that this version does not understand; "" if it understands all.

    Stricter than `parse_promises`: a reader may ignore a key, a deletion may not.
    """
    try:
        manifest = unseal_json(data, where)
        promises = parse_promises(data, where)
    except (DamagedObject, StoreTooNew) as error:
        return str(error)
    if others := _unknown_keys(manifest):
        return f"{where} was written by a newer Caucus (key {others[0][:60]})"
    parts = manifest.get("parts")
    if odd := [name for name in parts if name not in promises] if isinstance(parts, dict) else ["parts"]:
        return f"{where} does not give size and hash of {odd[0][:60]}"
    return ""


def _unknown_keys(manifest: Mapping[str, Any]) -> list[str]:
    """Keys of a manifest, and keys of its entries as `part.key`, that this version does not write."""
    others = [key for key in manifest if key not in MANIFEST_KEYS]
    parts = manifest.get("parts")
    for name, entry in parts.items() if isinstance(parts, dict) else ():
        others += [f"{name}.{key}" for key in entry if key not in PART_KEYS] if isinstance(entry, dict) else ()
    return others


def read_part(
    store: Store, checkpoint: CheckpointId, part: str, promises: Mapping[str, Promise] | None = None
) -> bytes:
    """One part of a checkpoint, verified by the manifest; `promises` is the result of `read_promises`, where that is known.

    Raises `ObjectMissing` where there is no such checkpoint or part, and `DamagedObject` where it does not match the manifest.
    """
    promised = (read_promises(store, checkpoint) if promises is None else promises).get(part)
    if promised is None:
        raise ObjectMissing(f"checkpoint {checkpoint} in {store.uri} has no {part}")
    data = store.get(checkpoint.key(part))
    if len(data) != promised.size_bytes or sha256_of(data) != promised.sha256:
        raise DamagedObject(
            f"{store.uri}/{checkpoint.key(part)} is not what its manifest promises "
            f"({len(data)} bytes of {promised.size_bytes}): delete this checkpoint's folder, the next run writes it again"
        )
    return data


def read_json_part(store: Store, checkpoint: CheckpointId, part: str) -> dict[str, Any]:
    """A part of a checkpoint that is a JSON object. Raises as `read_part` does."""
    return parse_json(read_part(store, checkpoint, part), f"{store.uri}/{checkpoint.key(part)}")


def is_whole(store: Store, checkpoint: CheckpointId) -> bool:
    """Whether the store has this checkpoint and all parts match its manifest. Takes one request where there is no manifest."""
    if store.stat(checkpoint.key(layout.MANIFEST)) is None:
        return False
    try:
        promises = read_promises(store, checkpoint)
        for part in promises:
            read_part(store, checkpoint, part, promises)
    except (DamagedObject, ObjectMissing):
        return False
    return bool(promises)


def committed_epochs(store: Store, trial_id: str) -> list[int]:
    """Epochs of a trial whose checkpoints are complete (have a manifest), ascending."""
    keys = (found.key for found in store.find(layout.trial_prefix(trial_id)))
    return sorted(epoch for key in keys if key.endswith("/" + layout.MANIFEST) and (epoch := layout.epoch_of(key)))


def committed(store: Store, trial_ids: Iterable[str]) -> list[CheckpointId]:
    """All complete checkpoints of the given trials, sorted."""
    return sorted(CheckpointId(name, epoch) for name in trial_ids for epoch in committed_epochs(store, name))


def read_predictions(
    store: Store, checkpoint: CheckpointId, split: str, promises: Mapping[str, Promise] | None = None
) -> Predictions:
    """A checkpoint's predictions on `split`. Raises as `read_part` does, and `MismatchedPredictions`."""
    return from_arrow(read_part(store, checkpoint, layout.predictions_part(split), promises))


def read_true_class(
    store: Store, checkpoint: CheckpointId, split: str, promises: Mapping[str, Promise] | None = None
) -> TrueClass:
    """Those columns of a checkpoint's predictions on `split` that selection needs. Raises as `read_predictions` does.

    Raises `ObjectMissing` for checkpoints of older versions, which have no such part.
    """
    return true_class_from_arrow(read_part(store, checkpoint, layout.true_class_part(split), promises))
