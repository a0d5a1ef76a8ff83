"""Asynchronous successive halving (Li et al. 2020), on top of Ray Tune's scheduler, with four of its habits mended.

- The first trial at a rung is not immortal: each later epoch of a trial asks again whether its last rung, as filled as
  it is by now, still lets it pass.
- The brackets are not drawn from an unseeded generator: there is one.
- The rungs can be filled again from a record, so that a driver that was killed decides as if it had not been.
- It says why: `pruned at rung 2, rank 5 of 6`.
"""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

ROUNDING = 1e-9
"""The interpolated cut-off of 16 trials is 1e-16 above the sixth best, which it should be; accuracies differ by far more."""


class Asha(AsyncHyperBandScheduler):  # type: ignore[misc]
    """Ends trials whose validation accuracy is not among the best one in `reduction` at their last rung."""

    def __init__(self, max_epochs: int, reduction: int, grace_epochs: int) -> None:
        super().__init__(
            time_attr="epoch",
            metric="validation_accuracy",
            mode="max",
            max_t=max_epochs,
            grace_period=grace_epochs,
            reduction_factor=reduction,
            brackets=1,
        )
        bracket = self._brackets[0]
        self._rungs: list[tuple[int, dict[str, float]]] = [
            (int(at), recorded) for at, recorded in reversed(bracket._rungs)
        ]
        self._cutoff = bracket.cutoff

    def record(self, trial_id: str, epoch: int, validation_accuracy: float) -> None:
        """Put a result on its rung, if it lies on one. Every result must be recorded, once and in order."""
        for milestone, recorded in self._rungs:
            if milestone == epoch:
                recorded[trial_id] = validation_accuracy

    def judge(self, trial_id: str) -> str | None:
        """Why the trial should end now, or None if it may go on. Accuracies equal to the cut-off pass."""
        for number, (_, recorded) in reversed(list(enumerate(self._rungs, start=1))):
            if trial_id in recorded:
                value = recorded[trial_id]
                if value >= self._cutoff(recorded) - ROUNDING:
                    return None
                rank = 1 + sum(other > value for other in recorded.values())
                return f"pruned at rung {number}, rank {rank} of {len(recorded)}"
        return None

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Nothing to draw: there is one bracket."""
        self._trial_info[trial.trial_id] = self._brackets[0]

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Tune's own way in, for use without `Recording`."""
        name = result.get("name", trial.trial_id)
        self.record(name, result["epoch"], result["validation_accuracy"])
        done = result["epoch"] >= self._max_t or self.judge(name) is not None
        return str(TrialScheduler.STOP if done else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Recorded already by `on_trial_result`."""
        self._trial_info.pop(trial.trial_id, None)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Leave what it recorded on the rungs."""
        self._trial_info.pop(trial.trial_id, None)
