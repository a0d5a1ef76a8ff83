"""The events of a run: each is written once and never changed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from trainables.errors import DamagedObject
from trainables.results.record import OUT_OF_BUDGET, EpochResult, TrialCost, TrialState
from trainables.store.json_records import load_json


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events."""

    kind: ClassVar[str]

    at_unix_s: float
    """Time of the event by the clock of the driver."""
    elapsed_s: float
    """Seconds that the run has taken so far, over all its executions."""


@dataclass(frozen=True, kw_only=True)
class RunOpened(Event):
    """A driver started."""

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
    """Stage of the search; a trial that a later stage trains further is planned again there."""
    max_epochs: int | None = None
    """Its last epoch, where that differs from the sweep's."""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class TrialStarted(Event):
    """A slot started the trial."""

    kind = "trial-started"
    trial_id: str


@dataclass(frozen=True, kw_only=True)
class TrialMeasured(Event):
    """The cost of a trial's net, measured once it has been trained for an epoch."""

    kind = "trial-measured"
    trial_id: str
    cost: TrialCost


@dataclass(frozen=True, kw_only=True)
class EpochReported(Event):
    """A trial reached the end of an epoch; early stopping decided in the order of these events."""

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
    """A trial that was paused continues."""

    kind = "trial-promoted"
    trial_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TrialAudited(Event):
    """A pruned trial is trained to its last epoch, to see what pruning missed; no decision uses its results."""

    kind = "trial-audited"
    trial_id: str
    epoch: int
    """The epoch at which it was pruned."""


@dataclass(frozen=True, kw_only=True)
class Decided(Event):
    """A decision of the search that later steps build on: a stage's best trial, a border that grows …"""

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
    """The keys that distinguish it from the others, for display."""
    low: float
    high: float
    reason: str
    rates: list[float]
    losses: list[float]
    """Smoothed loss at each rate."""
    busy_s: float


@dataclass(frozen=True, kw_only=True)
class NodesChanged(Event):
    """The number of nodes that are paid for changed."""

    kind = "nodes-changed"
    nodes: int


@dataclass(frozen=True, kw_only=True)
class TrialEnded(Event):
    """A trial ended, with the reason."""

    kind = "trial-ended"
    trial_id: str
    state: TrialState
    reason: str
    by_budget: bool = False
    """Whether a budget ended it, which is a proper end that a larger budget continues."""


@dataclass(frozen=True, kw_only=True)
class RunClosed(Event):
    """A driver ended: `done`, `partial` (finished in part) or `failed` (every trial failed)."""

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


POSSIBLE: dict[str, tuple[float, float]] = {
    "epoch": (1, 10**9),
    **dict.fromkeys(("train_accuracy", "validation_accuracy", "fit_accuracy"), (0.0, 1 + 1e-6)),
    **dict.fromkeys(("train_s", "evaluate_s"), (0.0, 1e9)),
    "validation_score": (-1e-6, 1e3),
}
"""Bounds of an epoch's values. An accuracy is a mean of float32, which may be a rounding above 1."""


def to_line(event: Event) -> bytes:
    """One line of JSON."""
    payload = asdict(event)
    if isinstance(event, EpochReported):
        payload["result"] = event.result.to_dict()
    text = json.dumps({"kind": event.kind, **payload}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


@dataclass(frozen=True)
class Line:
    """A line of a journal as this version reads it: the event, and a description of what is not understood.

    A newer version may have written more. An event with additional keys counts with its known keys; an event of an unknown
    kind, or with an invalid value, is left out.
    """

    event: Event | None
    unread: str = ""
    """A short description, "" where everything is understood: `trial-cloned`, or `epoch-reported with the key result.mood`."""


def read_line(line: bytes, where: str) -> Line:
    """The inverse of `to_line`. Raises `DamagedObject`, naming `where`, for a line that no version can have written."""
    try:
        payload = load_json(line)
        name = payload["kind"]
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
    if isinstance(event, TrialEnded) and "by_budget" not in payload:  # a version that had the reason alone wrote it
        event = replace(event, by_budget=event.state == "stopped" and event.reason.startswith(OUT_OF_BUDGET))
    result = getattr(event, "result", None)
    if isinstance(result, EpochResult) and (impossible := _find_impossible(result)):
        return Line(None, f"{name} whose result.{impossible}")
    unknown = [key for key in payload if key not in _keys(name)]
    for part in ("result", "cost"):
        if isinstance(getattr(event, part, None), EpochResult | TrialCost):
            unknown += [f"{part}.{key}" for key in payload[part] if key not in _keys(part)]
    return Line(event, f"{name} with the key {_short(unknown[0], quoted=False)}" if unknown else "")


def _find_impossible(result: EpochResult) -> str:
    """The first value that no epoch can have, with the rule; "" where there is none. A checksum proves no good sense."""
    for key, (low, high) in POSSIBLE.items():
        value = getattr(result, key)
        if value is not None and not low <= value <= high:
            return f"{key} is {_short(value)}: it must lie between {low:g} and {high:g}"
    return ""


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
