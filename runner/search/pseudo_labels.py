"""A search with a second stage: once the first has ended and its team has labelled images, the trials that
train with them.

The labelling itself needs weights and a device, so the driver does it (`runner/execution/labelling.py`); its decision is
recorded before any trial follows from it.
"""

from __future__ import annotations

from typing_extensions import override

from runner.config.pseudo_labels import PSEUDO
from runner.config.sweep import SweepSpec
from runner.journal.events import Event, TrialPlanned
from runner.journal.state import RunState
from runner.search.base.decisions import PseudoLabelled, Retrained
from runner.search.base.protocol import Over, Plan, Search, Step, Wait
from trainables.config.trial import TrialConfig


class SecondStage(Search):
    """The steps of `search`, then the trials that train with the newest table of pseudo-labels.

    If the first stage grows later, by a larger `search.trials`, another team labels the images again.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._first: dict[str, TrialConfig] = {}
        """Recorded trials of the first stage, by id."""
        self._second: set[str] = set()
        self._decision: PseudoLabelled | None = None
        """The newest decision on a second stage."""

    @override
    def step(self, state: RunState) -> Step:
        """The first stage; once that is over, `Wait` for its labels; then the trials that train with them."""
        step = self._search.step(state)
        if not isinstance(step, Over):
            return step
        if self._decision is None or self._decision.candidates != len(self._first):
            return Wait()
        left = [entry for entry in self._decision.trials if self._make(entry).trial_id not in self._second]
        if not left:
            return Over()
        length = left[0].max_epochs
        trials = tuple(self._make(entry) for entry in left if entry.max_epochs == length)
        return Plan(trials, why="with pseudo-labels", max_epochs=length, stage=PSEUDO)

    def is_due(self, state: RunState) -> bool:
        """Whether the next step waits for labels: the first stage is over, and each of its trials has ended."""
        return (
            isinstance(self._search.step(state), Over)
            and isinstance(self.step(state), Wait)
            and all(state.has_ended(name) for name in self._first if self._search.wants(name))
        )

    @property
    def needs_images(self) -> bool:
        """Whether images are still to be labelled for the recorded trials."""
        return self._decision is None or self._decision.candidates != len(self._first)

    @override
    def observe(self, event: Event) -> None:
        """The first stage does not observe events of the second."""
        if found := PseudoLabelled.read(event):
            self._decision = found
            return
        if isinstance(event, TrialPlanned):
            if event.stage == PSEUDO:
                self._second.add(event.trial_id)
            else:
                self._first[event.trial_id] = TrialConfig.model_validate(event.config)
        if getattr(event, "trial_id", None) not in self._second:
            self._search.observe(event)

    @override
    def wants(self, trial_id: str) -> bool:
        """The trials with pseudo-labels, and those that the first stage wants."""
        return trial_id in self._second or self._search.wants(trial_id)

    def _make(self, entry: Retrained) -> TrialConfig:
        """The same trial, with the same seed, that trains with the table too."""
        table = self._decision.table if self._decision else ""
        return self._first[entry.trial_id].model_copy(update={"pseudo_table": table})


def with_second_stage(spec: SweepSpec, search: Search) -> Search:
    """`search` itself, unless the sweep asks for pseudo-labels."""
    return SecondStage(search) if spec.pseudo_labels else search
