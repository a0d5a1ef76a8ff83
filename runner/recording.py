"""The scheduler that Tune sees: takes every result down in the run's log, and lets the chosen method decide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from runner.event import EpochReported, Event
from runner.run_log import RunLog
from runner.schedulers.asha import Asha
from runner.spec import SchedulerConfig
from trainables.record import EpochResult, TrialState

RESULT_KEYS = [field.name for field in fields(EpochResult)]


class Recording(FIFOScheduler):  # type: ignore[misc]
    """First come, first served, with an end to every trial that has a reason on record."""

    def __init__(self, config: SchedulerConfig, log: RunLog) -> None:
        super().__init__()
        self._max_epochs = config.max_epochs
        self._log = log
        self._asha = Asha(config.max_epochs, config.reduction, config.grace_epochs) if config.method == "asha" else None
        self._replay(log.events)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Record an epoch or an end, and decide."""
        name = result["name"]
        if result["end"]:
            if not self._log.state.has_ended(name):
                self._log.end(name, result["end"], result["reason"])
            return str(TrialScheduler.STOP)
        epoch = EpochResult(**{key: result[key] for key in RESULT_KEYS})
        last = self._log.state.last_epoch(name)
        if epoch.epoch <= last:
            # Told again, by a trial that was started anew or whose checkpoint was lost: what was decided stands.
            if result["trained"]:
                self._log.repeat(name, epoch)
            over = epoch.epoch == last and self._log.state.has_ended(name)
            return str(TrialScheduler.STOP if over else TrialScheduler.CONTINUE)
        end = self._decide(name, epoch)
        self._log.report(name, epoch, result["trained"], end)
        return str(TrialScheduler.STOP if end else TrialScheduler.CONTINUE)

    def _decide(self, name: str, epoch: EpochResult) -> tuple[TrialState, str] | None:
        if self._asha:
            self._asha.record(name, epoch.epoch, epoch.validation_accuracy)
        if epoch.epoch >= self._max_epochs:
            return "finished", ""
        reason = self._asha.judge(name) if self._asha else None
        return ("pruned", reason) if reason else None

    def _replay(self, events: Iterable[Event]) -> None:
        """Fill the rungs with what is on record, in its order; decisions on record are not taken again."""
        for event in events:
            if self._asha and isinstance(event, EpochReported):
                self._asha.record(event.trial_id, event.result.epoch, event.result.validation_accuracy)
