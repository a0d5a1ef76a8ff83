"""Several searches, one after the other: each starts from the best configuration of the one before.

Coarse to fine is a stage whose ranges are `around` an earlier one; a staged recipe is stages that search different
keys. What a stage searched or set stays as its best trial has it, until a later stage searches or sets it.
"""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import override

from runner.config.sweep import SweepSpec
from runner.journal.events import Event
from runner.journal.state import RunState
from runner.search.base.best import best_group
from runner.search.base.decisions import StageChosen
from runner.search.base.protocol import Decide, Over, Search, Step, Wait
from runner.search.base.stage_context import Progress, StageContext, values_of
from runner.search.methods.ladder import CapacityLadderSearch
from runner.space.distribution import Value
from trainables.errors import RunCutShort
from trainables.results.record import TrialRecord


class StagedSearch(Search):
    """The stages of a sweep in order; the decision of each is recorded before the next one begins."""

    def __init__(self, spec: SweepSpec, data_id: str, build: Callable[[StageContext], Search]) -> None:
        self._spec = spec
        self._data_id = data_id
        self._build = build
        self._stages = list(spec.search.stages)
        self._position = -1
        self._events: list[Event] = []
        self._enter({})

    @override
    def step(self, state: RunState) -> Step:
        """The step of the current stage; once all of its trials have ended, its decision."""
        if self._position == len(self._stages):
            return Over()
        step = self._search.step(state)
        if not isinstance(step, Over):
            return step
        return self._choose(state) if self._progress.all_ended else Wait()

    @override
    def observe(self, event: Event) -> None:
        self._events.append(event)
        if found := StageChosen.read(event, self._scope.stage):
            self._enter(found.values)
        else:
            self._search.observe(event)
            self._progress.observe(event)

    @override
    def wants(self, trial_id: str) -> bool:
        return True

    def _enter(self, frozen: dict[str, Value]) -> None:
        self._position += 1
        if self._position == len(self._stages):
            return
        stage = self._stages[self._position]
        self._scope = StageContext(self._spec, self._data_id, stage.name, stage, {**frozen, **stage.set})
        self._progress = Progress(stage.name)
        self._search = self._build(self._scope)
        for event in self._events:  # bounds of range tests, a warm start
            self._search.observe(event)

    def _choose(self, state: RunState) -> Decide:
        records = self._progress.records(state)
        best = best_group(self._records_to_choose_from(records))
        stage = self._scope.stage
        if best is None:
            reason = next((record.reason for record in records if record.reason), "it has no trials")
            raise RunCutShort(f"no trial of stage {stage} came to the end of an epoch, so none can follow it: {reason}")
        method = self._scope.method
        varied = dict.fromkeys([*method.space, *(key for values in method.steps for key in values)])
        found = values_of(best.config, dict.fromkeys([*self._scope.base, *varied]))
        searched = ", ".join(f"{key} {found[key]}" for key in sorted(varied) if key in found)
        seeds = f" over {len(best.records)} seeds" if len(best.records) > 1 else ""
        return StageChosen(values=found).record(
            f"the best of {len(records)} trials has {best.shown_merit}{seeds}: {searched or 'nothing was searched'}",
            stage=stage,
            trial_id=best.records[0].trial_id,
        )

    def _records_to_choose_from(self, records: list[TrialRecord]) -> list[TrialRecord]:
        """All records; for a ladder, those of the step where it ended: a larger one may be better by less than pays."""
        if not isinstance(self._search, CapacityLadderSearch):
            return records
        return [record for record in records if record.trial_id in self._search.chosen_trials]
