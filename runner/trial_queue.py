"""What Tune calls while it runs: which trial comes next, that one has started, and whether to stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from runner.run_log import RunLog
from trainables.record import TrialRecord


class TrialQueue(Searcher):  # type: ignore[misc]
    """Gives Tune the listed trials in order, each with the last epoch on record."""

    def __init__(self, trials: Iterable[tuple[TrialRecord, int]]) -> None:
        super().__init__()
        self._waiting = list(reversed(list(trials)))

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial's configuration; `FINISHED` after the last."""
        if not self._waiting:
            return str(Searcher.FINISHED)
        record, epoch = self._waiting.pop()
        return {"name": record.trial_id, "trial": json.dumps(record.config.model_dump(mode="json")), "epoch": epoch}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The order does not depend on results."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store knows which trials are left."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the store knows which trials are left."""


class Slots(tune.Callback):  # type: ignore[misc]
    """Tells the run's log which trial a slot has taken up, and which one had to be given up."""

    def __init__(self, log: RunLog) -> None:
        self._log = log

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune has an actor for `trial`."""
        self._log.start(trial.config["name"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The worker of `trial` died too often. (A scheduler's `on_trial_error` is called at each death, this at the last.)"""
        name = trial.config["name"]
        if not self._log.state.has_ended(name):
            lines = [line.strip() for line in str(trial.get_error() or "").splitlines()]
            cause = next((line for line in reversed(lines) if line), "no reason is known")
            self._log.end(name, "failed", f"its worker was lost {trial.num_failures} times; the last time: {cause}")


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
