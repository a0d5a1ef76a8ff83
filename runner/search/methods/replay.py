"""Replay: the schedule of values that a population found, trained again from the beginning.

The schedule is that of the member which came out best, by its values and by its luck. A replay tells the two apart: all
of its seeds are its own, so not even with the same `search.seed` does it equal the original bit for bit. What the
schedule does not name is the replaying sweep's own: the same schedule can be tried on another network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

from runner.journal.events import Decided, EpochReported, Event, TrialEnded, TrialPlanned
from runner.journal.state import RunState
from runner.search.base.decisions import ReplayBegun, ScheduleFound, ScheduleStep
from runner.search.base.former import Former
from runner.search.base.protocol import Decide, Over, Plan, Search, Step, Wait
from runner.search.base.stage_context import StageContext
from runner.search.methods.pbt import make_segment
from trainables.config.trial import ParentConfig, TrialConfig
from trainables.errors import SweepFileError
from trainables.metric import describe_merit
from trainables.results.record import ENDED, metric_of


@dataclass(frozen=True)
class Link:
    """One step of one chain."""

    repeat: int
    position: int
    trial: TrialConfig


class ReplaySearch(Search):
    """As many chains as `repeats`, each a trial a step of the schedule; a chain stops where a step does not finish.

    `former` is the run that has found the schedule, None where the schedule is on record already. Raises
    `SweepFileError` where that run has found none.
    """

    def __init__(self, scope: StageContext, former: Former | None) -> None:
        self._scope = scope
        self._found = _find_schedule(scope, former) if former else None
        self._metric = metric_of(former.records) if former else "accuracy"
        self._steps: Sequence[ScheduleStep] = ()
        """The steps of the schedule; empty until they are recorded."""
        self._ready: dict[str, Link] = {}
        self._open: dict[str, Link] = {}
        """Links that are in training, by trial id."""
        self._epochs: dict[str, int] = {}
        """The newest recorded epoch, by trial id."""

    @override
    def step(self, state: RunState) -> Step:
        """The schedule; then the next step of each chain, once the one before has finished."""
        if not self._steps:
            # Without the former run the schedule is in the journal, and this is called before the journal has been read.
            return self._decide(self._found) if self._found else Wait()
        if self._ready:
            position = next(iter(self._ready.values())).position
            trials = [link.trial for link in self._ready.values() if link.position == position]
            return Plan(tuple(trials), max_epochs=self._last_epoch(position), stage=self._scope.stage)
        return Wait() if self._open else Over()

    @override
    def observe(self, event: Event) -> None:
        match event:
            case Decided():
                if found := ReplayBegun.read(event, self._scope.stage):
                    self._steps = found.steps
                    for repeat in range(self._scope.method.repeats):
                        self._add(repeat, 0, None)
            case TrialPlanned(stage=self._scope.stage) if event.trial_id in self._ready:
                self._open[event.trial_id] = self._ready.pop(event.trial_id)
            case EpochReported():
                self._epochs[event.trial_id] = event.result.epoch
            case TrialEnded() if event.trial_id in self._open and event.state in ENDED:
                self._follow(self._open.pop(event.trial_id), event.state == "finished")

    @override
    def wants(self, trial_id: str) -> bool:
        return True

    def _last_epoch(self, position: int) -> int:
        return self._steps[position].last_epoch

    def _follow(self, link: Link, has_finished: bool) -> None:
        """Add the next step of a chain, if there is one and this one reached its last epoch."""
        last_epoch = self._last_epoch(link.position)
        reached = self._epochs.get(link.trial.trial_id, 0) >= last_epoch  # early stopping calls less finished, too
        if has_finished and reached and link.position + 1 < len(self._steps):
            parent = ParentConfig(trial_id=link.trial.trial_id, epoch=last_epoch)
            self._add(link.repeat, link.position + 1, parent)

    def _add(self, repeat: int, position: int, parent: ParentConfig | None) -> None:
        named = {"replay": repeat, "step": position}
        trial = make_segment(self._scope, self._steps[position].values, parent, named)
        self._ready[trial.trial_id] = Link(repeat, position, trial)

    def _decide(self, found: ScheduleFound) -> Decide:
        steps = found.steps
        return ReplayBegun(steps=steps).record(
            f"{self._scope.method.replay} found a schedule of {len(steps)} step(s) over {steps[-1].last_epoch} "
            f"epochs, with {describe_merit(self._metric, steps[-1].accuracy)} there: it is trained {self._scope.method.repeats} time(s)",
            stage=self._scope.stage,
        )


def _find_schedule(scope: StageContext, former: Former) -> ScheduleFound:
    """The last schedule that `former` has found."""
    search = f"search.stages.{scope.stage}" if scope.stage else "search"
    name = (scope.method.replay or "").rstrip("/")
    if former.run != name and not former.run.startswith(f"{name}/"):
        raise SweepFileError(
            f"{search}.replay names {name}, but {former.run} is read already: a sweep reads one former run"
        )
    found = next((found for one in reversed(former.decisions) if (found := ScheduleFound.read(one))), None)
    if found is None:
        raise SweepFileError(
            f"{search}.replay names {former.run}, which found no schedule: name a run with search.method=pbt that has "
            "come to its end"
        )
    _check_length(scope, found.steps)
    return found


def _check_length(scope: StageContext, steps: Sequence[ScheduleStep]) -> None:
    """A learning rate that moves over the epochs must take as many of them as it did."""
    last_epoch, first = steps[-1].last_epoch, scope.trial(steps[0].values).schedule
    if first.name != "constant" and scope.spec.schedule.epochs is None and scope.max_epochs != last_epoch:
        raise SweepFileError(
            f"scheduler.max_epochs is {scope.max_epochs}, but the schedule has {last_epoch} epochs, over which "
            f"schedule.name={first.name} moves the learning rate: set scheduler.max_epochs={last_epoch}"
        )
