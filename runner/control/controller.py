"""Brings search and scheduler together: what a free slot does next, and whether a trial continues after an epoch.

The controller is a fold over the run's journal, as search and schedulers are: it records each decision before the
decision takes effect, and a controller that is built on an existing journal continues as its predecessor would have. It
knows neither Ray nor torch, so the simulation in benchmarks/ drives the same code as a real run does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from runner.config.rules import stage_scheduler
from runner.config.scheduler import SchedulerConfig
from runner.config.sweep import SweepSpec
from runner.control.task import RangeTask, Task, TrialTask
from runner.journal.events import (
    Decided,
    EpochReported,
    Event,
    RangeTested,
    TrialAudited,
    TrialEnded,
    TrialMeasured,
    TrialPaused,
    TrialPlanned,
    TrialPromoted,
    TrialStarted,
)
from runner.journal.log import RunLog
from runner.schedulers.base import Scheduler, SchedulerDecision
from runner.schedulers.choose import choose_scheduler
from runner.schedulers.early_stopping import Patience
from runner.search.base.protocol import Decide, Measure, Over, Plan, Search
from runner.space.draws import share_of
from trainables.config.trial import TrialConfig
from trainables.results.record import ENDED, EpochResult, TrialCost, TrialRecord, TrialState

Nothing = Literal["wait", "over"]

USUAL_RATES = (1e-4, 1e-1)
"""Bounds for learning rates where a range test fails."""


class TrialController:
    """Decides for all slots of a run. `lost` are epochs on record, by trial, whose checkpoints the store does not have."""

    def __init__(
        self,
        spec: SweepSpec,
        search: Search,
        log: RunLog,
        lost: Mapping[str, set[int]] | None = None,
        choose: Callable[[SchedulerConfig, int], Scheduler] = choose_scheduler,
    ) -> None:
        self._spec = spec
        self._choose = choose
        self._search = search
        self._log = log
        self._schedulers: dict[str, Scheduler] = {}
        self._patience: dict[str, Patience] = {}
        self._stages: dict[str, str] = {}
        """The newest stage of each trial."""
        self._results: dict[str, list[EpochResult]] = {}
        """Results by trial, which a later stage's scheduler gets when the trial enters that stage."""
        self._audited: set[str] = set()
        self._running: set[str] = set()
        self._measuring: dict[str, str] = {}
        """Labels of the range tests under way, by architecture."""
        self._tasks: deque[TrialTask] = deque()
        self._begun: set[str] = set()
        self.is_capped = False
        """Whether trials were not started because `budget.trials` was reached."""
        for event in log.events:
            self._observe(event)
        self._tasks.extend(self._unfinished(lost or {}))

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do. A query."""
        if self._tasks or self._running or self._measuring:
            return False
        waiting = any(record.state == "paused" for record in self._log.state.pending())
        return not waiting and isinstance(self._search.step(self._log.state), Over) and not self._audits()

    def next_task(self) -> Task | Nothing:
        """The next task of a free slot: `wait` if that depends on what is running, `over` if nothing will come."""
        while True:
            if self._tasks:
                task = self._tasks.popleft()
                if self._may_begin(task.name):
                    self._running.add(task.name)
                    self._begun.add(task.name)
                    return task
                continue
            if self._promote():
                continue
            step = self._search.step(self._log.state)
            match step:
                case Plan() if self._may_begin():
                    self._plan(step)
                    continue
                case Decide():
                    self.decide(step)
                    continue
                case Measure():
                    for key, trial in step.architectures.items():
                        if key not in self._measuring:
                            self._measuring[key] = step.labels.get(key, "")
                            return RangeTask(key, trial)
                    return "wait"
            if self._running or self._measuring:
                return "wait"
            # Nothing runs and nothing is proposed: trials that pause now have waited for all that will ever come.
            for scheduler in self._schedulers.values():
                scheduler.close()
            if self._promote() or self._resolve_paused():
                continue
            if isinstance(step, Over) and self._audit():
                continue
            return "over"

    def decide(self, step: Decide) -> None:
        """Record a decision of the search; its consequences come with the next task."""
        fields = {"what": step.what, "reason": step.reason, "stage": step.stage}
        self._put(self._log.draft(Decided, trial_id=step.trial_id, values=dict(step.values), **fields))

    def start(self, trial_id: str) -> None:
        """A slot has started `trial_id`."""
        self._put(self._log.draft(TrialStarted, trial_id=trial_id))

    def report(self, trial_id: str, result: EpochResult, trained: bool, cost: TrialCost | None = None) -> bool:
        """An epoch has ended, and the net's `cost` may be known by now; returns whether the trial continues."""
        state = self._log.state
        last = state.last_epoch(trial_id)
        if result.epoch <= last:
            # Reported again, by a trial that was restarted or whose checkpoint was lost: the decision stands.
            if trained:
                self._log.repeat(trial_id, result)
            over = result.epoch == last and (state.has_ended(trial_id) or state.trials[trial_id].state == "paused")
            return not self._leave(trial_id, over and not self._is_under_audit(trial_id))
        measured: list[Event] = []
        if cost and state.trials[trial_id].cost is None:
            measured = [self._log.draft(TrialMeasured, trial_id=trial_id, cost=cost)]
        event = self._log.draft(EpochReported, trial_id=trial_id, result=result, trained=trained)
        self._observe(event)
        decision = self._decide_stop(trial_id, result)
        if decision is None:
            self._log.append(*measured, event)
        else:
            end: Event
            if decision.state == "paused":
                end = self._log.draft(TrialPaused, trial_id=trial_id, reason=decision.reason)
            else:
                end = self._log.draft(TrialEnded, trial_id=trial_id, state=decision.state, reason=decision.reason)
            self._log.append(*measured, event, end)
            self._observe(end)
        self._resolve_paused()
        return not self._leave(trial_id, decision is not None)

    def end(self, trial_id: str, state: TrialState, reason: str, *, by_budget: bool = False) -> None:
        """The trial came to an end by itself: it diverged, failed, or was cut off, `by_budget` where that is why."""
        self._running.discard(trial_id)
        if not self._log.state.has_ended(trial_id):
            fields = {"state": state, "reason": reason, "by_budget": by_budget}
            self._put(self._log.draft(TrialEnded, trial_id=trial_id, **fields))
            self._resolve_paused()

    def release(self, trial_id: str) -> None:
        """The slot of a trial is free again, for whatever reason."""
        self._running.discard(trial_id)
        self._measuring.pop(trial_id.removeprefix("range-"), None)

    def take_range_test(self, result: Mapping[str, Any]) -> None:
        """The range test of an architecture has ended; `result` has the fields of a `RangeTested`."""
        label = self._measuring.pop(result["key"], "")
        self._put(self._log.draft(RangeTested, label=label, **result))

    def fail_range_test(self, key: str, reason: str) -> None:
        """A range test has failed: its architecture's trials take the usual bounds."""
        low, high = USUAL_RATES
        why = f"no range test ({reason}): the usual bounds"
        self.take_range_test(
            {"key": key, "low": low, "high": high, "reason": why, "rates": [], "losses": [], "busy_s": 0.0}
        )

    def _put(self, event: Event) -> None:
        self._log.append(event)
        self._observe(event)

    def _observe(self, event: Event) -> None:
        """Update the state by an event that is in the journal or about to be."""
        match event:
            case TrialPlanned():
                self._enter(event)
            case EpochReported():
                self._take_result(event.trial_id, event.result)
            case TrialPaused():
                self._scheduler_of(event.trial_id).pause(event.trial_id)
            case TrialPromoted():
                self._scheduler_of(event.trial_id).resume(event.trial_id)
            case TrialStarted():
                self._begun.add(event.trial_id)
            case TrialAudited():
                self._audited.add(event.trial_id)
            case TrialEnded() if event.state in ENDED and event.trial_id not in self._audited:
                self._scheduler_of(event.trial_id).end(event.trial_id)
        self._search.observe(event)

    def _enter(self, event: TrialPlanned) -> None:
        name = event.trial_id
        self._stages[name] = event.stage
        scheduler = self._scheduler_of(name)
        scheduler.add(name)
        self._audited.discard(name)
        patience = self._patience.get(event.stage)
        for result in self._results.get(name, ()):
            scheduler.record(name, result.epoch, result.merit)
            if patience:
                patience.record(name, result.epoch, result.validation_loss)

    def _take_result(self, trial_id: str, result: EpochResult) -> None:
        self._results.setdefault(trial_id, []).append(result)
        if trial_id in self._audited:
            return
        self._scheduler_of(trial_id).record(trial_id, result.epoch, result.merit)
        stage = self._stages[trial_id]
        if stage in self._patience:
            self._patience[stage].record(trial_id, result.epoch, result.validation_loss)

    def _decide_stop(self, trial_id: str, result: EpochResult) -> SchedulerDecision | None:
        """How the trial stops now, None if it continues."""
        record = self._log.state.trials[trial_id]
        if result.epoch >= self._last_epoch(record):
            return (
                SchedulerDecision("pruned", record.reason)
                if trial_id in self._audited
                else SchedulerDecision("finished", "")
            )
        if trial_id in self._audited:
            return None
        stage = self._stages[trial_id]
        if stage in self._patience and (decision := self._patience[stage].decide(trial_id)):
            return decision
        return self._scheduler_of(trial_id).decide(trial_id)

    def _last_epoch(self, record: TrialRecord) -> int:
        return record.max_epochs or stage_scheduler(self._spec, record.stage).max_epochs

    def _leave(self, trial_id: str, over: bool) -> bool:
        if over:
            self._running.discard(trial_id)
        return over

    def _promote(self) -> bool:
        for scheduler in self._schedulers.values():
            if promoted := scheduler.promote():
                trial_id, reason = promoted
                self._put(self._log.draft(TrialPromoted, trial_id=trial_id, reason=reason))
                self._tasks.append(self._task(trial_id))
                return True
        return False

    def _resolve_paused(self) -> bool:
        """End the paused trials that can never continue; returns whether there were any."""
        hopeless = [pair for scheduler in self._schedulers.values() for pair in scheduler.resolve_paused()]
        for trial_id, reason in hopeless:
            self._put(self._log.draft(TrialEnded, trial_id=trial_id, state="pruned", reason=reason))
        return bool(hopeless)

    def _plan(self, step: Plan) -> None:
        fields = {"stage": step.stage, "max_epochs": step.max_epochs or self._stage_epochs(step.stage), "why": step.why}
        for event in self._log.plan(step.trials, **fields):
            self._observe(event)
            record = self._log.state.trials[event.trial_id]
            if record.epochs and self._log.state.last_epoch(event.trial_id) >= self._last_epoch(record):
                reason = f"it had {record.epochs[-1].epoch} epochs already"
                ended = self._log.draft(TrialEnded, trial_id=event.trial_id, state="finished", reason=reason)
                self._put(ended)
            else:
                self._tasks.append(self._task(event.trial_id))

    def _stage_epochs(self, stage: str) -> int | None:
        """The stage's last epoch; None if the sweep has no stages, because the sweep's own is the default."""
        return stage_scheduler(self._spec, stage).max_epochs if stage else None

    def _may_begin(self, trial_id: str = "") -> bool:
        """Whether `budget.trials` lets this trial, or another one, begin."""
        cap = self._spec.budget.trials
        if cap is None or trial_id in self._begun or len(self._begun) < cap:
            return True
        self.is_capped = True
        return False

    def _task(self, trial_id: str) -> TrialTask:
        return TrialTask(self._log.state.trials[trial_id].config, self._log.state.last_epoch(trial_id))

    def _unfinished(self, lost: Mapping[str, set[int]]) -> Iterator[TrialTask]:
        """Tasks that an earlier driver left: trials without an end, and epochs whose checkpoints never reached the store."""
        for name, record in self._log.state.trials.items():
            if name in lost:
                yield TrialTask(record.config, min(lost[name]) - 1)
            elif self._is_under_audit(name) or (record.state not in (*ENDED, "paused") and self._search.wants(name)):
                yield self._task(name)

    def _scheduler_of(self, trial_id: str) -> Scheduler:
        stage = self._stages[trial_id]
        if stage not in self._schedulers:
            config = stage_scheduler(self._spec, stage)
            self._schedulers[stage] = self._choose(config, self._spec.search.seed)
            if config.patience:
                self._patience[stage] = Patience(config.patience.epochs, config.patience.smoothing)
        return self._schedulers[stage]

    def _is_under_audit(self, trial_id: str) -> bool:
        record = self._log.state.trials[trial_id]
        return trial_id in self._audited and self._log.state.last_epoch(trial_id) < self._last_epoch(record)

    def _audits(self) -> list[TrialConfig]:
        """The pruned trials to be trained to the end: a seeded draw, so that they are representative."""
        seed = self._spec.search.seed
        audited: list[TrialConfig] = []
        for stage in dict.fromkeys(self._stages.values()):
            audits = stage_scheduler(self._spec, stage).audit
            if not audits:
                continue
            pruned = [one for one in self._log.state.trials.values() if one.state == "pruned" and one.stage == stage]
            new = [record for record in pruned if record.audited_from is None]
            new.sort(key=lambda record: share_of(seed, 0, f"audit/{record.trial_id}"))
            audited += [record.config for record in new[: max(0, audits - len(pruned) + len(new))]]
        return audited

    def _audit(self) -> bool:
        """Start the audits that are still to be made; returns whether there are any."""
        trials = self._audits()
        for trial in trials:
            epoch = self._log.state.last_epoch(trial.trial_id)
            self._put(self._log.draft(TrialAudited, trial_id=trial.trial_id, epoch=epoch))
            self._tasks.append(self._task(trial.trial_id))
        return bool(trials)
