"""The pen of a run: every event is written to the store, then taken into the state, then shown."""

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
    """The journal of a run together with what it adds up to. What `append` returned from is in the store."""

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
        """Why an event could not be written; Tune, which calls this from its loop, hands on a text alone."""
        self._before_s = self.state.elapsed_s
        self._start_s = self._clock()

    @property
    def events(self) -> list[Event]:
        """All events so far, in order."""
        return self._journal.events

    @property
    def elapsed_s(self) -> float:
        """Seconds that the run has taken, over all executions, until now."""
        return self._before_s + self._clock() - self._start_s

    def draft(self, kind: type[SomeEvent], **told: Any) -> SomeEvent:
        """An event that happens now and is not written yet."""
        return kind(at_unix_s=round(time.time(), 3), elapsed_s=round(self.elapsed_s, 3), **told)

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

    def write(self, kind: type[SomeEvent], **told: Any) -> SomeEvent:
        """Write one event; returns it."""
        event = self.draft(kind, **told)
        self.append(event)
        return event

    def open(self, versions: dict[str, str], slots: int) -> None:
        """A driver begins."""
        self.write(RunOpened, versions=versions, slots=slots)

    def plan(self, trials: Iterable[TrialConfig], **told: Any) -> list[TrialPlanned]:
        """`trials` belong to the run, as `told` (stage, max_epochs, why); those that do already are left alone."""
        known = self.state.trials
        stage, max_epochs = told.get("stage", ""), told.get("max_epochs")
        events = [
            self.draft(
                TrialPlanned,
                trial_id=trial.trial_id,
                config=trial.model_dump(mode="json", exclude_defaults=True),
                **told,
            )
            for trial in trials
            if (record := known.get(trial.trial_id)) is None or (record.stage, record.max_epochs) != (stage, max_epochs)
        ]
        if events:
            self.append(*events)
        return events

    def start(self, trial_id: str) -> None:
        """A slot takes `trial_id` up."""
        self.write(TrialStarted, trial_id=trial_id)

    def report(self, trial_id: str, result: EpochResult, trained: bool, end: tuple[TrialState, str] | None) -> None:
        """An epoch, and the end of the trial if this was its last: both or neither are in the store."""
        events: list[Event] = [self.draft(EpochReported, trial_id=trial_id, result=result, trained=trained)]
        if end:
            events.append(self.draft(TrialEnded, trial_id=trial_id, state=end[0], reason=end[1]))
        self.append(*events)

    def repeat(self, trial_id: str, result: EpochResult) -> None:
        """An epoch on record had to be trained again."""
        self.write(EpochRepeated, trial_id=trial_id, epoch=result.epoch, busy_s=result.busy_s)

    def end(self, trial_id: str, state: TrialState, reason: str) -> TrialEnded:
        """The trial stops without another epoch."""
        return self.write(TrialEnded, trial_id=trial_id, state=state, reason=reason)

    def close(self, state: str, reason: str) -> None:
        """The driver comes to its end."""
        self.write(RunClosed, state=state, reason=reason)
