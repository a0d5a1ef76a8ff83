"""Checkpoints that have to stay: those that runs refer to, and those from which trials continue."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Container, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from runner.journal.state import RunState
from runner.runs.locate import Located
from trainables.errors import ObjectMissing, StoreError
from trainables.models.pretrained import BY_HASH
from trainables.results.checkpoint import CheckpointId, manifest_bytes, why_not_understood
from trainables.results.record import ENDED
from trainables.store import layout
from trainables.store.base import Store, StoredObject
from trainables.store.json_records import get_json

NAMED = re.compile(r"([0-9a-f]{12})@(\d+)")
HASHES = re.compile(rb"(?<![0-9a-f])[0-9a-f]{12,64}(?![0-9a-f])")
"""Matches the names of trials, tables of pseudo-labels and weights in any text."""

TEXTS = (".json", ".jsonl")


NOT_UNDERSTOOD = "its run cannot be read here, or not in full"
OTHER_MANIFEST = "its manifest cannot be read here, or not in full"

READERS = 16
"""Manifests read at a time."""


@dataclass
class ReferenceSet:
    """The checkpoints that stay, as far as they are known. Mutable: `add` extends it."""

    stored: Mapping[CheckpointId, list[StoredObject]]
    reasons: dict[CheckpointId, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    """Hashes of weights and names of pseudo-labels that a run refers to."""

    def add(self, members: Iterable[CheckpointId], reason: str) -> None:
        """Retain those of `members` that are stored; the first reason for each is the one that is shown."""
        for member in members:
            if member in self.stored:
                self.reasons.setdefault(member, reason)

    def of(self, trial_id: str) -> list[CheckpointId]:
        """The stored checkpoints of one trial, in ascending order."""
        return sorted(member for member in self.stored if member.trial_id == trial_id)


def add_referenced(store: Store, found: Located, state: RunState, retained: ReferenceSet) -> None:
    """Add the checkpoints that the run's trials start from, and those on which its decisions, curves and soups are based."""
    sources: list[tuple[Any, str]] = [
        (record.config.model_dump(mode="json"), "a trial starts from it") for record in state.trials.values()
    ]
    sources += [(decision.values, "a decision of a search is based on it") for decision in state.decisions]
    for prefix in (
        layout.pruned_curves_prefix(found.name, found.run),
        layout.soup_summaries_prefix(found.name, found.run),
    ):
        for each in store.find(prefix):
            if each.key.endswith(".json"):
                with contextlib.suppress(StoreError):
                    record = get_json(store, each.key)
                    record.pop("candidates", None)  # checkpoints that a soup considered, but did not take
                    sources.append((record, "it was sparsified, or went into a soup"))
    with contextlib.suppress(StoreError):
        sources.append((get_json(store, layout.run_key(found.name, found.run, layout.SWEEP)), "a sweep names it"))
    for record, reason in sources:
        members, names = references(record)
        retained.add(sorted(members), reason)
        retained.named |= names


def add_mentioned(found: Located, retained: ReferenceSet) -> None:
    """Add all checkpoints of every trial that any record of the run mentions, and all other names in these records.

    For runs that are damaged, or that a newer version has written: this version cannot know what they need.
    """
    for each in found.store.find(layout.run_key(found.name, found.run, "")):
        if each.key.endswith(TEXTS):
            with contextlib.suppress(StoreError):
                names = {name.decode() for name in HASHES.findall(found.store.get(each.key))}
                retained.named |= names
                retained.add((member for member in retained.stored if member.trial_id in names), NOT_UNDERSTOOD)


def retain_other_manifests(store: Store, retained: ReferenceSet, trials: Container[str] | None = None) -> list[str]:
    """Add all further checkpoints (of `trials`, or of all) whose manifest this version does not understand.

    A newer version may need what it has written there, or what damage has hidden. Returns a note on these checkpoints.
    Raises `StoreError`.
    """

    def why(member: CheckpointId) -> str:
        key = member.key(layout.MANIFEST)
        if store.has_etags and _has_expected_size(member, retained.stored[member]):
            return ""
        try:
            return why_not_understood(store.get(key), f"{store.uri}/{key}")
        except ObjectMissing:  # it was deleted meanwhile
            return ""

    candidates = (member for member in retained.stored if trials is None or member.trial_id in trials)
    open_members = sorted(member for member in candidates if member not in retained.reasons)
    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as readers:
        others = {
            member: fault for member, fault in zip(open_members, readers.map(why, open_members), strict=True) if fault
        }
    retained.add(others, OTHER_MANIFEST)
    return [f"{len(others)} checkpoint(s) stay as they are: {next(iter(others.values()))}"] if others else []


def _has_expected_size(member: CheckpointId, objects: Iterable[StoredObject]) -> bool:
    """Whether the manifest has the size that this version would write for the listed parts: this saves thousands of requests to
    a bucket, whose server has a checksum of each object, so that the size implies the form."""
    sizes = {each.key.rpartition("/")[2]: each.size_bytes for each in objects}
    return sizes.pop(layout.MANIFEST, None) == manifest_bytes(member, sizes)


def references(value: Any) -> tuple[set[CheckpointId], set[str]]:
    """The checkpoints that a JSON value names, in any of the forms that records use, and all other strings in it.

    >>> sorted(map(str, references({"parent": {"trial_id": "0f3a00000000", "epoch": 3}, "team": [["0f3a00000001", 2]]})[0]))
    ['0f3a00000000@3', '0f3a00000001@2']
    """
    members: set[CheckpointId] = set()
    names: set[str] = set()
    match value:
        case str():
            members |= {CheckpointId(name, int(epoch)) for name, epoch in NAMED.findall(value)}
            names.add(value.removeprefix(BY_HASH))
        case {"trial_id": str(name), "epoch": int(epoch)}:
            members.add(CheckpointId(name, epoch))
        case [str(name), int(epoch)]:
            members.add(CheckpointId(name, epoch))
    for below in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        more_members, more_names = references(below)
        members |= more_members
        names |= more_names
    return members, names


def add_resumable(state: RunState, retained: ReferenceSet) -> None:
    """Add the newest checkpoint of trials that a larger budget continues, that may be audited, or from which a population continues."""
    breeds = any(references(record.config.model_dump(mode="json"))[0] for record in state.trials.values())
    audits = any(record.audited_from is not None for record in state.trials.values())
    for record in state.trials.values():
        if record.state not in ENDED or breeds or (audits and record.state == "pruned"):
            retained.add(retained.of(record.trial_id)[-1:], "a trial goes on from it")
