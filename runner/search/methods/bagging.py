"""Bagging: one configuration, trained on bootstraps of the training images, or on all but one fold of them each time."""

from __future__ import annotations

from typing_extensions import override

from runner.journal.events import Event
from runner.journal.state import RunState
from runner.search.base.protocol import Over, Plan, Search, Step
from runner.search.base.stage_context import Progress, StageContext, missing
from runner.space.distribution import Value
from trainables.config.trial import TrialConfig
from trainables.errors import SweepFileError


class BaggingSearch(Search):
    """The members of a bag. Each has its own seed, so they differ by their initial weights, too (Breiman 1996 has trees, which have none).

    Raises `SweepFileError` if the sweep also sets `bag`.
    """

    def __init__(self, scope: StageContext) -> None:
        _check(scope)
        self._scope = scope
        self._progress = Progress(scope.stage)

    @override
    def step(self, state: RunState) -> Step:
        """All members at once."""
        left = missing(list_members(self._scope), self._progress)
        return Plan(left, stage=self._scope.stage) if left else Over()

    @override
    def observe(self, event: Event) -> None:
        self._progress.observe(event)

    @override
    def wants(self, trial_id: str) -> bool:
        return True


def list_members(scope: StageContext) -> tuple[TrialConfig, ...]:
    """The trials in their order; the first seed of each bag comes first, so that a run cut short has bags of all kinds."""
    bags = scope.method.bags
    members = []
    for repeat in range(scope.method.repeats):
        for number in range(1, bags.count + 1):
            values: dict[str, Value] = {"bag.kind": bags.kind, "bag.number": number}
            if bags.kind == "fold":
                values["bag.of"] = bags.count
            members.append(scope.trial(values, repeat))
    return tuple(members)


def _check(scope: StageContext) -> None:
    search = f"search.stages.{scope.stage}" if scope.stage else "search"
    kind = scope.fixed("bag.kind")
    if kind != "none":
        raise SweepFileError(f"bag.kind is {kind}, but {search}.method=bagging has bags of its own: remove bag")
