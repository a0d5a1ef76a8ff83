"""What Tune calls while it runs: a queue of trials, callbacks for starts and ends, and a stopper."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.search import Searcher
from typing_extensions import override

from runner.control.controller import TrialController
from runner.control.task import RangeTask, Task
from runner.journal.log import RunLog
from trainables.training.tune_messages import TuneReport, TuneTask

BEGIN_S = 20.0
"""Seconds that the first worker waits for the others to begin."""

STANDBY_S = 0.05
"""A slot on standby asks for work at intervals of so many seconds times the number of slots: 20 requests a second in all."""


NO_WORKER = ("RuntimeEnvSetupError", "ActorUnschedulableError")
"""Ray's errors for a worker that could not even be started."""


class TrialQueue(Searcher):  # type: ignore[misc]
    """Gives Tune the tasks of the controller, each trial with its last recorded epoch.

    `slots` is how many stay in use, 0 where they come and go. Of those, a slot without work stands by: Tune would end
    its worker, and a new one takes seconds to begin; worse, whenever a trial ends meanwhile Tune lets the next one
    have that trial's worker and ends the one that was about to begin, so that short trials run one after the other.
    For that reason nothing is given out either until all slots have begun to stand by.
    """

    def __init__(
        self,
        controller: TrialController,
        slots: int = 0,
        left_s: Callable[[], float] = lambda: math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._left_s = left_s
        """Seconds until the run has to end: a duration, because the clocks of other machines may differ."""
        self._clock = clock
        self._begun: set[str] = set()
        """Ids of Tune's trials in which slots have stood by."""
        self._begun_s = math.inf
        """When the first of them did."""
        self._is_ready = not slots
        self._controller = controller
        self._slots = slots
        self._reserved: deque[Task] = deque()
        """Tasks that were found for slots on standby, until Tune asks for them."""
        self._task_names: dict[str, str] = {}
        """Task names, by the id of Tune's trial."""
        self._tune_trials: dict[str, str] = {}
        """Ids of the newest of Tune's trials, by task name."""

    @override
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next task's configuration, `FINISHED` after the last. While that depends on running trials: a standby task, or None."""
        task = (
            "wait"
            if not self._is_ready
            else self._reserved.popleft()
            if self._reserved
            else self._controller.next_task()
        )
        if task == "wait":
            return TuneTask("standby", standby_s=STANDBY_S * self._slots).to_config() if self._slots else None
        if task == "over":
            return str(Searcher.FINISHED)
        self._task_names[trial_id] = task.name
        self._tune_trials[task.name] = trial_id
        key, after_epoch = (task.key, 0) if isinstance(task, RangeTask) else ("", task.after_epoch)
        return TuneTask(task.name, task.trial, after_epoch, key, self._left_s()).to_config()

    def has_more(self, trial_id: str) -> bool:
        """Whether the slot on standby in Tune's `trial_id` is to be released, for work or for the end."""
        self._begun.add(trial_id)
        self._begun_s = min(self._begun_s, self._clock())
        self._is_ready |= len(self._begun) >= self._slots or self._clock() > self._begun_s + BEGIN_S
        if not self._is_ready:
            return False
        task = self._controller.next_task()
        if not isinstance(task, str):
            self._reserved.append(task)
        return task != "wait"

    @override
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tune has released the slot, for whatever reason.

        A trial that paused may have been promoted by then, and run as another one of Tune's: that one holds it now.
        """
        name = self._task_names.pop(trial_id, "")
        if self._tune_trials.get(name) == trial_id:
            del self._tune_trials[name]
            self._controller.release(name)

    @override
    def save(self, checkpoint_path: str) -> None:
        pass  # the journal knows what is left

    @override
    def restore(self, checkpoint_path: str) -> None:
        pass  # the journal knows what is left


class Slots(tune.Callback):  # type: ignore[misc]
    """Reports to the controller which trial a slot has started, and which one had to be given up."""

    def __init__(self, controller: TrialController, log: RunLog) -> None:
        self._controller = controller
        self._log = log
        self._reached: dict[str, int] = {}
        """The newest trained epoch, by the id of Tune's trial."""

    @override
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Reset the failure count of a trial that makes progress: in a long night it may lose many spot machines.

        A trial that trains the same epoch again and again is not reset: then the epoch is what kills its worker. A trial that
        leaves a machine that is taken away has not failed.
        """
        report = TuneReport.from_result(result)
        if report.leaving:
            trial.run_metadata.num_failures = 0
        if report.trained and report.epoch and report.epoch.epoch > self._reached.get(trial.trial_id, 0):
            self._reached[trial.trial_id] = report.epoch.epoch
            trial.run_metadata.num_failures = 0

    @override
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._reached.pop(trial.trial_id, None)

    @override
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        task = TuneTask.from_config(trial.config)
        if task.trial is not None and not task.range_test:
            self._controller.start(task.name)

    @override
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The worker of `trial` died too often. (A scheduler's `on_trial_error` is called at each death, this at the last.)"""
        lines = [line.strip() for line in str(trial.get_error() or "").splitlines()]
        cause = next((line for line in reversed(lines) if line), "no reason is known")
        reason = f"its worker was lost {trial.num_failures} times; the last time: {cause}"
        task = TuneTask.from_config(trial.config)
        if task.trial is None:
            return
        if task.range_test:
            self._controller.fail_range_test(task.range_test, reason)
        else:
            # Where no worker could be started, the trial has done nothing wrong: the next run tries it again.
            is_unbegun = any(name in str(trial.get_error()) for name in NO_WORKER)
            self._controller.end(task.name, "stopped" if is_unbegun else "failed", reason)


class Until(tune.Stopper):  # type: ignore[misc]
    """Stops all trials as soon as `is_over`."""

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is stopped here."""
        return False

    @override
    def stop_all(self) -> bool:
        return self._is_over()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its stopper into a state file of its own, which is thrown away unread."""
        return {}
