"""A small run that does with a search what a real one does, with made-up results, and keeps the events as a journal would."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from runner.journal.events import Decided, EpochReported, Event, RangeTested, TrialEnded, TrialPlanned, TrialStarted
from runner.journal.state import RunState
from runner.search.base.protocol import Decide, Measure, Over, Plan, Search, Step, Wait
from runner.testing.contract import expect, show
from trainables.config.base import short_hash
from trainables.config.trial import TrialConfig
from trainables.errors import RunCutShort
from trainables.results.record import EpochResult, TrialRecord

WHEN: dict[str, Any] = {"at_unix_s": 1.0, "elapsed_s": 1.0}
"""The times of every event: no search may depend on them."""

Score = Callable[[dict[str, Any]], float | None]
"""Validation accuracy by dotted keys; None where the trial diverges."""

EpochSimulator = Callable[[TrialConfig, int], EpochResult | None]
"""The result of a trial's epoch; None where it diverges. The same for the same trial and epoch."""


class SearchRun:
    """The events of a run, the state that they add up to, and the search that observes them: `events` are on record already."""

    def __init__(self, search: Search, events: Iterable[Event] = ()) -> None:
        self.search = search
        self.events: list[Event] = []
        self.state = RunState()
        for event in events:
            self.record(event)

    def record(self, event: Event) -> None:
        """Write an event."""
        self.events.append(event)
        self.state.apply(event)
        self.search.observe(event)

    def take(self, step: Step) -> list[TrialConfig]:
        """Record a step of the search; returns the trials that it planned."""
        match step:
            case Plan():
                for trial in step.trials:
                    config = trial.model_dump(mode="json", exclude_defaults=True)
                    self.record(
                        TrialPlanned(
                            **WHEN,
                            trial_id=trial.trial_id,
                            config=config,
                            stage=step.stage,
                            max_epochs=step.max_epochs,
                            why=step.why,
                        )
                    )
                return list(step.trials)
            case Decide():
                fields: dict[str, Any] = {"what": step.what, "reason": step.reason, "stage": step.stage}
                self.record(Decided(**WHEN, **fields, trial_id=step.trial_id, values=dict(step.values)))
            case Measure():
                for key in step.architectures:
                    bounds: dict[str, Any] = {
                        "low": 0.001,
                        "high": 0.1,
                        "reason": "",
                        "rates": [],
                        "losses": [],
                        "busy_s": 1.0,
                    }
                    self.record(RangeTested(**WHEN, key=key, **bounds))
        return []

    def end(self, trial: TrialConfig, accuracy: float | None, epoch: int | None = None) -> None:
        """The trial ends, with one epoch more (`epoch`, where it is another than the next) or diverged."""
        if accuracy is None:
            self.record(TrialEnded(**WHEN, trial_id=trial.trial_id, state="diverged", reason="loss is nan"))
            return
        epoch = epoch or self.state.last_epoch(trial.trial_id) + 1
        result = EpochResult(epoch, 0.4, 0.9, 0.5, accuracy, train_s=1.0, evaluate_s=0.5)
        self.record(EpochReported(**WHEN, trial_id=trial.trial_id, result=result, trained=True))
        self.record(TrialEnded(**WHEN, trial_id=trial.trial_id, state="finished", reason=""))

    def to_the_end(self, score: Score, most: int = 500) -> list[TrialConfig]:
        """All trials, each ended as soon as it is planned, until the search is over."""
        trials: list[TrialConfig] = []
        for _ in range(most):
            step = self.search.step(self.state)
            if isinstance(step, Over):
                return trials
            expect(not isinstance(step, Wait), "the search waits, but nothing is running: expected a step, or Over")
            for trial in self.take(step):
                trials.append(trial)
                self.end(trial, score(trial.flat()))
        raise AssertionError("the search does not come to an end")

    def finish(self, score: Callable[[TrialRecord], float | None], most: int = 1000) -> SearchRun:
        """To the end from wherever it was left, the first pending trial at a time, each to its last epoch."""
        for _ in range(most):
            step = self.search.step(self.state)
            if isinstance(step, Over):
                return self
            if not isinstance(step, Wait):
                self.take(step)
                continue
            record = self.state.pending()[0]
            if record.epochs and record.epochs[-1].epoch == record.max_epochs:  # cut off between its epoch and its end
                self.record(TrialEnded(**WHEN, trial_id=record.trial_id, state="finished", reason=""))
            else:
                self.end(record.config, score(record), record.max_epochs)
        raise AssertionError("the search does not come to an end")

    def decisions(self, what: str) -> list[Decided]:
        """The decisions of a kind, in order."""
        return [event for event in self.events if isinstance(event, Decided) and event.what == what]


