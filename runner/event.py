"""What happens in a run, as values: each event is written down once and never changed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from trainables.errors import DamagedObject
from trainables.record import EpochResult, TrialCost, TrialState


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


def from_line(line: bytes, where: str) -> Event | None:
    """The inverse of `to_line`; None for a kind that this version does not know. Raises `DamagedObject`, naming `where`."""
    try:
        told = json.loads(line)
        kind = KINDS.get(told.pop("kind"))
        if kind is None:
            return None
        if kind is EpochReported:
            told["result"] = EpochResult(**told["result"])
        if kind is TrialMeasured:
            told["cost"] = TrialCost(**told["cost"])
        known = {known.name for known in fields(kind)}
        return kind(**{key: value for key, value in told.items() if key in known})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedObject(
            f"{where} holds a line that is no event ({error}): restore that object, or run the sweep again"
        ) from None
