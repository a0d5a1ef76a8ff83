"""The fold over the events of a run: the state of every trial, and what the run has spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from runner.journal.events import (
    Decided,
    EpochRepeated,
    EpochReported,
    Event,
    NodesChanged,
    RangeTested,
    RunClosed,
    RunOpened,
    TrialAudited,
    TrialEnded,
    TrialMeasured,
    TrialPaused,
    TrialPlanned,
    TrialPromoted,
    TrialStarted,
)
from trainables.results.newer_trial import NewerTrial, read_trial
from trainables.results.record import ENDED, TrialRecord, TrialState

STATE_ORDER: tuple[TrialState, ...] = (
    "running",
    "paused",
    "finished",
    "pruned",
    "diverged",
    "failed",
    "stopped",
    "waiting",
)


TRIAL_EVENTS = (
    TrialStarted,
    TrialMeasured,
    EpochReported,
    EpochRepeated,
    TrialPaused,
    TrialPromoted,
    TrialAudited,
    TrialEnded,
)
"""Events that require that their trial was planned before."""


class RunState:
    """The fold over a run's events. `apply` is its only way to change, and costs the same however many trials there are."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.trials: dict[str, TrialRecord] = {}
        """All trials by id, in the order in which they were planned."""
        self.started: set[str] = set()
        """Trials that a slot has ever started."""
        self.elapsed_s = 0.0
        """Seconds that the run has taken, over all executions."""
        self.epochs_trained = 0
        """Epochs trained by the newest execution."""
        self.busy_s = 0.0
        """Seconds of training and evaluation by the newest execution, summed over slots."""
        self.all_epochs_trained = 0
        """Epochs trained over all executions."""
        self.all_busy_s = 0.0
        """Slot-seconds over all executions."""
        self.recorded_epochs = 0
        """Epochs of all trials, whether trained by this run or found in the store."""
        self.recorded_busy_s = 0.0
        """Slot-seconds of the recorded epochs."""
        self.recorded_events = 0
        self.node_s = 0.0
        """Seconds over all executions, summed over nodes."""
        self.slots = 0
        self.versions: dict[str, str] = {}
        self.stages: dict[str, dict[str, None]] = {}
        """Trials of each stage of the search, in order; a trial may belong to several."""
        self.decisions: list[Decided] = []
        self.range_tests: dict[str, RangeTested] = {}
        """Learning-rate range tests, by the name of their architecture."""
        self.closed: RunClosed | None = None
        """How the newest execution ended, if it did."""
        self.nodes = 1
        """Number of nodes that are paid for now."""
        self.unread: Counter[str] = Counter()
        """Descriptions of what this version does not understand, with their counts: such a run can be read, but not driven."""
        self._counts: Counter[TrialState] = Counter()
        self._lengths: dict[bool, Counter[int]] = {False: Counter(), True: Counter()}
        """For ended (True) and pending (False) trials: how many of them have how many epochs."""
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Update the state by one event."""
        self.node_s += max(0.0, event.elapsed_s - self.elapsed_s) * self.nodes
        self.elapsed_s = max(self.elapsed_s, event.elapsed_s)
        self.recorded_events += 1
        if isinstance(event, TRIAL_EVENTS) and event.trial_id not in self.trials:
            self.unread[f"{event.kind} of a trial that is not planned"] += 1
            return
        match event:
            case RunOpened():
                self.closed, self.epochs_trained, self.busy_s = None, 0, 0.0
                self.slots, self.versions, self.nodes = event.slots, event.versions, 1
                for name, record in self.trials.items():
                    if record.state not in (*ENDED, "paused"):  # its former driver is gone
                        self._change(name, "waiting", "")
            case TrialPlanned():
                self._plan(event)
            case TrialStarted():
                self.started.add(event.trial_id)
                if self.trials[event.trial_id].state not in ENDED:  # otherwise only a lost checkpoint is trained again
                    self._change(event.trial_id, "running", "")
            case TrialMeasured():
                self._put(replace(self.trials[event.trial_id], cost=event.cost))
            case EpochReported():
                record = self.trials[event.trial_id]
                self._put(replace(record, epochs=(*record.epochs, event.result)))
                self.recorded_epochs += 1
                self.recorded_busy_s += event.result.busy_s
                if event.trained:
                    self._spend(event.result.busy_s, epochs=1)
            case EpochRepeated():
                self._spend(event.busy_s, epochs=1)
            case RangeTested():
                self.range_tests[event.key] = event
                self._spend(event.busy_s, epochs=0)
            case TrialPaused():
                self._change(event.trial_id, "paused", event.reason)
            case TrialPromoted():
                self._change(event.trial_id, "waiting", "")
            case TrialAudited():
                self._put(replace(self.trials[event.trial_id], audited_from=event.epoch))
            case TrialEnded():
                self._change(event.trial_id, event.state, event.reason, event.by_budget)
            case Decided():
                self.decisions.append(event)
            case NodesChanged():
                self.nodes = event.nodes
            case RunClosed():
                self.closed = event

    def last_epoch(self, trial_id: str) -> int:
        """The newest epoch on record; before the first one the epoch of the parent, 0 without a parent."""
        record = self.trials[trial_id]
        if record.epochs:
            return record.epochs[-1].epoch
        return record.config.parent.epoch if record.config.parent else 0

    def has_ended(self, trial_id: str) -> bool:
        """Whether the trial has ended."""
        return self.trials[trial_id].state in ENDED

    def pending(self) -> list[TrialRecord]:
        """Trials that have not ended, in order."""
        return [record for record in self.trials.values() if record.state not in ENDED]

    def counts(self) -> dict[TrialState, int]:
        """Number of trials in each state; states without trials are left out."""
        return {state: self._counts[state] for state in STATE_ORDER if self._counts[state]}

    @property
    def ended_lengths(self) -> Counter[int]:
        """For each number of epochs, how many ended trials have it."""
        return self._lengths[True]

    @property
    def pending_lengths(self) -> Counter[int]:
        """For each number of epochs, how many pending trials have it."""
        return self._lengths[False]

    def _plan(self, event: TrialPlanned) -> None:
        known = self.trials.get(event.trial_id)
        if known is None:
            try:
                config = read_trial(event.trial_id, event.config)
            except ValueError as error:
                self.unread[f"a trial whose {error}"] += 1
                return
            if isinstance(config, NewerTrial):
                self.unread[f"trial {config.trial_id} with {config.why}"] += 1
            self._put(TrialRecord(config, stage=event.stage, max_epochs=event.max_epochs))
        elif (known.stage, known.max_epochs) != (event.stage, event.max_epochs):  # a later stage trains it further
            changed = replace(known, stage=event.stage, max_epochs=event.max_epochs, audited_from=None)
            self._put(replace(changed, state="waiting", reason="", by_budget=False))
        self.stages.setdefault(event.stage, {})[event.trial_id] = None

    def _spend(self, busy_s: float, epochs: int) -> None:
        self.epochs_trained += epochs
        self.all_epochs_trained += epochs
        self.busy_s += busy_s
        self.all_busy_s += busy_s

    def _change(self, trial_id: str, state: TrialState, reason: str, by_budget: bool = False) -> None:
        self._put(replace(self.trials[trial_id], state=state, reason=reason, by_budget=by_budget))

    def _put(self, record: TrialRecord) -> None:
        before = self.trials.get(record.trial_id)
        for counted, sign in ((before, -1), (record, 1)):
            if counted is not None:
                self._counts[counted.state] += sign
                self._lengths[counted.state in ENDED][len(counted.epochs)] += sign
        self.trials[record.trial_id] = record
