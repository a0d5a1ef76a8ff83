"""Time-compressed runs: the real searches, schedulers and controller on curves like those of real trials, no training.

The results of a trial's epochs come from the surrogate over recorded Fashion-MNIST curves (benchmarks/curves.py), the clock is
simulated (runner/control/simulator.py), and everything else is the code of `caucus run`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from benchmarks.curves import Curve, Surrogate
from runner.config.checks import parse_spec
from runner.config.scheduler import SchedulerConfig
from runner.config.sweep import SweepSpec
from runner.control.simulator import Simulation, simulate
from runner.journal.events import EpochReported, Event
from runner.journal.state import RunState
from runner.schedulers.base import Scheduler, SchedulerDecision, Unpaused
from runner.schedulers.choose import choose_scheduler
from runner.search.choose import choose_search
from runner.space.draws import share_of
from trainables.config.trial import TrialConfig
from trainables.results.record import EpochResult

MAX_EPOCHS = 27
SPACE: dict[str, Any] = {
    "model.blocks": {"choice": [1, 2, 3]},
    "model.width": {"choice": [4, 8, 16]},
    "model.dropout": {"uniform": [0.0, 0.5]},
    "optimizer.lr": {"log": [1e-4, 3]},
    "optimizer.weight_decay": {"log": [1e-6, 1e-1]},
}
"""The recorded space, benchmarks/curves.yaml."""


class Stage:
    """Simulates trials with the surrogate's curves, which are cached once drawn. `nan_share` of the trials have a NaN loss.

    `reports_nan`: such a trial reports an accuracy of NaN and continues, as a training loop without a check does; else it
    ends as diverged, as in Caucus.
    """

    def __init__(self, surrogate: Surrogate, seed: int, nan_share: float = 0.0, reports_nan: bool = False) -> None:
        self._surrogate = surrogate
        self._seed = seed
        self._nan_share = nan_share
        self._reports_nan = reports_nan
        self._curves: dict[str, Curve] = {}

    def prepare(self, trials: Iterable[TrialConfig]) -> None:
        """Draw the curves of many trials at once."""
        new = [trial for trial in trials if trial.trial_id not in self._curves]
        drawn = self._surrogate.curves([self.configuration(trial) for trial in new], self._seed)
        self._curves |= {trial.trial_id: curve for trial, curve in zip(new, drawn, strict=True)}

    def configuration(self, trial: TrialConfig) -> dict[str, Any]:
        """A trial's configuration for the surrogate; values beyond the recorded space (around a best one) are clipped to it."""
        flat = trial.flat()
        return {
            key: flat[key] if how.kind == "choice" else min(max(flat[key], how.low), how.high)
            for key, how in self._surrogate.space.items()
        }

    def epoch_result(self, trial: TrialConfig, epoch: int) -> EpochResult | None:
        """The result of an epoch; None if the trial diverges in it."""
        if trial.trial_id not in self._curves:
            self.prepare([trial])
        curve = self._curves[trial.trial_id]
        is_nan = share_of(self._seed, 0, f"nan/{trial.trial_id}") < self._nan_share
        if is_nan or (curve.diverged_epoch is not None and epoch >= curve.diverged_epoch):
            seconds = float(curve.busy_s[min(epoch, len(curve.busy_s)) - 1]) if len(curve.busy_s) else 0.2
            return (
                EpochResult(epoch, math.nan, math.nan, math.nan, math.nan, seconds, 0.0) if self._reports_nan else None
            )
        accuracy, loss = float(curve.accuracy[epoch - 1]), float(curve.loss[epoch - 1])
        return EpochResult(epoch, loss, accuracy, loss, accuracy, float(curve.busy_s[epoch - 1]), 0.0)


class RayAsha(Unpaused):
    """Ray Tune's own ASHA, called as Tune calls it, in the place of ours."""

    def __init__(self, config: SchedulerConfig) -> None:
        self._ray = AsyncHyperBandScheduler(
            time_attr="epoch",
            metric="accuracy",
            mode="max",
            max_t=config.max_epochs,
            grace_period=config.grace_epochs,
            reduction_factor=config.reduction,
            brackets=1,
        )
        self._trials: dict[str, _RayTrial] = {}
        self._last: dict[str, Any] = {}

    def add(self, trial_id: str) -> None:
        self._trials[trial_id] = _RayTrial(trial_id)
        self._ray.on_trial_add(None, self._trials[trial_id])

    def record(self, trial_id: str, epoch: int, accuracy: float) -> None:
        # Tune reports the last epoch to its scheduler as well, by `on_trial_complete`.
        result = {"epoch": epoch, "accuracy": accuracy}
        self._last[trial_id] = self._ray.on_trial_result(None, self._trials[trial_id], result)

    def decide(self, trial_id: str) -> SchedulerDecision | None:
        return SchedulerDecision("pruned", "by Ray") if self._last[trial_id] == TrialScheduler.STOP else None


@dataclass
class _RayTrial:
    trial_id: str


def with_ray_asha(config: SchedulerConfig, seed: int) -> Scheduler:
    """Ray's ASHA where the sweep asks for ASHA."""
    return RayAsha(config) if config.method == "asha" else choose_scheduler(config, seed)


@dataclass
class Incumbent:
    """Listens to a run: the trial and epoch with the best accuracy so far, each time that changes."""

    path: list[tuple[float, TrialConfig, int]] = field(default_factory=list)
    """Simulated seconds, the trial, its epoch."""
    _best: float = -1.0

    def __call__(self, event: Event, state: RunState) -> None:
        if isinstance(event, EpochReported) and event.result.validation_accuracy > self._best:  # never so with NaN
            self._best = event.result.validation_accuracy
            self.path.append((event.elapsed_s, state.trials[event.trial_id].config, event.result.epoch))

    def regret_at(self, surrogate: Surrogate, stage: Stage, seconds: float) -> float:
        """Regret of the incumbent after `seconds` against the best of the space, both without noise, in shares of 1."""
        held = [(trial, epoch) for at_s, trial, epoch in self.path if at_s <= seconds]
        if not held:
            return surrogate.best_accuracy
        trial, epoch = held[-1]
        return surrogate.best_accuracy - float(surrogate.true_accuracies([stage.configuration(trial)], epoch)[0])


def make_spec(search: Mapping[str, Any], scheduler: Mapping[str, Any]) -> SweepSpec:
    """A sweep over the recorded space; `search` and `scheduler` as a sweep file has them."""
    whole = dict(search) if "stages" in search else {"space": SPACE, **search}
    return parse_spec(
        {
            "name": "simulated",
            "data": {"name": "fashion-mnist"},
            "search": whole,
            "optimizer": {"name": "sgd", "momentum": 0.9, "batch_size": 64},
            "scheduler": {"max_epochs": MAX_EPOCHS, **scheduler},
        },
        "simulated",
    )


def simulate_sweep(
    spec: SweepSpec,
    stage: Stage,
    slots: int,
    until_s: float = math.inf,
    listeners: Iterable[Callable[[Event, RunState], None]] = (),
    choose: Callable[[SchedulerConfig, int], Scheduler] = choose_scheduler,
) -> Simulation:
    """Run a sweep on the simulated clock."""
    search = choose_search(spec, "simulated")
    return simulate(spec, search, slots, stage.epoch_result, until_s=until_s, listeners=listeners, choose=choose)
