"""What a search says when a slot asks what comes next, and what a search is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from runner.journal.events import Event
from runner.journal.state import RunState
from trainables.config.trial import TrialConfig


@dataclass(frozen=True)
class Plan:
    """These trials belong to the run from now on, to be trained in this order."""

    trials: tuple[TrialConfig, ...]
    why: str = ""
    """Where they come from, if not from the method's own rule: `warm start`, `trained by run 3f2a90c1`."""
    max_epochs: int | None = None
    """Their last epoch, where it is not the stage's own."""
    stage: str = ""


@dataclass(frozen=True)
class Decide:
    """Something was found out from results: it takes effect once it is on record."""

    what: str
    """stage, border, warm-start, generation …: the kind of decision."""
    reason: str
    """For a person, with the figures that it rests on."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What later steps, and a driver that starts again, need of it: plain JSON."""
    trial_id: str | None = None
    stage: str = ""


@dataclass(frozen=True)
class Measure:
    """The learning-rate range tests of these architectures are to be run; their trials wait for it."""

    architectures: Mapping[str, TrialConfig]
    """By name, each with a trial that stands for it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What tells each from the others, for a person."""


@dataclass(frozen=True)
class Wait:
    """Nothing can be said before more trials have ended."""


@dataclass(frozen=True)
class Over:
    """All has been proposed, whatever the results still to come."""


Step = Plan | Decide | Measure | Wait | Over


class Search(Protocol):
    """What next. A fold over the run's events: what is on record decides every step, so a new driver goes on alike."""

    def step(self, state: RunState) -> Step:
        """What comes next. A query: it changes nothing, and answers the same until another event is observed."""
        ...

    def observe(self, event: Event) -> None:
        """Take an event of the run into account; every one, once, in order."""
        ...

    def wants(self, trial_id: str) -> bool:
        """Whether a trial on record is still part of the sweep. (A smaller `search.trials` drops the last ones.)"""
        ...
