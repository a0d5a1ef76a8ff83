"""A search with a second stage: once the first has come to its end and its team has labelled images, the trials that
train with them.

The labelling itself needs weights and a device, so the driver does it (`runner/execution/labelling.py`); what it decided is on record
before any trial follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.config.pseudo_labels import PSEUDO
from runner.config.sweep import SweepSpec
from runner.journal.events import Decided, Event, TrialPlanned
from runner.journal.state import RunState
from runner.search.base.protocol import Over, Plan, Search, Step, Wait
from trainables.config.trial import TrialConfig


class SecondStage:
    """What `search` says, then the trials that train with the newest table of pseudo-labels.

    A first stage that grows later, by a larger `search.trials`, has its images labelled anew: by another team.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._first: dict[str, TrialConfig] = {}
        """Trials of the first stage, on record."""
        self._second: set[str] = set()
        self._decision: Mapping[str, Any] | None = None
        """The newest."""

    def step(self, state: RunState) -> Step:
        """The first stage; once that is over, `Wait` for its labels; then the trials that train with them."""
        step = self._search.step(state)
        if not isinstance(step, Over):
            return step
        if self._decision is None or self._decision["candidates"] != len(self._first):
            return Wait()
        left = [told for told in self._decision["trials"] if self._make(told).trial_id not in self._second]
        if not left:
            return Over()
        length = left[0]["max_epochs"]
        trials = tuple(self._make(told) for told in left if told["max_epochs"] == length)
        return Plan(trials, why="with pseudo-labels", max_epochs=length, stage=PSEUDO)

    def is_due(self, state: RunState) -> bool:
        """Whether labels are what the next step waits for: the first stage is over, and each of its trials has ended."""
        return (
            isinstance(self._search.step(state), Over)
            and isinstance(self.step(state), Wait)
            and all(state.has_ended(name) for name in self._first if self._search.wants(name))
        )

    @property
    def needs_images(self) -> bool:
        """Whether images are still to be labelled for the trials on record."""
        return self._decision is None or self._decision["candidates"] != len(self._first)

    def observe(self, event: Event) -> None:
        """Take an event into account; the first stage does not hear of the second."""
        if isinstance(event, Decided) and event.what == PSEUDO:
            self._decision = event.values
            return
        if isinstance(event, TrialPlanned):
            if event.stage == PSEUDO:
                self._second.add(event.trial_id)
            else:
                self._first[event.trial_id] = TrialConfig.model_validate(event.config)
        if getattr(event, "trial_id", None) not in self._second:
            self._search.observe(event)

    def wants(self, trial_id: str) -> bool:
        """The trials with pseudo-labels, and what the first stage wants."""
        return trial_id in self._second or self._search.wants(trial_id)

    def _make(self, told: Mapping[str, Any]) -> TrialConfig:
        """The same trial, with the same seed, that trains with the table too."""
        table = self._decision["table"] if self._decision else ""
        return self._first[told["trial_id"]].model_copy(update={"pseudo_table": table})


def with_second_stage(spec: SweepSpec, search: Search) -> Search:
    """`search` itself, unless the sweep asks for pseudo-labels."""
    return SecondStage(search) if spec.pseudo_labels else search
