"""What the events of a run add up to: the state of every trial, and what the newest execution has spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from runner.event import (
    EpochRepeated,
    EpochReported,
    Event,
    RunClosed,
    RunOpened,
    TrialEnded,
    TrialPlanned,
    TrialStarted,
)
from trainables.config import TrialConfig
from trainables.record import ENDED, TrialRecord, TrialState


class RunState:
    """The fold over a run's events. `apply` is its only way to change."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.trials: dict[str, TrialRecord] = {}
        """In the order in which they were planned."""
        self.elapsed_s = 0.0
        """Over all executions."""
        self.epochs_trained = 0
        """By the newest execution."""
        self.busy_s = 0.0
        """Seconds of training and evaluation by the newest execution, summed over slots."""
        self.slots = 0
        self.versions: dict[str, str] = {}
        self.closed: RunClosed | None = None
        """How the newest execution ended, if it did."""
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take one event into account."""
        self.elapsed_s = max(self.elapsed_s, event.elapsed_s)
        match event:
            case RunOpened():
                self.closed, self.epochs_trained, self.busy_s = None, 0, 0.0
                self.slots, self.versions = event.slots, event.versions
                for name, record in self.trials.items():
                    if record.state not in ENDED:  # whoever ran it is gone
                        self.trials[name] = replace(record, state="waiting", reason="")
            case TrialPlanned():
                self.trials.setdefault(event.trial_id, TrialRecord(TrialConfig.model_validate(event.config)))
            case TrialStarted():
                if self.trials[event.trial_id].state not in ENDED:  # else only a lost checkpoint is made again
                    self._change(event.trial_id, "running", "")
            case EpochReported():
                record = self.trials[event.trial_id]
                self.trials[event.trial_id] = replace(record, epochs=(*record.epochs, event.result))
                if event.trained:
                    self.epochs_trained += 1
                    self.busy_s += event.result.busy_s
            case EpochRepeated():
                self.epochs_trained += 1
                self.busy_s += event.busy_s
            case TrialEnded():
                self._change(event.trial_id, event.state, event.reason)
            case RunClosed():
                self.closed = event

    def last_epoch(self, trial_id: str) -> int:
        """The newest epoch on record, 0 before the first."""
        epochs = self.trials[trial_id].epochs
        return epochs[-1].epoch if epochs else 0

    def has_ended(self, trial_id: str) -> bool:
        """Whether the trial has come to its own end."""
        return self.trials[trial_id].state in ENDED

    def pending(self) -> list[TrialRecord]:
        """Trials that have not come to their own end, in order."""
        return [record for record in self.trials.values() if record.state not in ENDED]

    def counts(self) -> dict[TrialState, int]:
        """How many trials are in each state that any trial is in."""
        return dict(Counter(record.state for record in self.trials.values()))

    def _change(self, trial_id: str, state: TrialState, reason: str) -> None:
        self.trials[trial_id] = replace(self.trials[trial_id], state=state, reason=reason)
