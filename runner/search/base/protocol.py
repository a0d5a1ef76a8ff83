"""The protocol of searches, and the steps that a search returns when a slot asks what comes next."""

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
    """Where they come from, if not from the method itself: `warm start`, `trained by run 3f2a90c1`."""
    max_epochs: int | None = None
    """Their last epoch, if it is not the stage's."""
    stage: str = ""


@dataclass(frozen=True)
class Decide:
    """A decision that follows from results; it takes effect once it is recorded."""

    what: str
    """The kind of decision: stage, border, warm-start, generation …"""
    reason: str
    """A sentence for the report, with the figures behind the decision."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What later steps, and a driver that restarts, need to know: plain JSON."""
    trial_id: str | None = None
    stage: str = ""


@dataclass(frozen=True)
class Measure:
    """The learning-rate range tests of these architectures are to be run; their trials wait for them."""

    architectures: Mapping[str, TrialConfig]
    """A trial that represents each architecture, by name."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """A text that distinguishes each architecture from the others, by name."""


@dataclass(frozen=True)
class Wait:
    """Nothing can be proposed before more trials have ended."""


@dataclass(frozen=True)
class Over:
    """Everything has been proposed, whatever the results still to come."""


Step = Plan | Decide | Measure | Wait | Over


class Search(Protocol):
    """Decides which trials come next. A fold over the run's events: the journal alone decides every step, so a new driver continues alike."""

    def step(self, state: RunState) -> Step:
        """The next step. A query: it changes nothing, and returns the same until another event is observed."""
        ...

    def observe(self, event: Event) -> None:
        """Update the search by an event of the run. Called for each event, once and in order."""
        ...

    def wants(self, trial_id: str) -> bool:
        """Whether a recorded trial is still part of the sweep. Only a smaller `search.trials` drops some: the last ones."""
        ...
