"""What happens in a run, as values: each event is written down once and never changed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from trainables.errors import DamagedObject
from trainables.results.record import EpochResult, TrialCost, TrialState
from trainables.store.json_records import load_json


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events."""

    kind: ClassVar[str]

    at_unix_s: float
    """When, by the clock of the driver."""
    elapsed_s: float
    """Seconds that the run has taken so far, over all its executions."""


@dataclass(frozen=True, kw_only=True)
class RunOpened(Event):
    """A driver began, or began again."""

    kind = "run-opened"
    versions: dict[str, str]
    slots: int


@dataclass(frozen=True, kw_only=True)
class TrialPlanned(Event):
    """A trial belongs to the run from now on."""

    kind = "trial-planned"
    trial_id: str
    config: dict[str, Any]
    stage: str = ""
    """Of the search; a trial that a later stage trains on is planned again there."""
    max_epochs: int | None = None
    """Its last epoch, where it is not the sweep's own."""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class TrialStarted(Event):
    """A slot took the trial up."""

    kind = "trial-started"
    trial_id: str


@dataclass(frozen=True, kw_only=True)
class TrialMeasured(Event):
    """What a trial's net costs, once it has been trained for an epoch."""

    kind = "trial-measured"
    trial_id: str
    cost: TrialCost


@dataclass(frozen=True, kw_only=True)
class EpochReported(Event):
    """A trial reached the end of an epoch; the order of these is what early stopping decided on."""

    kind = "epoch-reported"
    trial_id: str
    result: EpochResult
    trained: bool
    """False where the store had this epoch already."""


@dataclass(frozen=True, kw_only=True)
class EpochRepeated(Event):
    """An epoch on record was trained a second time, because its checkpoint had not reached the store."""

    kind = "epoch-repeated"
    trial_id: str
    epoch: int
    busy_s: float


@dataclass(frozen=True, kw_only=True)
class TrialPaused(Event):
    """A trial leaves its slot and waits to be promoted."""

    kind = "trial-paused"
    trial_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TrialPromoted(Event):
    """A trial that was paused goes on."""

    kind = "trial-promoted"
    trial_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TrialAudited(Event):
    """A pruned trial is trained on to its last epoch, without a say in anything, to see what pruning missed."""

    kind = "trial-audited"
    trial_id: str
    epoch: int
    """At which it was pruned."""


@dataclass(frozen=True, kw_only=True)
class Decided(Event):
    """The search found something out and goes on from there: a stage's best, a border that grows …"""

    kind = "decided"
    what: str
    reason: str
    stage: str = ""
    trial_id: str | None = None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RangeTested(Event):
    """The learning-rate range test of an architecture has ended."""

    kind = "range-tested"
    key: str
    """Names the architecture."""
    label: str = ""
    """What tells it from the others, for a person."""
    low: float
    high: float
    reason: str
    rates: list[float]
    losses: list[float]
    """Smoothed, one a rate."""
    busy_s: float


@dataclass(frozen=True, kw_only=True)
class NodesChanged(Event):
    """From now on the run is paid for on this many nodes."""

    kind = "nodes-changed"
    nodes: int


@dataclass(frozen=True, kw_only=True)
class TrialEnded(Event):
    """A trial stops here, and why."""

    kind = "trial-ended"
    trial_id: str
    state: TrialState
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunClosed(Event):
    """A driver came to its end: `done`, `partial` (finished in part) or `failed` (every trial failed)."""

    kind = "run-closed"
    state: str
    reason: str


KINDS: dict[str, type[Event]] = {
    event.kind: event
    for event in (
        RunOpened,
        TrialPlanned,
        TrialStarted,
        TrialMeasured,
        EpochReported,
        EpochRepeated,
        TrialPaused,
        TrialPromoted,
        TrialAudited,
        TrialEnded,
        Decided,
        RangeTested,
        NodesChanged,
        RunClosed,
    )
}


def to_line(event: Event) -> bytes:
    """One line of JSON."""
    text = json.dumps({"kind": event.kind, **asdict(event)}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


@dataclass(frozen=True)
class Line:
    """What this version makes of a line of a journal: the event, and what of it is not understood.

    A newer version may have written more. What is known of an event counts, also where it has further keys; an event of another
    kind, or with a value that is none for its key, is left out.
    """

    event: Event | None
    unread: str = ""
    """In a few words, "" where all is understood: `trial-cloned`, or `epoch-reported with the key result.mood`."""


def read_line(line: bytes, where: str) -> Line:
    """The inverse of `to_line`. Raises `DamagedObject`, naming `where`, for what no version has written."""
    try:
        told = load_json(line)
        name = told["kind"]
        if not isinstance(name, str):
            raise TypeError("its kind is no text")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = "it has no kind" if isinstance(error, KeyError) else error
        raise DamagedObject(
            f"{where} holds a line that is no event ({why}): restore that object, or run the sweep again"
        ) from None
    if name not in KINDS:
        return Line(None, f"an event {_short(name)}")
    try:
        event = _reader(name).validate_json(line, strict=True)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        wrong = "is missing" if problem["type"] == "missing" else f"is {_short(problem['input'])}: {problem['msg']}"
        return Line(None, f"{name} whose {key} {wrong}")
    unknown = [key for key in told if key not in _keys(name)]
    for part in ("result", "cost"):
        if isinstance(getattr(event, part, None), EpochResult | TrialCost):
            unknown += [f"{part}.{key}" for key in told[part] if key not in _keys(part)]
    return Line(event, f"{name} with the key {_short(unknown[0], quoted=False)}" if unknown else "")


@cache
def _reader(name: str) -> TypeAdapter[Event]:
    return TypeAdapter(KINDS[name])


@cache
def _keys(name: str) -> frozenset[str]:
    kind = {"result": EpochResult, "cost": TrialCost}.get(name) or KINDS[name]
    return frozenset({"kind", "sum", *(known.name for known in fields(kind))})


def _short(value: object, quoted: bool = True) -> str:
    text = repr(value) if quoted else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
