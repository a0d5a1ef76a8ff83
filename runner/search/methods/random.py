"""Random search: a pure function from the seed to the trials, the same on every machine."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from typing_extensions import override

from runner.journal.events import Event
from runner.journal.state import RunState
from runner.search.base.best import configuration_of
from runner.search.base.lr_bounds import RangeBounds
from runner.search.base.protocol import Over, Plan, Search, Step
from runner.search.base.repeats import Repeats
from runner.search.base.stage_context import Progress, StageContext, refuse_small_space, values_of
from runner.space.distribution import Value
from trainables.config.trial import TrialConfig

PATIENCE = 100
"""Draws in a row that find nothing new before a space counts as exhausted."""


class RandomSearch(Search):
    """`trials` configurations, drawn at random. More of them only add to the end.

    A run that begins takes `trained` first, trials of the space that earlier runs of the sweep have trained: so a space
    that was made narrower or wider trains only what is new. (Old points that lie inside a narrower range are a random
    sample of it; in a wider one they are denser where the old range was.)
    """

    def __init__(self, scope: StageContext, trained: Sequence[TrialConfig] = ()) -> None:
        self._scope = scope
        self._trained = trained
        self._bounds = RangeBounds(scope)
        self._progress = Progress(scope.stage)
        self._repeats = Repeats(scope)
        self._places: dict[str, int] = {}
        """The place of each recorded configuration."""

    @override
    def step(self, state: RunState) -> Step:
        """All trials that are still missing; recorded configurations of other origin count as drawn."""
        if self._trained and not self._places:
            first = tuple(trial for trial in self._trained if is_of(self._scope, trial))
            if first := first[: self._scope.method.configuration_count * self._scope.method.repeats]:
                return Plan(first, why="trained by an earlier run", stage=self._scope.stage)
        count = self._scope.method.configuration_count - len(self._places)
        drawn = self._draw(count) if count > 0 else []
        if tests := self._bounds.missing_tests(drawn):
            return tests
        trials = [*self._repeats.missing(lambda name: self._places[name] < self._scope.method.configuration_count)]
        trials += [trial for values in drawn for trial in self._scope.trials(self._bounds.place(values))]
        return Plan(tuple(trials), stage=self._scope.stage) if trials else Over()

    @override
    def observe(self, event: Event) -> None:
        known = len(self._progress.planned)
        self._progress.observe(event)
        self._bounds.observe(event)
        if len(self._progress.planned) > known:
            newest = next(reversed(self._progress.planned.values()))
            self._places.setdefault(configuration_of(newest), len(self._places))
            self._repeats.observe(newest)

    @override
    def wants(self, trial_id: str) -> bool:
        """A smaller `search.trials` drops the last configurations."""
        trial = self._progress.planned.get(trial_id)
        return trial is None or self._places[configuration_of(trial)] < self._scope.method.configuration_count

    def _draw(self, count: int) -> list[dict[str, Value]]:
        """The first `count` draws whose configuration is not recorded; fewer if the space is exhausted."""
        found: dict[str, dict[str, Value]] = {}
        since_new = 0
        for index in itertools.count():
            values = self._scope.draw(index)
            name = configuration_of(self._scope.trial(self._bounds.place(values)))
            is_known = name in found or name in self._places
            since_new = since_new + 1 if is_known else 0
            if not is_known:
                found[name] = values
            if len(found) == count or since_new >= PATIENCE + len(self._places):
                break
        return list(found.values())


def is_of(scope: StageContext, trial: TrialConfig) -> bool:
    """Whether `trial` lies in the space, and is what the sweep would make of its values."""
    values = scope.active(values_of(trial, scope.space))
    inside = all(how.holds(values[key]) for key, how in scope.space.items() if key in values)
    return inside and any(trial.trial_id == same.trial_id for same in scope.trials(values))


def draw_trials(scope: StageContext) -> list[TrialConfig]:
    """The trials of a random search over a space without range tests.

    Raises `SweepFileError` if the space has fewer different ones than requested.
    """
    step = RandomSearch(scope).step(RunState())
    trials = list(step.trials) if isinstance(step, Plan) else []
    found = len(trials) // scope.method.repeats
    if found < scope.method.configuration_count:
        raise refuse_small_space(scope.method.configuration_count, found)
    return trials
