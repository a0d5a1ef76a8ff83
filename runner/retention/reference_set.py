"""Checkpoints that have to stay: what runs refer to, and what their trials go on from."""

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
"""Names of trials, tables of pseudo-labels and weights, wherever a text has them."""

TEXTS = (".json", ".jsonl")


NOT_UNDERSTOOD = "its run cannot be read here, or not in full"
OTHER_MANIFEST = "its manifest cannot be read here, or not in full"

READERS = 16
"""Manifests read at a time."""


@dataclass
class ReferenceSet:
    """Checkpoints that stay, as far as they are known: the one value here that grows."""

    stored: Mapping[CheckpointId, list[StoredObject]]
    reasons: dict[CheckpointId, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    """Hashes of weights and names of pseudo-labels that a run refers to."""

    def keep(self, members: Iterable[CheckpointId], reason: str) -> None:
        """`members`, as far as they are stored, stay; the first reason is the one that is told."""
        for member in members:
            if member in self.stored:
                self.reasons.setdefault(member, reason)

    def of(self, trial_id: str) -> list[CheckpointId]:
        """The stored checkpoints of one trial, rising."""
        return sorted(member for member in self.stored if member.trial_id == trial_id)


def add_referenced(store: Store, found: Located, state: RunState, keeping: ReferenceSet) -> None:
    """What the run's trials start from and its decisions, curves and soups were made of."""
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
                    told = get_json(store, each.key)
                    told.pop("candidates", None)  # of a soup: those that did not go in are no part of it
                    sources.append((told, "it was sparsified, or went into a soup"))
    with contextlib.suppress(StoreError):
        sources.append((get_json(store, layout.run_key(found.name, found.run, layout.SWEEP)), "a sweep names it"))
    for told, reason in sources:
        members, names = references(told)
        keeping.keep(sorted(members), reason)
        keeping.named |= names


def add_mentioned(found: Located, keeping: ReferenceSet) -> None:
    """All checkpoints of every trial that any record of the run names, whatever it says of it, and what else they name.

    For runs that are damaged, or that a newer version has written: nobody here knows what they need.
    """
    for each in found.store.find(layout.run_key(found.name, found.run, "")):
        if each.key.endswith(TEXTS):
            with contextlib.suppress(StoreError):
                names = {name.decode() for name in HASHES.findall(found.store.get(each.key))}
                keeping.named |= names
                keeping.keep((member for member in keeping.stored if member.trial_id in names), NOT_UNDERSTOOD)


def keep_other_manifests(store: Store, keeping: ReferenceSet, trials: Container[str] | None = None) -> list[str]:
    """Of what does not stay as yet (of `trials`, or of all), whatever has a manifest that this version does not understand.

    What a newer version has put there, or damage has hidden, may be needed by what nobody here knows. Returns a note on these.
    Raises `StoreError`.
    """

    def why(member: CheckpointId) -> str:
        key = member.key(layout.MANIFEST)
        if store.has_etags and _has_own_size(member, keeping.stored[member]):
            return ""
        try:
            return why_not_understood(store.get(key), f"{store.uri}/{key}")
        except ObjectMissing:  # it went meanwhile
            return ""

    asked = (member for member in keeping.stored if trials is None or member.trial_id in trials)
    left = sorted(member for member in asked if member not in keeping.reasons)
    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as readers:
        others = {member: told for member, told in zip(left, readers.map(why, left), strict=True) if told}
    keeping.keep(others, OTHER_MANIFEST)
    return [f"{len(others)} checkpoint(s) stay as they are: {next(iter(others.values()))}"] if others else []


def _has_own_size(member: CheckpointId, objects: Iterable[StoredObject]) -> bool:
    """Whether the manifest is as large as this version's of what is listed beside it: a bucket need not be asked for thousands,
    and its server has a checksum of each object, so that what has the size has the form."""
    sizes = {each.key.rpartition("/")[2]: each.size_bytes for each in objects}
    return sizes.pop(layout.MANIFEST, None) == manifest_bytes(member, sizes)


def references(told: Any) -> tuple[set[CheckpointId], set[str]]:
    """Checkpoints that a JSON value names, in any of the ways in which records do, and all other texts in it.

    >>> sorted(map(str, references({"parent": {"trial_id": "0f3a00000000", "epoch": 3}, "team": [["0f3a00000001", 2]]})[0]))
    ['0f3a00000000@3', '0f3a00000001@2']
    """
    members: set[CheckpointId] = set()
    names: set[str] = set()
    match told:
        case str():
            members |= {CheckpointId(name, int(epoch)) for name, epoch in NAMED.findall(told)}
            names.add(told.removeprefix(BY_HASH))
        case {"trial_id": str(name), "epoch": int(epoch)}:
            members.add(CheckpointId(name, epoch))
        case [str(name), int(epoch)]:
            members.add(CheckpointId(name, epoch))
    for below in told.values() if isinstance(told, dict) else told if isinstance(told, (list, tuple)) else ():
        more_members, more_names = references(below)
        members |= more_members
        names |= more_names
    return members, names


def add_resumable(state: RunState, keeping: ReferenceSet) -> None:
    """The newest checkpoint of trials that a larger budget continues, that may be audited, or that a population goes on from."""
    breeds = any(references(record.config.model_dump(mode="json"))[0] for record in state.trials.values())
    audits = any(record.audited_from is not None for record in state.trials.values())
    for record in state.trials.values():
        if record.state not in ENDED or breeds or (audits and record.state == "pruned"):
            keeping.keep(keeping.of(record.trial_id)[-1:], "a trial goes on from it")
