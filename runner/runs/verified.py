"""What of a run was read back and found whole, so that a later driver need not read it again: a listing shows that it is the same.

A server that has ETags compares what it takes with its checksum, and keeps a checksum of what it has. So an object with the
size and the ETag that it was read with is taken to be what was read, for `PROVED_S`: then all is read again.
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

PROVED_S = 30 * 24 * 3600.0
"""What was read so long ago is read again: the disks of a server may lose what its listing still names."""

AHEAD_S = 24 * 3600.0
"""A record from so far in the future was written by a clock that was wrong."""


@dataclass(frozen=True)
class Look:
    """How a checkpoint was found whole."""

    mark: str
    """Of its objects, as `Listing.mark` has it."""
    at_unix_s: float
    is_read: bool
    """Whether its parts were read back; else only their sizes were compared."""


@dataclass(frozen=True)
class Verified:
    """Checkpoints that were found whole, and configurations of trials, with the marks of these."""

    checkpoints: Mapping[CheckpointId, Look] = field(default_factory=dict)
    configs: Mapping[str, str] = field(default_factory=dict)

    def find(self, member: CheckpointId, listing: Listing, now_unix_s: float | None = None) -> Look | None:
        """How `member` was found whole, if nothing of it was written since and that is not too long ago."""
        look, now_unix_s = self.checkpoints.get(member), time.time() if now_unix_s is None else now_unix_s
        if look is None or look.mark != listing.mark(member):
            return None
        return look if -AHEAD_S < now_unix_s - look.at_unix_s < PROVED_S else None

    def has_config(self, trial_id: str, listing: Listing) -> bool:
        """Whether the trial's configuration was read and is the same."""
        return trial_id in self.configs and self.configs[trial_id] == listing.config_mark(trial_id)


def read_verified(store: Store, name: str, run: str) -> Verified:
    """The record of a run: empty where there is none or it cannot be understood, for then all is read. Raises `StoreError`."""
    if not store.has_etags:
        return Verified()
    try:
        told = get_json(store, layout.run_key(name, run, layout.VERIFIED))
        return _understand(told)
    except (ObjectMissing, DamagedObject, KeyError, TypeError, ValueError, AttributeError):
        return Verified()


def write_verified(store: Store, name: str, run: str, proved: Verified, before: Verified) -> None:
    """Put the record in its place, unless it is what lies there. Raises `StoreError`."""
    if not store.has_etags or proved == before:
        return
    trials: dict[str, dict[str, Any]] = {trial_id: {"config": mark} for trial_id, mark in proved.configs.items()}
    for member, look in proved.checkpoints.items():
        epochs = trials.setdefault(member.trial_id, {}).setdefault("epochs", {})
        epochs[str(member.epoch)] = [look.mark, round(look.at_unix_s), int(look.is_read)]
    store.put(layout.run_key(name, run, layout.VERIFIED), seal_json({"trials": trials}))


def _understand(told: Mapping[str, Any]) -> Verified:
    checkpoints, configs = {}, {}
    for trial_id, found in told["trials"].items():
        if found.get("config"):
            configs[trial_id] = str(found["config"])
        for epoch, (mark, at_unix_s, is_read) in found.get("epochs", {}).items():
            checkpoints[CheckpointId(trial_id, int(epoch))] = Look(str(mark), float(at_unix_s), bool(is_read))
    return Verified(checkpoints, configs)
