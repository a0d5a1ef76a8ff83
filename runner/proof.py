"""Whether all that a run's manifests promise is really in the store, and what to do about what is not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from trainables import layout
from trainables.checkpoint import CheckpointId, read_part, read_promises
from trainables.errors import DamagedObject, ObjectMissing, StoreError
from trainables.record import TrialRecord
from trainables.store import Store
from trainables.trial_config import write_config

READERS = 16
"""Objects read at a time: what takes time is to wait for a server's answer."""

HASHED_BYTES = 4 * 2**30
"""Up to so much is read back and hashed; of larger runs only that all is there in its size. Each object was looked up, with
its hash, when it was written."""


@dataclass(frozen=True)
class Proof:
    """What was found when the checkpoints of a run were looked at."""

    checkpoints: int
    size_bytes: int
    """Of their parts."""
    is_hashed: bool
    """Whether the parts were read back, or only their sizes compared."""
    broken: Mapping[CheckpointId, str]
    """What is wrong with checkpoints that are not whole, or not there."""

    @property
    def lost(self) -> dict[str, set[int]]:
        """The broken epochs, by trial."""
        told: dict[str, set[int]] = {}
        for member in self.broken:
            told.setdefault(member.trial_id, set()).add(member.epoch)
        return told


def prove(store: Store, records: Iterable[TrialRecord], deleted: Mapping[str, set[int]] | None = None) -> Proof:
    """Look at each checkpoint that `records` tell of, but those that were `deleted` on purpose. Raises `StoreError`."""
    gone = deleted or {}
    members = [
        CheckpointId(record.trial_id, epoch.epoch)
        for record in records
        for epoch in record.epochs
        if epoch.epoch not in gone.get(record.trial_id, ())
    ]
    with ThreadPoolExecutor(READERS, thread_name_prefix="prove") as readers:
        trials = sorted({member.trial_id for member in members})
        found = readers.map(lambda trial_id: store.find(layout.trial_prefix(trial_id)), trials)
        sizes = {each.key: each.size_bytes for listed in found for each in listed}
        total_bytes = sum(size for key, size in sizes.items() if layout.epoch_of(key) is not None)
        is_hashed = total_bytes <= HASHED_BYTES
        faults = readers.map(lambda member: _find_fault(store, member, sizes, is_hashed), members)
        broken = {member: fault for member, fault in zip(members, faults, strict=True) if fault}
    return Proof(len(members), total_bytes, is_hashed, broken)


def restore_configs(store: Store, records: Iterable[TrialRecord]) -> None:
    """Write the configurations of trials again that are damaged or gone: whoever has the journal knows them. Raises `StoreError`."""
    configs = [record.config for record in records if record.epochs]
    with ThreadPoolExecutor(READERS, thread_name_prefix="configs") as readers:
        for _ in readers.map(lambda config: write_config(store, config), configs):
            pass


def _find_fault(store: Store, member: CheckpointId, sizes: Mapping[str, int], is_hashed: bool) -> str:
    """What is wrong with a checkpoint, "" where nothing is."""
    if member.key(layout.MANIFEST) not in sizes:
        return f"checkpoint {member} is not in {store.uri}"
    try:
        promises = read_promises(store, member)
        if not promises:
            return f"the manifest of checkpoint {member} in {store.uri} promises nothing"
        for part, promised in promises.items():
            found = sizes.get(member.key(part))
            if found != promised.size_bytes:
                told = "is not there" if found is None else f"has {found} bytes of {promised.size_bytes}"
                return f"{store.uri}/{member.key(part)} {told}"
            if is_hashed:
                read_part(store, member, part, promises)
    except (DamagedObject, ObjectMissing) as error:
        return str(error)
    return ""


def give_up(store: Store, broken: Iterable[CheckpointId]) -> None:
    """Take the manifests of broken checkpoints away, so that their trials train these epochs again.

    Where the store does not let it what is broken stays, and the run is told to be partial.
    """
    for member in broken:
        with contextlib.suppress(StoreError):
            store.delete(member.key(layout.MANIFEST))
