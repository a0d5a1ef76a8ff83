"""Whether this version understands all that a run has on record. Two versions on one store are a normal state.

A run that a newer version has written is looked at as far as it is understood. It is not driven: what this version does not know it
would leave out of what it writes again, and out of what it decides.
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
from trainables.results.newer_trial import name_keys
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json

NEWER = ("extra_forbidden", "literal_error", "union_tag_invalid", "enum")
"""What pydantic calls keys and words that this version does not know."""


def check_understood(store: Store, name: str, run: str, journal: Journal, state: RunState) -> None:
    """Raise `StoreTooNew`, with the first of what is not understood, unless this version may go on with the run."""
    found = [*find_unread(journal.unread + state.unread), *_find_in_records(store, name, run)]
    if found:
        raise StoreTooNew(
            f"run {name}/{run} in {store.uri} was written by a newer Caucus ({name_keys(found)}): run it with that version, "
            "or start another run with --run-id"
        )


def find_unread(unread: Mapping[str, int]) -> Iterator[str]:
    """What a journal or its state tells of, each with how often."""
    for what, count in unread.items():
        yield what if count == 1 else f"{what} ({count:,} times)"


def describe_unread(unread: Mapping[str, int]) -> str:
    """A line for who looks at such a run, "" where all is understood."""
    if not unread:
        return ""
    return f"not understood by this version, and left out or shown as it is: {name_keys(find_unread(unread))}"


def _find_in_records(store: Store, name: str, run: str) -> Iterator[str]:
    """Keys of the run's own records that this version would not write again."""
    if head := _read(store, layout.run_key(name, run, layout.SWEEP)):
        yield from _others(head, ("spec", "fingerprint", "data_id", "command"), layout.SWEEP)
        yield from unknown_keys(SweepSpec, head.get("spec"), f"{layout.SWEEP}: spec")
    if told := _read(store, layout.run_key(name, run, layout.ENSEMBLE)):
        yield from unknown_keys(EnsembleConfig, told.get("config"), f"{layout.ENSEMBLE}: config")
    if told := _read(store, layout.run_key(name, run, layout.DELETED)):
        yield from _others(told, ("epochs",), layout.DELETED)
    if told := _read(store, layout.run_key(name, run, layout.NIGHT)):
        yield from _others(told, ("accepted", *(field.name for field in fields(NightSummary))), layout.NIGHT)


def unknown_keys(model: type[BaseModel], told: object, where: str) -> Iterator[str]:
    """Dotted keys of `told` that `model` does not have, and those whose word it does not know."""
    try:
        if isinstance(told, dict):
            model.model_validate(told)
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"] in NEWER:
                # Positions inside unions and function validators are no keys.
                place = [str(part) for part in problem["loc"] if not (isinstance(part, str) and set(part) & set("[("))]
                value = "" if problem["type"] == "extra_forbidden" else f"={str(problem['input'])[:40]}"
                yield f"{where}.{'.'.join(place)}{value}"


def _others(told: Mapping[str, Any], known: Iterable[str], where: str) -> Iterator[str]:
    yield from (f"{where}: {key[:60]}" for key in told if key not in known)


def _read(store: Store, key: str) -> dict[str, Any] | None:
    """A record; None where there is none, or a damaged one, which is written again."""
    try:
        return get_json(store, key)
    except (ObjectMissing, DamagedObject):
        return None
