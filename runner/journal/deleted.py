"""Epochs of a run whose checkpoints were deleted on purpose: on record, so that nobody takes them for lost."""

from __future__ import annotations

from collections.abc import Mapping

from trainables.errors import DamagedObject, ObjectMissing
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json, seal_json


def read_deleted(store: Store, name: str, run: str) -> dict[str, set[int]]:
    """The epochs, by trial. Raises `DamagedObject`, lest a run trains again what was deleted."""
    return _read(store, name, run)[0]


def _read(store: Store, name: str, run: str) -> tuple[dict[str, set[int]], dict[str, object]]:
    """The epochs, by trial, and what else a newer version has put there."""
    key = layout.run_key(name, run, layout.DELETED)
    try:
        told = get_json(store, key)
    except ObjectMissing:
        return {}, {}
    epochs = told.pop("epochs", None)
    if not isinstance(epochs, dict) or not all(_are_epochs(each) for each in epochs.values()):
        raise DamagedObject(f"{store.uri}/{key} names no epochs by trial: restore or delete it")
    return {trial_id: set(each) for trial_id, each in epochs.items()}, told


def _are_epochs(told: object) -> bool:
    return isinstance(told, list) and all(type(epoch) is int for epoch in told)


def add_deleted(store: Store, name: str, run: str, epochs: Mapping[str, set[int]]) -> None:
    """Put these on record beside those that are there. Called before the first of them is deleted."""
    known, rest = _read(store, name, run)
    for trial_id, more in epochs.items():
        known.setdefault(trial_id, set()).update(more)
    told = {trial_id: sorted(known[trial_id]) for trial_id in sorted(known)}
    store.put(layout.run_key(name, run, layout.DELETED), seal_json({**rest, "epochs": told}))
