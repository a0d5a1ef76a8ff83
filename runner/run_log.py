"""The pen of a run: every event is written to the store, then taken into the state, then shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

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
from runner.journal import Journal
from runner.run_state import RunState
from trainables.config import TrialConfig
from trainables.errors import StoreError
from trainables.record import EpochResult, TrialState

Listener = Callable[[Event, RunState], None]


class RunLog:
    """The journal of a run together with what it adds up to. Each method returns once the store has the event."""

    def __init__(self, journal: Journal, listeners: list[Listener]) -> None:
        self._journal = journal
        self._listeners = listeners
        self.state = RunState(journal.events)
        self.failure: StoreError | None = None
        """Why an event could not be written; Tune, which calls this from its loop, hands on a text alone."""
        self._before_s = self.state.elapsed_s
        self._start_s = time.monotonic()

    @property
    def events(self) -> list[Event]:
        """All events so far, in order."""
        return self._journal.events

    @property
    def elapsed_s(self) -> float:
        """Seconds that the run has taken, over all executions, until now."""
        return self._before_s + time.monotonic() - self._start_s

    def open(self, versions: dict[str, str], slots: int) -> None:
        """A driver begins."""
        self._write(RunOpened, versions=versions, slots=slots)

    def plan(self, trials: list[TrialConfig]) -> None:
        """`trials` belong to the run; those it knows already are left alone."""
        new = [trial for trial in trials if trial.trial_id not in self.state.trials]
        events = [
            TrialPlanned(
                **self._when(), trial_id=trial.trial_id, config=trial.model_dump(mode="json", exclude_defaults=True)
            )
            for trial in new
        ]
        if events:
            self._append(*events)

    def start(self, trial_id: str) -> None:
        """A slot takes `trial_id` up."""
        self._write(TrialStarted, trial_id=trial_id)

    def report(self, trial_id: str, result: EpochResult, trained: bool, end: tuple[TrialState, str] | None) -> None:
        """An epoch, and the end of the trial if this was its last: both or neither are in the store."""
        events: list[Event] = [EpochReported(**self._when(), trial_id=trial_id, result=result, trained=trained)]
        if end:
            events.append(TrialEnded(**self._when(), trial_id=trial_id, state=end[0], reason=end[1]))
        self._append(*events)

    def repeat(self, trial_id: str, result: EpochResult) -> None:
        """An epoch on record had to be trained again."""
        self._write(EpochRepeated, trial_id=trial_id, epoch=result.epoch, busy_s=result.busy_s)

    def end(self, trial_id: str, state: TrialState, reason: str) -> None:
        """The trial stops without another epoch."""
        self._write(TrialEnded, trial_id=trial_id, state=state, reason=reason)

    def close(self, state: str, reason: str) -> None:
        """The driver comes to its end."""
        self._write(RunClosed, state=state, reason=reason)

    def _when(self) -> dict[str, Any]:
        return {"at_unix_s": round(time.time(), 3), "elapsed_s": round(self.elapsed_s, 3)}

    def _write(self, kind: type[Event], **told: Any) -> None:
        self._append(kind(**self._when(), **told))

    def _append(self, *events: Event) -> None:
        try:
            self._journal.append(*events)
            for event in events:
                self.state.apply(event)
                for listener in self._listeners:
                    listener(event, self.state)
        except StoreError as error:
            self.failure = error
            raise
