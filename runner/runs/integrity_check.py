"""Verifies that the store has everything that the manifests of a run name, and repairs what it can."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from runner.runs.verified import Verified, WholenessCheck, read_verified, write_verified
from trainables.errors import DamagedObject, ObjectMissing, StoreError
from trainables.results.checkpoint import CheckpointId, read_part, read_promises
from trainables.results.config_file import write_config
from trainables.results.listing import NOT_LISTED, Listing, list_checkpoints
from trainables.results.record import TrialRecord
from trainables.store import layout
from trainables.store.base import Store

READERS = 16
"""Objects read at a time: most of the time is spent waiting for the server."""

NOTHING = Verified()

HASHED_BYTES = 4 * 2**30
"""Up to this size all parts are read back and hashed; in larger runs only sizes are compared. Each object was verified, with its
hash, when it was written."""


@dataclass(frozen=True)
class IntegrityReport:
    """Result of verifying the checkpoints of a run."""

    checkpoints: int
    size_bytes: int
    """Size of their parts."""
    is_hashed: bool
    """Whether the parts were read back; otherwise only their sizes were compared."""
    broken: Mapping[CheckpointId, str]
    """For each checkpoint that is damaged or missing, a sentence on the fault."""
    read: int
    """How many were checked by their manifest, and not by the listing alone."""
    whole: Mapping[CheckpointId, WholenessCheck]
    """The checkpoints that are whole, for the next driver; none where the store has no ETags."""
    listing: Listing

    @property
    def lost(self) -> dict[str, set[int]]:
        """The broken epochs, by trial."""
        epochs: dict[str, set[int]] = {}
        for member in self.broken:
            epochs.setdefault(member.trial_id, set()).add(member.epoch)
        return epochs


def verify_run(
    store: Store,
    name: str,
    run: str,
    records: Iterable[TrialRecord],
    deleted: Mapping[str, set[int]],
    listing: Listing | None = None,
    verify: bool = False,
) -> IntegrityReport:
    """Restore the configurations of a run's trials, verify all of its checkpoints, and record which are whole.

    Checkpoints that were verified before and are unchanged in the listing are not read again, unless `verify` is set.
    `listing` is a recent listing, if there is one. Raises `StoreError`.
    """
    trained = [record for record in records if record.epochs]
    before = NOTHING if verify else read_verified(store, name, run)
    listed = listing or list_checkpoints(store, [record.trial_id for record in trained])
    configs = restore_configs(store, trained, before, listed)
    report = verify_checkpoints(store, trained, deleted, before, listed)
    write_verified(store, name, run, Verified(report.whole, configs), before)
    return report


def verify_checkpoints(
    store: Store,
    records: Iterable[TrialRecord],
    deleted: Mapping[str, set[int]] | None = None,
    verified: Verified = NOTHING,
    listing: Listing | None = None,
) -> IntegrityReport:
    """Verify every checkpoint on record, except those that were `deleted` on purpose. Raises `StoreError`.

    Checkpoints in `verified` are not read again where `listing` (default: a new one) shows the same objects.
    """
    excluded = deleted or {}
    members = [
        CheckpointId(record.trial_id, epoch.epoch)
        for record in records
        for epoch in record.epochs
        if epoch.epoch not in excluded.get(record.trial_id, ())
    ]
    listed = listing or list_checkpoints(store, {member.trial_id for member in members})
    sizes = {key: each.size_bytes for key, each in listed.objects.items() if layout.epoch_of(key) is not None}
    known = {member: check for member in members if (check := verified.find(member, listed))}
    unread = [member for member in members if member not in known or not known[member].is_read]
    folders = {member.key("") for member in unread}
    is_hashed = sum(size for key, size in sizes.items() if key.rpartition("/")[0] + "/" in folders) <= HASHED_BYTES
    to_check = unread if is_hashed else [member for member in unread if member not in known]
    with ThreadPoolExecutor(READERS, thread_name_prefix="verify") as readers:
        faults = readers.map(lambda member: _find_fault(store, member, sizes, is_hashed), to_check)
        broken = {member: fault for member, fault in zip(to_check, faults, strict=True) if fault}
    now_unix_s, whole = time.time(), dict(known)
    whole |= {
        member: WholenessCheck(mark, now_unix_s, is_hashed)
        for member in to_check
        if member not in broken and (mark := listed.mark(member))
    }
    return IntegrityReport(len(members), sum(sizes.values()), is_hashed, broken, len(to_check), whole, listed)


def restore_configs(
    store: Store, records: Iterable[TrialRecord], verified: Verified = NOTHING, listing: Listing = NOT_LISTED
) -> dict[str, str]:
    """Write configurations of trials that are damaged or missing again, from the journal. Raises `StoreError`.

    Those in `verified` that are unchanged in `listing` are not read. Returns the marks of those that were whole.
    """
    configs = [record.config for record in records if record.epochs]
    to_check = [config for config in configs if not verified.has_config(config.trial_id, listing)]
    with ThreadPoolExecutor(READERS, thread_name_prefix="configs") as readers:
        written = list(readers.map(lambda config: write_config(store, config), to_check))
    new = {config.trial_id for config, was_written in zip(to_check, written, strict=True) if was_written}
    names = [config.trial_id for config in configs if config.trial_id not in new]
    return {name: mark for name in names if (mark := listing.config_mark(name))}


def _find_fault(store: Store, member: CheckpointId, sizes: Mapping[str, int], is_hashed: bool) -> str:
    """A sentence on what is wrong with a checkpoint, "" where nothing is."""
    if member.key(layout.MANIFEST) not in sizes:
        return f"checkpoint {member} is not in {store.uri}"
    try:
        promises = read_promises(store, member)
        if not promises:
            return f"the manifest of checkpoint {member} in {store.uri} promises nothing"
        for part, promised in promises.items():
            found = sizes.get(member.key(part))
            if found != promised.size_bytes:
                problem = "is not there" if found is None else f"has {found} bytes of {promised.size_bytes}"
                return f"{store.uri}/{member.key(part)} {problem}"
            if is_hashed:
                read_part(store, member, part, promises)
    except (DamagedObject, ObjectMissing) as error:
        return str(error)
    return ""


def invalidate(store: Store, broken: Iterable[CheckpointId]) -> None:
    """Delete the manifests of broken checkpoints, so that their trials train these epochs again.

    Where the store refuses the deletion, the broken checkpoint stays, and the run closes as partial.
    """
    for member in broken:
        with contextlib.suppress(StoreError):
            store.delete(member.key(layout.MANIFEST))
