"""Whether all that a run's manifests promise is really in the store, and what to do about what is not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from runner.runs.verified import Look, Verified, read_verified, write_verified
from trainables.errors import DamagedObject, ObjectMissing, StoreError
from trainables.results.checkpoint import CheckpointId, read_part, read_promises
from trainables.results.config_file import write_config
from trainables.results.listing import NOT_LISTED, Listing, list_checkpoints
from trainables.results.record import TrialRecord
from trainables.store import layout
from trainables.store.base import Store

READERS = 16
"""Objects read at a time: what takes time is to wait for a server's answer."""

NOTHING = Verified()

HASHED_BYTES = 4 * 2**30
"""Up to so much is read back and hashed; of larger runs only that all is there in its size. Each object was looked up, with
its hash, when it was written."""


@dataclass(frozen=True)
class IntegrityReport:
    """What was found when the checkpoints of a run were looked at."""

    checkpoints: int
    size_bytes: int
    """Of their parts."""
    is_hashed: bool
    """Whether the parts were read back, or only their sizes compared."""
    broken: Mapping[CheckpointId, str]
    """What is wrong with checkpoints that are not whole, or not there."""
    read: int
    """How many were looked at by their manifest, and not by the listing alone."""
    whole: Mapping[CheckpointId, Look]
    """Those that are whole, for the next driver; none where the store has no ETags."""
    listing: Listing

    @property
    def lost(self) -> dict[str, set[int]]:
        """The broken epochs, by trial."""
        told: dict[str, set[int]] = {}
        for member in self.broken:
            told.setdefault(member.trial_id, set()).add(member.epoch)
        return told


def verify_run(
    store: Store,
    name: str,
    run: str,
    records: Iterable[TrialRecord],
    deleted: Mapping[str, set[int]],
    listing: Listing | None = None,
    verify: bool = False,
) -> IntegrityReport:
    """Make the configurations of a run's trials whole, look at all of its checkpoints, and write down what is whole.

    What was read back before is not read again where a listing shows that nothing of it was written since, unless `verify`
    asks for that. `listing` is what was listed a moment ago, if it was. Raises `StoreError`.
    """
    trained = [record for record in records if record.epochs]
    before = NOTHING if verify else read_verified(store, name, run)
    listed = listing or list_checkpoints(store, [record.trial_id for record in trained])
    configs = restore_configs(store, trained, before, listed)
    proof = prove(store, trained, deleted, before, listed)
    write_verified(store, name, run, Verified(proof.whole, configs), before)
    return proof


def prove(
    store: Store,
    records: Iterable[TrialRecord],
    deleted: Mapping[str, set[int]] | None = None,
    proved: Verified = NOTHING,
    listing: Listing | None = None,
) -> IntegrityReport:
    """Look at every checkpoint on record, but those that were `deleted` on purpose. Raises `StoreError`.

    What `proved` says of before need not be read again where `listing`, made now if it is left out, shows the same objects.
    """
    gone = deleted or {}
    members = [
        CheckpointId(record.trial_id, epoch.epoch)
        for record in records
        for epoch in record.epochs
        if epoch.epoch not in gone.get(record.trial_id, ())
    ]
    listed = listing or list_checkpoints(store, {member.trial_id for member in members})
    sizes = {key: each.size_bytes for key, each in listed.objects.items() if layout.epoch_of(key) is not None}
    known = {member: look for member in members if (look := proved.find(member, listed))}
    unread = [member for member in members if member not in known or not known[member].is_read]
    wanted = {member.key("") for member in unread}
    is_hashed = sum(size for key, size in sizes.items() if key.rpartition("/")[0] + "/" in wanted) <= HASHED_BYTES
    asked = unread if is_hashed else [member for member in unread if member not in known]
    with ThreadPoolExecutor(READERS, thread_name_prefix="prove") as readers:
        faults = readers.map(lambda member: _find_fault(store, member, sizes, is_hashed), asked)
        broken = {member: fault for member, fault in zip(asked, faults, strict=True) if fault}
    now_unix_s, whole = time.time(), dict(known)
    whole |= {
        member: Look(mark, now_unix_s, is_hashed)
        for member in asked
        if member not in broken and (mark := listed.mark(member))
    }
    return IntegrityReport(len(members), sum(sizes.values()), is_hashed, broken, len(asked), whole, listed)


def restore_configs(
    store: Store, records: Iterable[TrialRecord], proved: Verified = NOTHING, listing: Listing = NOT_LISTED
) -> dict[str, str]:
    """Write the configurations of trials again that are damaged or gone: whoever has the journal knows them. Raises `StoreError`.

    Those that `proved` has and `listing` shows unchanged are not read. Returns the marks of those that were there and whole.
    """
    configs = [record.config for record in records if record.epochs]
    asked = [config for config in configs if not proved.has_config(config.trial_id, listing)]
    with ThreadPoolExecutor(READERS, thread_name_prefix="configs") as readers:
        written = list(readers.map(lambda config: write_config(store, config), asked))
    new = {config.trial_id for config, was_written in zip(asked, written, strict=True) if was_written}
    names = [config.trial_id for config in configs if config.trial_id not in new]
    return {name: mark for name in names if (mark := listing.config_mark(name))}


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


def invalidate(store: Store, broken: Iterable[CheckpointId]) -> None:
    """Take the manifests of broken checkpoints away, so that their trials train these epochs again.

    Where the store does not let it what is broken stays, and the run is told to be partial.
    """
    for member in broken:
        with contextlib.suppress(StoreError):
            store.delete(member.key(layout.MANIFEST))
