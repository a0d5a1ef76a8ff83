"""A search that begins with the best points of an earlier run over the same data."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from runner.config.search import MODELLED
from runner.config.sweep import SweepSpec
from runner.journal.events import Event, TrialPlanned
from runner.journal.state import RunState
from runner.search.base.decisions import FormerResult, WarmStarted
from runner.search.base.former import Former
from runner.search.base.protocol import Decide, Plan, Search, Step
from runner.search.base.stage_context import StageContext, values_of
from trainables.results.record import ENDED


class WarmSearch(Search):
    """Records the earlier run's points and results, trains its best points first, and continues as `search` does."""

    def __init__(
        self, scope: StageContext, former: Former | None, best: int, with_results: bool, search: Search
    ) -> None:
        self._scope = scope
        self._former = former
        self._best = best
        self._with_results = with_results
        self._search = search
        self._points: list[dict[str, Any]] | None = None
        """The points to train first; None until they are recorded."""
        self._planned: set[str] = set()

    @override
    def step(self, state: RunState) -> Step:
        """First the decision, then its best points, then the steps of the search."""
        if self._points is None:
            return self._decide()
        trials = {trial.trial_id: trial for point in self._points for trial in self._scope.trials(point)}
        left = tuple(trial for name, trial in trials.items() if name not in self._planned)
        return Plan(left, why="warm start", stage=self._scope.stage) if left else self._search.step(state)

    @override
    def observe(self, event: Event) -> None:
        if found := WarmStarted.read(event):
            self._points = [dict(point) for point in found.points]
        elif isinstance(event, TrialPlanned):
            self._planned.add(event.trial_id)
        self._search.observe(event)

    @override
    def wants(self, trial_id: str) -> bool:
        return self._search.wants(trial_id)

    def _decide(self) -> Decide:
        if self._former is None:
            raise ValueError("a warm start that is not on record needs the former run")
        space = self._scope.space
        points = []
        for record in self._former.ranked:
            values = self._scope.active(values_of(record.config, space))
            if all(how.holds(values[key]) for key, how in space.items() if key in values) and values not in points:
                points.append(values)
        results = [
            FormerResult(
                trial_id=record.trial_id,
                values=values_of(record.config, space),
                accuracies=tuple((at.epoch, at.merit) for at in record.epochs),
                state=record.state,
            )
            for record in self._former.records
            if record.state in ENDED and self._with_results
        ]
        few = points[: self._best]
        heard = f", and the results of {len(results)} are known" if results else ""
        return WarmStarted(points=tuple(few), results=tuple(results)).record(
            f"{len(few)} of the best points of {self._former.run} come first{heard}", stage=self._scope.stage
        )


def begin_warm(spec: SweepSpec, data_id: str, former: Former | None, search: Search) -> Search:
    """`search` with the warm start that the sweep names; unchanged if it names none."""
    warm_start = spec.search.warm_start
    if warm_start is None:
        return search
    stage, method = spec.search.parts[0]
    scope = StageContext(spec, data_id, stage, method, dict(getattr(method, "set", {})))
    same_data = former is None or all(record.config.data_id == data_id for record in former.records)
    return WarmSearch(
        scope, former, warm_start.best, warm_start.tell and same_data and method.method in MODELLED, search
    )
