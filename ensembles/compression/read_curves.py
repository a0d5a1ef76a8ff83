"""Reads the curves of pruned checkpoints that a run has stored."""

from __future__ import annotations

from ensembles.compression.pruned_curve import PrunedCurve, from_json
from trainables.errors import DamagedObject, ObjectMissing
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json


def read_curves(store: Store, name: str, run: str) -> tuple[PrunedCurve, ...]:
    """All curves of a run, by key. Unreadable ones are left out: a report must not fail because of them."""
    curves = []
    for found in store.find(layout.pruned_curves_prefix(name, run)):
        if found.key.endswith(".json"):
            try:
                curves.append(from_json(get_json(store, found.key)))
            except (DamagedObject, ObjectMissing):
                continue
    return tuple(curves)
