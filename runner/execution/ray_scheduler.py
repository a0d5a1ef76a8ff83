"""The scheduler that Tune sees: hands every result to the controller, which records it and decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from typing_extensions import override

from runner.control.controller import TrialController
from trainables.training.tune_messages import TuneReport


class RayScheduler(FIFOScheduler):  # type: ignore[misc]
    """First come, first served. A trial that pauses releases its slot; promoted, it is a new trial to Tune."""

    def __init__(
        self,
        controller: TrialController,
        has_more: Callable[[str], bool] = lambda _: True,
        on_unfit: Callable[[str], None] = lambda _: None,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__()
        self._on_unfit = on_unfit
        """Called with the reason why nothing can be trained in a worker."""
        self._controller = controller
        self._notify = notify
        self._has_more = has_more
        """Whether a slot that stands by in one of Tune's trials is to be given back."""

    @override
    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """The trial that has waited longest for its slot.

        Only live trials are searched: Tune's own method scans every trial that ever was on every turn, 4 ms at 20,000 of them.
        """
        pending = [trial for trial in tune_controller.get_live_trials() if trial.status == Trial.PENDING]
        return min(pending, key=lambda trial: trial.trial_id, default=None)  # ids end in a number that rises

    @override
    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Pass an epoch, an end or a range test to the controller; returns its decision."""
        report = TuneReport.from_result(result)
        if report.unfit:
            self._on_unfit(report.unfit)
            return str(TrialScheduler.STOP)
        if report.standby:
            return str(TrialScheduler.STOP if self._has_more(trial.trial_id) else TrialScheduler.CONTINUE)
        if report.leaving:  # its next step ends the actor, and Tune begins it again, on another machine
            self._notify(
                f"{report.name} leaves a machine that is to be taken away ({report.leaving}): what it has trained is stored, and it "
                "goes on elsewhere"
            )
            return str(TrialScheduler.CONTINUE)
        if report.range_test is not None:
            if report.range_test["high"]:
                self._controller.take_range_test(report.range_test)
            else:
                self._controller.fail_range_test(report.range_test["key"], report.range_test["reason"])
            return str(TrialScheduler.STOP)
        if report.end:
            self._controller.end(report.name, report.end, report.reason, by_budget=report.by_budget)
            return str(TrialScheduler.STOP)
        assert report.epoch is not None
        continues = self._controller.report(report.name, report.epoch, report.trained, report.cost)
        return str(TrialScheduler.CONTINUE if continues else TrialScheduler.STOP)
