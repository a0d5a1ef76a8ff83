"""Whether this version understands all records of a run. Two versions on one store are a normal state.

A run of a newer version can be read as far as it is understood. It cannot be driven: this version would drop unknown keys from
records that it replaces, and ignore them in its decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from pydantic import BaseModel, ValidationError

from ensembles.config import EnsembleConfig
from ensembles.nights.summary import NightSummary
from runner.config.sweep import SweepSpec
from runner.journal.journal import Journal
from runner.journal.state import RunState
from trainables.errors import DamagedObject, ObjectMissing, StoreTooNew
from trainables.plugins.kind import UNKNOWN_NAME
from trainables.results.newer_trial import name_keys
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json

NEWER = ("extra_forbidden", "literal_error", "union_tag_invalid", "enum", UNKNOWN_NAME)
"""Pydantic's error types for keys and values that this version does not know."""


def check_understood(store: Store, name: str, run: str, journal: Journal, state: RunState) -> None:
    """Raise `StoreTooNew`, naming the first thing that is not understood, unless this version may continue the run."""
    found = [*find_unread(journal.unread + state.unread), *_find_in_records(store, name, run)]
    if found:
        raise StoreTooNew(
            f"run {name}/{run} in {store.uri} was written by a newer Caucus ({name_keys(found)}): run it with that version, "
            "or start another run with --run-id"
        )


def find_unread(unread: Mapping[str, int]) -> Iterator[str]:
    """The entries of `unread` of a journal or a state, with how often each occurs."""
    for what, count in unread.items():
        yield what if count == 1 else f"{what} ({count:,} times)"


def describe_unread(unread: Mapping[str, int]) -> str:
    """A line for readers of such a run, "" where everything is understood."""
    if not unread:
        return ""
    return f"not understood by this version, and left out or shown as it is: {name_keys(find_unread(unread))}"


def _find_in_records(store: Store, name: str, run: str) -> Iterator[str]:
    """Keys of the run's own records that this version would lose when it replaces them."""
    if head := _read(store, layout.run_key(name, run, layout.SWEEP)):
        yield from _others(head, ("spec", "fingerprint", "data_id", "command"), layout.SWEEP)
        yield from unknown_keys(SweepSpec, head.get("spec"), f"{layout.SWEEP}: spec")
    if record := _read(store, layout.run_key(name, run, layout.ENSEMBLE)):
        yield from unknown_keys(EnsembleConfig, record.get("config"), f"{layout.ENSEMBLE}: config")
    if record := _read(store, layout.run_key(name, run, layout.DELETED)):
        yield from _others(record, ("epochs",), layout.DELETED)
    if record := _read(store, layout.run_key(name, run, layout.NIGHT)):
        yield from _others(record, ("accepted", *(field.name for field in fields(NightSummary))), layout.NIGHT)


def unknown_keys(model: type[BaseModel], payload: object, where: str) -> Iterator[str]:
    """Dotted keys of `payload` that `model` does not have, and those whose value it does not know."""
    try:
        if isinstance(payload, dict):
            model.model_validate(payload)
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"] in NEWER:
                # Positions inside unions and function validators are no keys.
                place = [str(part) for part in problem["loc"] if not (isinstance(part, str) and set(part) & set("[("))]
                value = "" if problem["type"] == "extra_forbidden" else f"={str(problem['input'])[:40]}"
                yield f"{where}.{'.'.join(place)}{value}"


def _others(record: Mapping[str, Any], known: Iterable[str], where: str) -> Iterator[str]:
    yield from (f"{where}: {key[:60]}" for key in record if key not in known)


def _read(store: Store, key: str) -> dict[str, Any] | None:
    """A record; None where there is none, or a damaged one, which will be replaced."""
    try:
        return get_json(store, key)
    except (ObjectMissing, DamagedObject):
        return None
