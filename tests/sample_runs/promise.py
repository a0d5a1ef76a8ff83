"""What a run promises under any fault, checked from outside: by reading its store with nothing but hashes and JSON."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sample_runs.sweeps import events, trial_bits


@dataclass(frozen=True)
class Seen:
    """What a store held at a moment."""

    manifests: dict[str, bytes]
    """Of each committed checkpoint, by `trial_id/epoch-…`."""
    epochs: frozenset[tuple[str, int]]
    """On record."""
    running: frozenset[str]
    """Trials that a slot was busy with."""


def inspect_store(store: Path) -> Seen:
    """What a folder store holds now."""
    running: set[str] = set()
    epochs = set()
    # Before the journal: an epoch that is committed in between is then in neither.
    manifests = {
        str(path.parent.relative_to(store / "trials")): path.read_bytes()
        for path in store.glob("trials/*/epoch-*/manifest.json")
    }
    for event in events(store):
        if event["kind"] == "trial-started":
            running.add(event["trial_id"])
        elif event["kind"] in ("trial-ended", "trial-paused"):
            running.discard(event["trial_id"])
        elif event["kind"] == "run-opened":
            running.clear()
        elif event["kind"] == "epoch-reported":
            epochs.add((event["trial_id"], event["result"]["epoch"]))
    return Seen(manifests, frozenset(epochs), frozenset(running))


def faults_of(store: Path) -> list[str]:
    """What is wrong with the checkpoints of a folder store: every epoch on record must have one, and every part its hash."""
    found = []
    recorded = {
        (event["trial_id"], event["result"]["epoch"]) for event in events(store) if event["kind"] == "epoch-reported"
    }
    for trial_id, epoch in sorted(recorded):
        if not (store / "trials" / trial_id / f"epoch-{epoch:04d}" / "manifest.json").is_file():
            found.append(f"{trial_id}@{epoch} is on record and not in the store")
    for path in sorted(store.glob("trials/*/epoch-*/manifest.json")):
        for name, entry in json.loads(path.read_bytes())["parts"].items():
            part = path.parent / name
            data = part.read_bytes() if part.is_file() else b""
            if (len(data), hashlib.sha256(data).hexdigest()) != (entry["size_bytes"], entry["sha256"]):
                found.append(f"{part.relative_to(store)} is not what its manifest promises")
    return found


def check_promise(store: Path, undisturbed: Path, seen: list[Seen]) -> None:
    """Assert that a run that says it is done lost nothing, did hardly anything twice, and came to the bits of `undisturbed`.

    `seen` is what its store held at each fault.
    """
    found = faults_of(store)
    assert found == [], f"the store is not whole: {found}"
    for moment in seen:
        lost = [
            name
            for name, data in moment.manifests.items()
            if (store / "trials" / name / "manifest.json").read_bytes() != data
        ]
        assert lost == [], f"checkpoints that were committed before the fault were lost or written again: {lost}"
    again = Counter(event["trial_id"] for event in events(store) if event["kind"] == "epoch-repeated")
    assert all(count <= len(seen) for count in again.values()), f"epochs done again: {again}"
    reported = Counter(
        (event["trial_id"], event["result"]["epoch"]) for event in events(store) if event["kind"] == "epoch-reported"
    )
    assert set(reported.values()) == {1}, "an epoch is on record twice"
    bits, expected = trial_bits(store), trial_bits(undisturbed)
    other = sorted(name for name in bits.keys() | expected.keys() if bits.get(name) != expected.get(name))
    assert other == [], f"not the bits of the undisturbed run: {other}"


def back_s(store: Path, since_unix_s: float, trials: frozenset[str]) -> float:
    """Seconds from `since_unix_s` until each of `trials` has reported another epoch: how long the slowest of them was away."""
    first: dict[str, float] = {}
    for event in _epochs_after(store, since_unix_s):
        first.setdefault(event["trial_id"], event["at_unix_s"] - since_unix_s)
    return max((first[name] for name in trials if name in first), default=math.nan)


def first_epoch_s(store: Path, since_unix_s: float) -> float:
    """Seconds from `since_unix_s` until the first epoch that was trained after it."""
    return next((event["at_unix_s"] - since_unix_s for event in _epochs_after(store, since_unix_s)), math.nan)


def _epochs_after(store: Path, since_unix_s: float) -> list[dict[str, Any]]:
    trained = [event for event in events(store) if event["kind"] == "epoch-repeated" or event.get("trained")]
    return [event for event in trained if event["at_unix_s"] > since_unix_s]
