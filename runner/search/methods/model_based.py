"""Model-based search: TPE, Gaussian processes and BOHB. Each suggestion is made when a slot asks for it."""

from __future__ import annotations

from typing_extensions import override

from runner.journal.events import Decided, EpochReported, Event, TrialEnded, TrialPlanned
from runner.journal.state import RunState
from runner.search.base.best import configuration_of
from runner.search.base.decisions import WarmStarted
from runner.search.base.lr_bounds import RangeBounds
from runner.search.base.protocol import Over, Plan, Search, Step
from runner.search.base.repeats import Repeats
from runner.search.base.stage_context import Progress, StageContext, values_of
from runner.search.methods.optuna_samplers import OptunaModel
from runner.space.distribution import Distribution, Value
from trainables.config.trial import TrialConfig
from trainables.results.record import ENDED

ATTEMPTS = 20
"""Suggestions in a row that are recorded already before the space counts as exhausted."""


class ModelBasedSearch(Search):
    """`trials` configurations, each suggested by a model of all results so far; it never waits for those to come."""

    def __init__(self, scope: StageContext) -> None:
        self._scope = scope
        self._bounds = RangeBounds(scope)
        self._progress = Progress(scope.stage)
        self._repeats = Repeats(scope)
        self._configurations: dict[str, None] = {}
        self._model = OptunaModel(
            method=scope.method.method,  # type: ignore[arg-type]
            space={key: _as_share(how) for key, how in scope.space.items()},
            is_active=scope.is_active,
            seed=scope.seed,
            startup=scope.method.startup,
            max_epochs=scope.max_epochs,
        )

    @override
    def step(self, state: RunState) -> Step:
        """What recorded configurations lack, then the next suggestion."""
        if left := self._repeats.missing():
            return Plan(left, stage=self._scope.stage)
        index = len(self._configurations)
        if index >= self._scope.method.configuration_count:
            return Over()
        for attempt in range(ATTEMPTS):
            values = self._suggest(index, attempt)
            if tests := self._bounds.missing_tests([values]):
                return tests
            trials = self._scope.trials(self._bounds.place(values))
            if configuration_of(trials[0]) not in self._configurations:
                return Plan(trials, stage=self._scope.stage)
        return Over()

    @override
    def observe(self, event: Event) -> None:
        """Pass trials, results and ends to the model, also those of a warm start's earlier run."""
        self._progress.observe(event)
        self._bounds.observe(event)
        match event:
            case TrialPlanned(stage=self._scope.stage):
                trial = self._progress.planned[event.trial_id]
                self._configurations[configuration_of(trial)] = None
                self._repeats.observe(trial)
                self._model.begin(event.trial_id, self._values(trial))
            case EpochReported() if event.trial_id in self._progress.planned:
                self._model.report(event.trial_id, event.result.epoch, event.result.merit)
            case TrialEnded() if event.trial_id in self._progress.planned and event.state in ENDED:
                self._model.end(event.trial_id, event.state)  # type: ignore[arg-type]
            case Decided():
                found = WarmStarted.read(event)
                for former in found.results if found else ():
                    self._model.begin(former.trial_id, self._bounds.share(self._scope.active(former.values)))
                    for epoch, accuracy in former.accuracies:
                        self._model.report(former.trial_id, epoch, accuracy)
                    self._model.end(former.trial_id, former.state)  # type: ignore[arg-type]

    @override
    def wants(self, trial_id: str) -> bool:
        return True

    def _suggest(self, index: int, attempt: int) -> dict[str, Value]:
        # A suggestion that is recorded already is replaced by a random draw from beyond all indices in use.
        return self._model.suggest(index) if not attempt else self._scope.draw(1_000_000 * attempt + index)

    def _values(self, trial: TrialConfig) -> dict[str, Value]:
        return self._bounds.share(self._scope.active(values_of(trial, self._scope.space)))


def _as_share(how: Distribution) -> Distribution:
    """A rate with bounds of its own for each architecture is modelled as its share of them."""
    return Distribution("uniform", low=0.0, high=1.0, when=how.when) if how.kind == "range_test" else how
