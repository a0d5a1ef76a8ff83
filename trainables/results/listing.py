"""The listing of the checkpoints of some trials, and a mark of each checkpoint that changes with any of its objects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trainables.results.checkpoint import CheckpointId
from trainables.store import layout
from trainables.store.base import Store, StoredObject


@dataclass(frozen=True)
class Listing:
    """The objects of `trials` at the time of the listing."""

    trials: frozenset[str] = frozenset()
    objects: Mapping[str, StoredObject] = field(default_factory=dict)
    """All objects, by key."""
    committed: Mapping[str, set[int]] = field(default_factory=dict)
    """Epochs whose checkpoints have a manifest, by trial id."""
    _folders: Mapping[str, list[StoredObject]] = field(default_factory=dict)

    def mark(self, member: CheckpointId) -> str:
        """A hash of names, sizes and ETags of all objects in a checkpoint's folder; "" where the store has no ETags."""
        return mark_of(self._folders.get(member.key(""), ()))

    def config_mark(self, trial_id: str) -> str:
        """The mark of the trial's configuration."""
        found = self.objects.get(layout.config_key(trial_id))
        return mark_of([found] if found else [])

    def with_more(self, other: Listing) -> Listing:
        """This listing merged with that of other trials."""
        return Listing(
            self.trials | other.trials,
            {**self.objects, **other.objects},
            {**self.committed, **other.committed},
            {**self._folders, **other._folders},
        )

    def without(self, gone: Iterable[CheckpointId]) -> Listing:
        """This listing without the objects of these checkpoints."""
        folders = {member.key("") for member in gone}
        return list_objects(
            self.trials, (each for key, each in self.objects.items() if key.rpartition("/")[0] + "/" not in folders)
        )


NOT_LISTED = Listing()


def mark_of(objects: Iterable[StoredObject]) -> str:
    """A hash of names, sizes and ETags; "" where there are no objects, or one has no ETag."""
    lines = []
    for each in objects:
        if not each.etag:
            return ""
        lines.append(f"{each.key.rpartition('/')[2]} {each.size_bytes} {each.etag}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()[:32] if lines else ""


def list_checkpoints(store: Store, trial_ids: Iterable[str]) -> Listing:
    """The listing of these trials in the store. Raises `StoreError`."""
    trials = frozenset(trial_ids)
    return list_objects(trials, store.find_many([layout.trial_prefix(trial_id) for trial_id in sorted(trials)]))


def list_objects(trials: Iterable[str], objects: Iterable[StoredObject]) -> Listing:
    """The listing of `trials` that consists of `objects`."""
    found = {each.key: each for each in objects}
    folders: dict[str, list[StoredObject]] = {}
    committed: dict[str, set[int]] = {}
    for each in found.values():
        folder, _, name = each.key.rpartition("/")
        folders.setdefault(f"{folder}/", []).append(each)
        if name == layout.MANIFEST and (epoch := layout.epoch_of(folder)):
            committed.setdefault(layout.trial_of(folder), set()).add(epoch)
    return Listing(frozenset(trials), found, committed, folders)
