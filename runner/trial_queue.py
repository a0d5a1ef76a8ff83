"""What Tune calls while it runs: what comes next, that a trial has started, and whether to stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from runner.conductor import Conductor
from runner.run_log import RunLog
from runner.task import RangeTask


class TrialQueue(Searcher):  # type: ignore[misc]
    """Gives Tune what the conductor says, each trial with the last epoch on record."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor
        self._given: dict[str, str] = {}
        """Of each of Tune's trials the task."""
        self._holders: dict[str, str] = {}
        """Of each task the newest of Tune's trials."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next task's configuration; None while that depends on what is running, `FINISHED` after the last."""
        task = self._conductor.next_task()
        if task == "wait":
            return None
        if task == "over":
            return str(Searcher.FINISHED)
        self._given[trial_id] = task.name
        self._holders[task.name] = trial_id
        told = {"name": task.name, "trial": json.dumps(task.trial.model_dump(mode="json"))}
        return told | ({"range_test": task.key} if isinstance(task, RangeTask) else {"epoch": task.after_epoch})

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tune has given the slot back, for whatever reason.

        A trial that paused may have been promoted by then, and run as another one of Tune's: that one holds it now.
        """
        name = self._given.pop(trial_id, "")
        if self._holders.get(name) == trial_id:
            del self._holders[name]
            self._conductor.release(name)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal knows what is left."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal knows what is left."""


class Slots(tune.Callback):  # type: ignore[misc]
    """Tells the conductor which trial a slot has taken up, and which one had to be given up."""

    def __init__(self, conductor: Conductor, log: RunLog) -> None:
        self._conductor = conductor
        self._log = log

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune has an actor for `trial`."""
        if "range_test" not in trial.config:
            self._conductor.start(trial.config["name"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The worker of `trial` died too often. (A scheduler's `on_trial_error` is called at each death, this at the last.)"""
        lines = [line.strip() for line in str(trial.get_error() or "").splitlines()]
        cause = next((line for line in reversed(lines) if line), "no reason is known")
        reason = f"its worker was lost {trial.num_failures} times; the last time: {cause}"
        if "range_test" in trial.config:
            self._conductor.fail_range_test(trial.config["range_test"], reason)
        else:
            self._conductor.end(trial.config["name"], "failed", reason)


class Until(tune.Stopper):  # type: ignore[misc]
    """Stops all trials as soon as `is_over`."""

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is stopped here."""
        return False

    def stop_all(self) -> bool:
        """Asked by Tune on every turn of its loop."""
        return self._is_over()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its stopper into a state file of its own, which is thrown away unread."""
        return {}
