"""Ablation: a baseline, each named change alone, and all of them together, each with the same seeds."""

from __future__ import annotations

from typing_extensions import override

from runner.journal.events import Event
from runner.journal.state import RunState
from runner.search.base.protocol import Over, Plan, Search, Step
from runner.search.base.stage_context import Progress, StageContext, missing
from runner.space.distribution import Value
from trainables.config.base import short_hash
from trainables.config.trial import TrialConfig

BASELINE, TOGETHER = "baseline", "all together"


class AblationSearch(Search):
    """The arms of an ablation. An arm's trials differ from the baseline's by its changes alone: the seeds are the same."""

    def __init__(self, scope: StageContext) -> None:
        self._scope = scope
        self._progress = Progress(scope.stage)

    @override
    def step(self, state: RunState) -> Step:
        """All arms at once; the first seed of each comes first, so that a run cut short has whole comparisons."""
        arms = list_arms(self._scope)
        trials = [trials[repeat] for repeat in range(self._scope.method.repeats) for _, _, trials in arms]
        left = missing(trials, self._progress)
        return Plan(left, stage=self._scope.stage) if left else Over()

    @override
    def observe(self, event: Event) -> None:
        self._progress.observe(event)

    @override
    def wants(self, trial_id: str) -> bool:
        return True


def list_arms(scope: StageContext) -> list[tuple[str, dict[str, Value], tuple[TrialConfig, ...]]]:
    """Each arm's name, its changes, and its trials, one a seed: the baseline first, all changes together last.

    If a named change, or a single one, has all of them already, it is not tried a second time.
    """
    method = scope.method
    changes: dict[str, dict[str, Value]] = {BASELINE: {}, **method.changes}
    together = {key: value for values in method.changes.values() for key, value in values.items()}
    if together not in method.changes.values():
        changes[TOGETHER] = together
    return [
        (name, values, tuple(scope.trial({**values, "seed": _seed(scope, repeat)}) for repeat in range(method.repeats)))
        for name, values in changes.items()
    ]


def _seed(scope: StageContext, repeat: int) -> int:
    return int(short_hash({"search.seed": scope.spec.search.seed, "repeat": repeat}, digits=8), 16)
