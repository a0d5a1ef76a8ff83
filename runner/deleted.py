"""Epochs of a run whose checkpoints were deleted on purpose: on record, so that nobody takes them for lost."""

from __future__ import annotations

from collections.abc import Mapping

from trainables import layout
from trainables.errors import DamagedObject, ObjectMissing
from trainables.store import Store, get_json, seal_json


def read_deleted(store: Store, name: str, run: str) -> dict[str, set[int]]:
    """The epochs, by trial. Raises `DamagedObject`, lest a run trains again what was deleted."""
    key = layout.run_key(name, run, layout.DELETED)
    try:
        told = get_json(store, key).get("epochs")
    except ObjectMissing:
        return {}
    if not isinstance(told, dict) or not all(isinstance(epochs, list) for epochs in told.values()):
        raise DamagedObject(f"{store.uri}/{key} names no epochs by trial: restore or delete it")
    return {str(trial_id): {int(epoch) for epoch in epochs} for trial_id, epochs in told.items()}


def add_deleted(store: Store, name: str, run: str, epochs: Mapping[str, set[int]]) -> None:
    """Put these on record beside those that are there. Called before the first of them is deleted."""
    known = read_deleted(store, name, run)
    for trial_id, more in epochs.items():
        known.setdefault(trial_id, set()).update(more)
    told = {trial_id: sorted(known[trial_id]) for trial_id in sorted(known)}
    store.put(layout.run_key(name, run, layout.DELETED), seal_json({"epochs": told}))
