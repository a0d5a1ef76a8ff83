"""Epochs of a run whose checkpoints were deleted on purpose: recorded, so that they are not mistaken for lost ones."""

from __future__ import annotations

from collections.abc import Mapping

from trainables.errors import DamagedObject, ObjectMissing
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json, seal_json


def read_deleted(store: Store, name: str, run: str) -> dict[str, set[int]]:
    """The deleted epochs, by trial. Raises `DamagedObject`: without the record a run would train them again."""
    return _read(store, name, run)[0]


def _read(store: Store, name: str, run: str) -> tuple[dict[str, set[int]], dict[str, object]]:
    """The deleted epochs, by trial, and other keys that a newer version has written."""
    key = layout.run_key(name, run, layout.DELETED)
    try:
        record = get_json(store, key)
    except ObjectMissing:
        return {}, {}
    epochs = record.pop("epochs", None)
    if not isinstance(epochs, dict) or not all(_are_epochs(each) for each in epochs.values()):
        raise DamagedObject(f"{store.uri}/{key} names no epochs by trial: restore or delete it")
    return {trial_id: set(each) for trial_id, each in epochs.items()}, record


def _are_epochs(value: object) -> bool:
    return isinstance(value, list) and all(type(epoch) is int for epoch in value)


def add_deleted(store: Store, name: str, run: str, epochs: Mapping[str, set[int]]) -> None:
    """Add `epochs` to the record. Called before the first of them is deleted."""
    known, rest = _read(store, name, run)
    for trial_id, more in epochs.items():
        known.setdefault(trial_id, set()).update(more)
    listed = {trial_id: sorted(known[trial_id]) for trial_id in sorted(known)}
    store.put(layout.run_key(name, run, layout.DELETED), seal_json({**rest, "epochs": listed}))
