"""Grids and jittered grids, which grow past the border on which the best point lies.

A point of the mesh is one index for each key, in the order of the keys' names. While the best point lies on the border
of an axis, the mesh grows by one row past that border (all points with that index), until the best is inside or the
limit is met.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from typing_extensions import override

from runner.journal.events import Event
from runner.journal.state import RunState
from runner.search.base.best import Group, best_group, configuration_of
from runner.search.base.decisions import BorderReached, Side
from runner.search.base.protocol import Decide, Over, Plan, Search, Step, Wait
from runner.search.base.stage_context import Progress, StageContext, missing
from runner.space.distribution import Value
from trainables.config.trial import TrialConfig

Index = tuple[int, ...]


@dataclass(frozen=True)
class Extent:
    """First and last index of one axis, which began with 0 to `points - 1`."""

    first: int
    last: int
    points: int

    def grown(self, side: str) -> Extent:
        """One index more on `side`."""
        return (
            Extent(self.first - 1, self.last, self.points)
            if side == "below"
            else Extent(self.first, self.last + 1, self.points)
        )

    def growths(self, side: str) -> int:
        """How often it has grown on `side`."""
        return -self.first if side == "below" else self.last - self.points + 1


class GridSearch(Search):
    """Every point of a mesh, then of the rows past the borders on which the best one lies."""

    def __init__(self, scope: StageContext) -> None:
        self._scope = scope
        self._keys = sorted(scope.space)
        self._extents = {key: Extent(0, scope.space[key].points - 1, scope.space[key].points) for key in self._keys}
        self._closed: set[tuple[str, str]] = set()
        """Borders that do not grow any more."""
        self._progress = Progress(scope.stage)
        self._trials: list[TrialConfig] = []
        """The trials of all points, cached; empty at first, and again after the mesh has grown."""

    @override
    def step(self, state: RunState) -> Step:
        """The missing points; once all have ended, the decision whether a border grows."""
        self._trials = self._trials or list(self._list_trials())
        left = missing(self._trials, self._progress)
        if left:
            return Plan(left, stage=self._scope.stage)
        if not any(self._scope.method.limits.values()):
            return Over()
        if not self._progress.all_ended:
            return Wait()
        best = best_group(self._progress.records(state))
        return (self._grow(best) if best else None) or Over()

    @override
    def observe(self, event: Event) -> None:
        self._progress.observe(event)
        if found := BorderReached.read(event, self._scope.stage):
            if found.grows:
                self._extents[found.key], self._trials = self._extents[found.key].grown(found.side), []
            else:
                self._closed.add((found.key, found.side))

    @override
    def wants(self, trial_id: str) -> bool:
        return True

    def _list_trials(self) -> Iterator[TrialConfig]:
        """The trials of all points, in the order of the mesh."""
        for index in itertools.product(
            *(range(self._extents[key].first, self._extents[key].last + 1) for key in self._keys)
        ):
            yield from self._scope.trials(self._values(index))

    def _values(self, index: Index) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for key, at in zip(self._keys, index, strict=True):
            values[key] = self._value(key, at, index)
        return self._scope.active(values)

    def _value(self, key: str, at: int, index: Index) -> Value:
        how = self._scope.space[key]
        if self._scope.method.method != "jittered" or how.kind == "choice":
            return how.point(at)
        shift = self._scope.method.jitter * (self._scope.share(0, f"{key}@{','.join(map(str, index))}") - 0.5)
        if at == 0:  # at the ends of what the sweep file names, inwards alone
            shift = abs(shift)
        elif at == self._extents[key].points - 1:
            shift = -abs(shift)
        return how.point(at, shift)

    def _grow(self, best: Group) -> Decide | None:
        """The first border on which the best point lies, and whether it grows; None if the best is inside."""
        index = self._index_of(best.config)
        if index is None:
            return None
        for key, at in zip(self._keys, index, strict=True):
            extent, limit = self._extents[key], self._scope.method.limits.get(key, 0)
            ends: tuple[tuple[Side, int, int], ...] = (("below", extent.first, -1), ("above", extent.last, 1))
            for side, end, sign in ends:
                if at == end and limit and (key, side) not in self._closed:
                    return self._decide(key, side, end + sign, best, extent.growths(side) < limit, limit)
        return None

    def _decide(self, key: str, side: Side, index: int, best: Group, may_grow: bool, limit: int) -> Decide:
        beyond = self._scope.space[key].point(index)
        at = self._scope.space[key].point(index + (1 if side == "below" else -1))
        grows = may_grow and self._scope.admits(key, beyond) and beyond != at
        found = f"the best point ({best.shown_merit}) lies on the border {at!r} of {key}"
        if grows:
            reason = f"{found}: the mesh grows past it to {beyond!r}"
        elif not may_grow:
            reason = f"{found}, which has grown {limit} time(s), the limit: raise search.border to look further"
        else:
            reason = f"{found}, and {beyond!r} is not admissible: it stays there"
        decision = BorderReached(key=key, side=side, grows=grows)
        return decision.record(reason, stage=self._scope.stage, trial_id=best.records[0].trial_id)

    def _index_of(self, config: TrialConfig) -> Index | None:
        name = configuration_of(config)
        for index in itertools.product(
            *(range(self._extents[key].first, self._extents[key].last + 1) for key in self._keys)
        ):
            if configuration_of(self._scope.trial(self._values(index))) == name:
                return index
        return None
