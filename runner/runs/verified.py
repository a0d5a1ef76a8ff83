"""The record of checkpoints that were read back and found whole, so that a later driver only compares them with a listing.

A server with ETags checks uploads against their checksum, and stores a checksum of each object. So an object whose size and
ETag are unchanged counts as verified for `VERIFIED_S`; then it is read again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainables.errors import DamagedObject, ObjectMissing
from trainables.results.checkpoint import CheckpointId
from trainables.results.listing import Listing
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json, seal_json

VERIFIED_S = 30 * 24 * 3600.0
"""A verification expires after this long: the disks of a server may lose objects that its listing still names."""

AHEAD_S = 24 * 3600.0
"""A record from further in the future was written by a wrong clock."""


@dataclass(frozen=True)
class WholenessCheck:
    """A check that has found a checkpoint whole."""

    mark: str
    """Fingerprint of its objects, from `Listing.mark`."""
    at_unix_s: float
    is_read: bool
    """Whether its parts were read back; otherwise only their sizes were compared."""


@dataclass(frozen=True)
class Verified:
    """Checkpoints and configurations of trials that were found whole, with their marks."""

    checkpoints: Mapping[CheckpointId, WholenessCheck] = field(default_factory=dict)
    configs: Mapping[str, str] = field(default_factory=dict)

    def find(self, member: CheckpointId, listing: Listing, now_unix_s: float | None = None) -> WholenessCheck | None:
        """The check of `member`, unless it has expired or an object was written since."""
        check, now_unix_s = self.checkpoints.get(member), time.time() if now_unix_s is None else now_unix_s
        if check is None or check.mark != listing.mark(member):
            return None
        return check if -AHEAD_S < now_unix_s - check.at_unix_s < VERIFIED_S else None

    def has_config(self, trial_id: str, listing: Listing) -> bool:
        """Whether the trial's configuration was verified and is unchanged."""
        return trial_id in self.configs and self.configs[trial_id] == listing.config_mark(trial_id)


def read_verified(store: Store, name: str, run: str) -> Verified:
    """The record of a run: empty where there is none or it is damaged, so that everything is read. Raises `StoreError`."""
    if not store.has_etags:
        return Verified()
    try:
        record = get_json(store, layout.run_key(name, run, layout.VERIFIED))
        return _parse(record)
    except (ObjectMissing, DamagedObject, KeyError, TypeError, ValueError, AttributeError):
        return Verified()


def write_verified(store: Store, name: str, run: str, verified: Verified, before: Verified) -> None:
    """Write the record, unless it is unchanged. Raises `StoreError`."""
    if not store.has_etags or verified == before:
        return
    trials: dict[str, dict[str, Any]] = {trial_id: {"config": mark} for trial_id, mark in verified.configs.items()}
    for member, check in verified.checkpoints.items():
        epochs = trials.setdefault(member.trial_id, {}).setdefault("epochs", {})
        epochs[str(member.epoch)] = [check.mark, round(check.at_unix_s), int(check.is_read)]
    store.put(layout.run_key(name, run, layout.VERIFIED), seal_json({"trials": trials}))


def _parse(record: Mapping[str, Any]) -> Verified:
    checkpoints, configs = {}, {}
    for trial_id, found in record["trials"].items():
        if found.get("config"):
            configs[trial_id] = str(found["config"])
        for epoch, (mark, at_unix_s, is_read) in found.get("epochs", {}).items():
            checkpoints[CheckpointId(trial_id, int(epoch))] = WholenessCheck(str(mark), float(at_unix_s), bool(is_read))
    return Verified(checkpoints, configs)
