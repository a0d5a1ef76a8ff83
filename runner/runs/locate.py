"""Resolves the name of a run, as a user types it, to a run in a store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.config.checks import read_spec
from runner.config.messages import nearest
from runner.journal.latest import read_latest
from trainables.errors import ObjectMissing, RunMissing
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import check_format
from trainables.store.keys import is_key
from trainables.store.open import open_store

HOW = (
    "name a run as digits, digits/3f2a90c1, runs/sweeps/digits, s3://bucket/prefix/sweeps/digits, or by its sweep file"
)


@dataclass(frozen=True)
class Located:
    """A run that exists in a store."""

    store: Store
    name: str
    run: str


def find_runs(store: Store) -> Iterator[Located]:
    """All runs of all sweeps of a store."""
    for name in store.folders(layout.SWEEPS):
        for run in store.folders(layout.sweep_prefix(name)):
            yield Located(store, name, run)


def locate(reference: str, store_uri: str, endpoint_url: str | None) -> Located:
    """The run that `reference` names: a sweep or sweep/run in `store_uri`, a full path or uri, or a sweep file.

    Without the name of a run it is the sweep's latest. Raises `RunMissing`, or `StoreError` where the store cannot be read.
    """
    if reference.endswith((".yaml", ".yml")):
        spec = read_spec(reference, [])
        store_uri, endpoint_url, reference = spec.store.uri, spec.store.endpoint_url or endpoint_url, spec.name
    before, found, after = reference.rstrip("/").rpartition(layout.SWEEPS)
    if found and (before == "" or before.endswith("/")):
        store_uri, reference = before.rstrip("/") or store_uri, after
    elif "://" in reference or Path(reference, layout.FORMAT_KEY).is_file():
        store_uri, reference = reference, ""
    store = open_store(store_uri, endpoint_url)
    store.check()
    if not check_format(store):
        raise RunMissing(f"{store.uri} is no store of Caucus: {HOW}")
    return Located(store, *existing_run(store, reference))


def existing_run(store: Store, reference: str) -> tuple[str, str]:
    """Name and run of `NAME/RUN`, `NAME` (its latest run) or "" (the store's only sweep). Raises `RunMissing`."""
    name, _, run = reference.partition("/")
    name = name or _only_sweep(store)
    if not is_key(layout.run_key(name, run or "latest", layout.SWEEP)):
        raise RunMissing(f"{reference[:200]!r} is no name of a run: {HOW}")
    return name, _existing_run(store, name, run or _latest(store, name))


def _only_sweep(store: Store) -> str:
    names = store.folders(layout.SWEEPS)
    if len(names) != 1:
        raise RunMissing(f"{store.uri} holds {len(names)} sweeps ({', '.join(names[:10]) or 'none'}): {HOW}")
    return names[0]


def _latest(store: Store, name: str) -> str:
    try:
        return read_latest(store, name)
    except ObjectMissing:
        names = store.folders(layout.SWEEPS)
        if name in names:
            runs = ", ".join(f"{name}/{run}" for run in store.folders(layout.sweep_prefix(name))[:10])
            raise RunMissing(
                f"{store.uri}/{layout.latest_key(name)} is missing: name the run itself ({runs or 'there is none'})"
            ) from None
        raise RunMissing(f"{store.uri} holds no sweep {name!r}{nearest(name, names)}") from None


def _existing_run(store: Store, name: str, run: str) -> str:
    if store.stat(layout.run_key(name, run, layout.SWEEP)) is None:
        runs = store.folders(layout.sweep_prefix(name))
        if run in runs:
            raise RunMissing(
                f"{store.uri}/{layout.run_key(name, run, layout.SWEEP)} is missing: restore it, or run the sweep again, which writes it"
            )
        raise RunMissing(f"{store.uri} holds no run {run!r} of sweep {name!r}{nearest(run, runs)}")
    return run