class SlotRun(SearchRun):
    """Trains what the search plans, an epoch each turn, as a run with `slots` does (None: everything is planned at once).

    Which of the running trials ends its epoch next follows from `seed` (None: always the first). `events` are those of the
    driver that this one replaces. Takes note of what is wrong and goes on, for those who look at it afterwards.
    """

    def __init__(
        self,
        search: Search,
        simulate_epoch: EpochSimulator,
        max_epochs: int,
        slots: int | None = None,
        seed: int | None = None,
        events: Iterable[Event] = (),
    ) -> None:
        super().__init__(search, events)
        self._simulate_epoch, self._max_epochs = simulate_epoch, max_epochs
        self._slots, self._draw = slots, random.Random(seed) if seed is not None else None
        self.asked: list[tuple[int, Step | str]] = []
        """Each answer of the search, after how many events; a sentence where it cut the run short."""
        self.turns = 0
        self.cuts = [0]
        """After how many events another driver may take over: anywhere but within a plan, which is written in one go."""
        self.query_fault = ""
        """What a question changed; "" if it was nothing."""
        self.fault = ""
        """Why the run did not come to its end; "" if it did."""

    def run(self, most: int) -> SlotRun:
        """Go on to the end, or for at most so many turns; returns itself."""
        for _ in range(most):
            if not self.turn():
                return self
            self.turns += 1
        self.fault = f"it is not over after {most} turns, with {len(self.state.trials)} trials planned"
        return self

    def turn(self) -> bool:
        """Take a step of the search, or train an epoch; returns whether there was anything to do."""
        step = self.ask()
        if isinstance(step, str):
            return False
        running = self.state.pending()[: self._slots]
        if isinstance(step, Plan | Decide | Measure) and (self._slots is None or len(running) < self._slots):
            self.take(step)
            self.cuts.append(len(self.events))
        elif running:
            self.train(self._draw.choice(running) if self._draw else running[0])
            self.cuts += range(self.cuts[-1] + 1, len(self.events) + 1)
        else:
            self.fault = (
                "" if isinstance(step, Over) else f"it answers {step} while nothing is running, expected a step or Over"
            )
            return False
        return True

    def ask(self) -> Step | str:
        """The next step, which is asked for twice."""
        before = contents(self.state)
        step, again = (ask(self.search, self.state) for _ in range(2))
        if step != again:
            self.query_fault = (
                f"step() is {show(again)} when it is asked again with nothing in between, expected {show(step)}"
            )
        if contents(self.state) != before:
            self.query_fault = "step() changed the state that it was given, expected that it changes nothing"
        self.asked.append((len(self.events), step))
        return step

    def train(self, record: TrialRecord) -> None:
        """Train an epoch of a trial, and end it where that was its last one."""
        name = record.trial_id
        last, wanted = self.state.last_epoch(name), record.max_epochs or self._max_epochs
        if last < wanted:
            if name not in self.state.started:
                self.record(TrialStarted(**WHEN, trial_id=name))
            result = self._simulate_epoch(record.config, last + 1)
            if result is None:
                self.record(TrialEnded(**WHEN, trial_id=name, state="diverged", reason="loss is nan"))
                return
            self.record(EpochReported(**WHEN, trial_id=name, result=result, trained=True))
        if last + 1 >= wanted:
            self.record(TrialEnded(**WHEN, trial_id=name, state="finished", reason=""))


def ask(search: Search, state: RunState) -> Step | str:
    """The search's next step, or the sentence with which it cuts the run short."""
    try:
        return search.step(state)
    except RunCutShort as error:
        return str(error)


def contents(state: RunState) -> tuple[object, ...]:
    """What a search may read of the state, to be compared."""
    return dict(state.trials), list(state.decisions), dict(state.range_tests), state.recorded_events


def simulate_epoch(trial: TrialConfig, epoch: int) -> EpochResult | None:
    """A made-up result that follows from trial and epoch; one trial in sixteen diverges in each epoch."""
    share = int(short_hash([trial.trial_id, epoch], digits=6), 16) / 16**6
    if share < 1 / 16:
        return None
    return EpochResult(epoch, 1 - share, share, 1 - share, round(share, 4), train_s=1.0, evaluate_s=0.5)
