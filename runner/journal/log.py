"""Writes the journal of a run: every event goes to the store, then into the state, then to the listeners."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from runner.journal.events import (
    EpochRepeated,
    EpochReported,
    Event,
    RunClosed,
    RunOpened,
    TrialEnded,
    TrialPlanned,
    TrialStarted,
)
from runner.journal.journal import Journal, UnwrittenJournal
from runner.journal.state import RunState
from trainables.config.trial import TrialConfig
from trainables.errors import StoreError
from trainables.results.record import EpochResult, TrialState

Listener = Callable[[Event, RunState], None]
SomeEvent = TypeVar("SomeEvent", bound=Event)


class RunLog:
    """The journal of a run with the state that it adds up to. When `append` returns, the events are in the store."""

    def __init__(
        self,
        journal: Journal | UnwrittenJournal,
        listeners: list[Listener],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._journal = journal
        self._listeners = listeners
        self._clock = clock or time.monotonic
        self.state = RunState(journal.events)
        self.failure: StoreError | None = None
        """Why an event could not be written; Tune, which calls this class from its loop, passes on only a string."""
        self._before_s = self.state.elapsed_s
        self._start_s = self._clock()

    @property
    def events(self) -> list[Event]:
        """All events so far, in order."""
        return self._journal.events

    @property
    def elapsed_s(self) -> float:
        """Seconds that the run has taken until now, over all executions."""
        return self._before_s + self._clock() - self._start_s

    def draft(self, kind: type[SomeEvent], **fields: Any) -> SomeEvent:
        """An event with the present time that is not written yet."""
        return kind(at_unix_s=round(time.time(), 3), elapsed_s=round(self.elapsed_s, 3), **fields)

    def append(self, *events: Event) -> None:
        """Write `events`, whole or not at all. Raises `StoreError`."""
        try:
            self._journal.append(*events)
            for event in events:
                self.state.apply(event)
                for listener in self._listeners:
                    listener(event, self.state)
        except StoreError as error:
            self.failure = error
            raise

    def write(self, kind: type[SomeEvent], **fields: Any) -> SomeEvent:
        """Write one event; returns it."""
        event = self.draft(kind, **fields)
        self.append(event)
        return event

    def open(self, versions: dict[str, str], slots: int) -> None:
        """Record that a driver begins."""
        self.write(RunOpened, versions=versions, slots=slots)

    def plan(self, trials: Iterable[TrialConfig], **fields: Any) -> list[TrialPlanned]:
        """Record that `trials` belong to the run, with `fields` (stage, max_epochs, why), unless that is on record already."""
        known = self.state.trials
        stage, max_epochs = fields.get("stage", ""), fields.get("max_epochs")
        events = [
            self.draft(
                TrialPlanned,
                trial_id=trial.trial_id,
                config=trial.model_dump(mode="json", exclude_defaults=True),
                **fields,
            )
            for trial in trials
            if (record := known.get(trial.trial_id)) is None or (record.stage, record.max_epochs) != (stage, max_epochs)
        ]
        if events:
            self.append(*events)
        return events

    def start(self, trial_id: str) -> None:
        """Record that a slot starts `trial_id`."""
        self.write(TrialStarted, trial_id=trial_id)

    def report(self, trial_id: str, result: EpochResult, trained: bool, end: tuple[TrialState, str] | None) -> None:
        """Record an epoch, and the end of the trial if this was its last: both or neither are in the store."""
        events: list[Event] = [self.draft(EpochReported, trial_id=trial_id, result=result, trained=trained)]
        if end:
            events.append(self.draft(TrialEnded, trial_id=trial_id, state=end[0], reason=end[1]))
        self.append(*events)

    def repeat(self, trial_id: str, result: EpochResult) -> None:
        """Record that an epoch that was on record had to be trained again."""
        self.write(EpochRepeated, trial_id=trial_id, epoch=result.epoch, busy_s=result.busy_s)

    def end(self, trial_id: str, state: TrialState, reason: str) -> TrialEnded:
        """Record that the trial stops without another epoch."""
        return self.write(TrialEnded, trial_id=trial_id, state=state, reason=reason)

    def close(self, state: str, reason: str) -> None:
        """Record that the driver ends."""
        self.write(RunClosed, state=state, reason=reason)
