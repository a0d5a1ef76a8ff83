"""A controller with its log, driven by hand as Tune would: for tests that need no Ray and no training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from runner.config.scheduler import SchedulerConfig
from runner.control.controller import TrialController
from runner.control.task import Task
from runner.execution.ray_scheduler import RayScheduler
from runner.execution.trial_queue import Slots
from runner.journal.events import Event
from runner.journal.state import RunState
from runner.search.base.protocol import Over, Plan, Search, Step
from runner.search.base.stage_context import Progress, missing
from tests.sample_runs.sample_run import make_result, make_spec, make_trial, open_log
from trainables.config.trial import TrialConfig
from trainables.results.record import TrialRecord
from trainables.store.folder import Folder
from trainables.training.tune_messages import TuneTask

A, B, C = (make_trial(number) for number in range(3))


class FixedTrials:
    """A search that proposes the trials it is given, all at once."""

    def __init__(self, trials: list[TrialConfig], stage: str = "") -> None:
        self._trials = trials
        self._stage = stage
        self._progress = Progress(stage)

    def step(self, state: RunState) -> Step:
        left = missing(self._trials, self._progress)
        return Plan(left, stage=self._stage) if left else Over()

    def observe(self, event: Event) -> None:
        self._progress.observe(event)

    def wants(self, trial_id: str) -> bool:
        return trial_id in {trial.trial_id for trial in self._trials}


class Driver:
    """A driver on the journal in `folder`: a second one goes on where the first was."""

    def __init__(
        self,
        folder: Path,
        scheduler: SchedulerConfig,
        trials: list[TrialConfig] | Search = [A, B, C],  # noqa: B006
        lost: dict[str, set[int]] | None = None,
        **parts: Any,
    ) -> None:
        self.log = open_log(Folder(folder, "runs"))
        self.log.open({}, slots=2)
        self.spec = make_spec("runs", scheduler=scheduler.model_dump(exclude_none=True), **parts)
        search = FixedTrials(trials) if isinstance(trials, list) else trials
        self.controller = TrialController(self.spec, search, self.log, lost)
        self.scheduler = RayScheduler(self.controller)

    def take_all(self) -> list[Task]:
        """Every task that there is now."""
        tasks = []
        while not isinstance(task := self.controller.next_task(), str):
            tasks.append(task)
        return tasks

    def report_epoch(
        self, trial: TrialConfig, epoch: int, accuracy: float, trained: bool = True, loss: float = 0.5
    ) -> str:
        """Report the end of an epoch; returns the decision for Tune."""
        result = {"name": trial.trial_id, "trained": trained, "end": None, "reason": "", "done": False, "pid": 1}
        return self._on_result(result | asdict(make_result(epoch, accuracy, loss)))

    def report_end(self, trial: TrialConfig, state: str, reason: str) -> str:
        """A trial's own end."""
        return self._on_result({"name": trial.trial_id, "trained": False, "end": state, "reason": reason})

    def lose(self, trial: TrialConfig, error: str | None, failures: int = 4) -> None:
        """Its worker has died for the last time."""
        tune_trial = SimpleNamespace(
            trial_id="tune1",
            config=TuneTask(trial.trial_id, trial).to_config(),
            num_failures=failures,
            get_error=lambda: error,
        )
        Slots(self.controller, self.log).on_trial_error(1, [tune_trial], tune_trial)

    def record(self, trial: TrialConfig) -> TrialRecord:
        return self.log.state.trials[trial.trial_id]

    def events_of(self, kind: type[Event]) -> list[Any]:
        """The events of one kind, in order."""
        return [event for event in self.log.events if isinstance(event, kind)]

    def _on_result(self, result: dict[str, Any]) -> str:
        return self.scheduler.on_trial_result(None, SimpleNamespace(trial_id="tune1"), result)
