"""Runs a search to its end with made-up scores and keeps the events, as the journal of a run would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.config.checks import parse_spec
from runner.config.sweep import SweepSpec
from runner.journal.events import Decided, EpochReported, Event, RangeTested, TrialEnded, TrialPlanned
from runner.journal.state import RunState
from runner.search.base.former import Former
from runner.search.base.protocol import Decide, Measure, Over, Plan, Search, Step, Wait
from runner.search.choose import choose_search
from tests.sample_runs.sample_run import make_result
from trainables.config.trial import TrialConfig
from trainables.results.record import TrialRecord

WHEN: dict[str, Any] = {"at_unix_s": 1.0, "elapsed_s": 1.0}

Score = Callable[[dict[str, Any]], float | None]
"""Validation accuracy by dotted keys; None where the trial diverges."""


def make_sweep(search: dict[str, Any], **parts: Any) -> SweepSpec:
    """A sweep of digits; `search` and `parts` as a file has them."""
    return parse_spec({"name": "t", "data": {"name": "digits"}, "search": search, **parts}, "t.yaml")


def make_search(search: dict[str, Any], former: Former | None = None, **parts: Any) -> Search:
    """The search of such a sweep."""
    return choose_search(make_sweep(search, **parts), "data", former)


class SearchRun:
    """The events of a run, and the search that observes them."""

    def __init__(self, search: Search, events: list[Event] | None = None) -> None:
        self.search = search
        self.events: list[Event] = []
        self.state = RunState()
        for event in events or []:
            self.record(event)

    def record(self, event: Event) -> None:
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
                fields = {"what": step.what, "reason": step.reason, "stage": step.stage, "trial_id": step.trial_id}
                self.record(Decided(**WHEN, **fields, values=dict(step.values)))
            case Measure():
                for key in step.architectures:
                    bounds = {"low": 0.001, "high": 0.1, "reason": "", "rates": [], "losses": [], "busy_s": 1.0}
                    self.record(RangeTested(**WHEN, key=key, **bounds))
        return []

    def end(self, trial: TrialConfig, accuracy: float | None, epoch: int | None = None) -> None:
        """The trial ends, with one epoch more (`epoch`, where it is another than the next) or diverged."""
        if accuracy is None:
            self.record(TrialEnded(**WHEN, trial_id=trial.trial_id, state="diverged", reason="loss is nan"))
            return
        result = make_result(epoch or self.state.last_epoch(trial.trial_id) + 1, accuracy)
        self.record(EpochReported(**WHEN, trial_id=trial.trial_id, result=result, trained=True))
        self.record(TrialEnded(**WHEN, trial_id=trial.trial_id, state="finished", reason=""))

    def to_the_end(self, score: Score, most: int = 500) -> list[TrialConfig]:
        """All trials, each ended as soon as it is planned, until the search is over."""
        trials: list[TrialConfig] = []
        for _ in range(most):
            step = self.search.step(self.state)
            if isinstance(step, Over):
                return trials
            assert not isinstance(step, Wait), "nothing is running"
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
        return [event for event in self.events if isinstance(event, Decided) and event.what == what]


def rates(trials: list[TrialConfig]) -> list[float]:
    """Their learning rates."""
    return [trial.optimizer.lr for trial in trials]
