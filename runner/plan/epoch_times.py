"""How fast a run goes: what an epoch of each architecture takes, and what a run takes beside its epochs.

From runs of the same sweep that are in the store, else from a probe; what neither tells, from figures measured once, on
two cores of a Xeon with AMX, torch 2.15, Ray 2.60, and scaled by how long torch takes to be imported here.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from runner.control.architecture import features, name_architecture
from runner.plan.history import History
from runner.plan.probe import Probe
from trainables.config.trial import TrialConfig
from trainables.training.epoch_timer import EpochTime

GAP_S = 0.006
"""Between the end of one epoch and the begin of the next: the result goes to the driver, into the journal and back."""

SWITCH_S = 0.005
"""From the end of a trial until its worker begins another one."""

READ_S = 0.02
"""An epoch that is in the store is read, not trained."""

START_S = 7.4
"""From the first look at the store to the first step: Ray 3.0 s, then Tune, the workers and their import of torch."""

CLOSING_S = 1.9
"""From the last epoch to the report: stopping Ray, choosing, voting."""

COMMAND_S = 1.6
"""From the command to the first look at the store, and the end of the process."""

IMPORT_S = 1.2
"""Import of torch in as many processes as slots, when `START_S`, `CLOSING_S` and `COMMAND_S` were measured.

Beside other work, torch took 6.6 to 9.3 s and the start 17 to 25 s: those grow with the square root of this.
"""

UNSURE, UNSURE_BEFORE = 0.15, 0.08
"""Share by which a probe and the figures above may be off at the least, and what earlier runs took."""

RANGE_TEST_STEPS = 200
"""Steps of a learning-rate range test."""

SMOOTHING = 0.01
"""Ridge of the least squares for architectures that were not measured."""


@dataclass(frozen=True)
class Overheads:
    """What a run takes beside its epochs, in seconds."""

    start_s: float = START_S
    """From the first look at the store to the first step."""
    switch_s: float = SWITCH_S
    """From the end of a trial to the first step of the next, and what its first epoch takes longer."""
    closing_s: float = CLOSING_S
    """From the last epoch to the report."""
    command_s: float = COMMAND_S
    """Before and after all that."""
    range_test_s: float = 0.0
    """Of one range test."""


@dataclass(frozen=True)
class EpochTimes:
    """What to expect of a run. Seconds from one epoch to the next, by architecture, with a trial that stands for it."""

    epochs_s: Mapping[str, float]
    configs: Mapping[str, TrialConfig]
    overheads: Overheads
    unsure: float
    """Share by which all of it may be off."""
    probed: int = 0
    """Architectures that were measured now."""
    measured_before: int = 0
    """Architectures that earlier runs measured."""

    def epoch_s(self, config: TrialConfig) -> float:
        """From one epoch of this trial to the next; estimated where its architecture was not measured."""
        found = self.epochs_s.get(name_architecture(config))
        return self.estimate([config])[0] if found is None else found

    def estimate(self, configs: Sequence[TrialConfig]) -> list[float]:
        """Least squares over the measured architectures, seconds and whole numbers as logarithms."""
        names = list(self.epochs_s)
        told = np.array(list(features([*(self.configs[name] for name in names), *configs])))
        known, wanted = told[: len(names)], told[len(names) :]
        seconds = np.log([self.epochs_s[name] for name in names])
        middle, level = known.mean(0), seconds.mean()
        away = known - middle
        slope = np.linalg.solve(away.T @ away + SMOOTHING * np.eye(known.shape[1]), away.T @ (seconds - level))
        return [float(value) for value in np.exp((wanted - middle) @ slope + level)]


def find_epoch_times(
    history: History,
    probe: Probe | None,
    configs: Mapping[str, TrialConfig],
    is_new: bool = False,
    commit_s: float = 0.0,
) -> EpochTimes | None:
    """The pace of a run with the architectures `configs`; None where nothing was measured.

    What earlier runs measured goes before what a probe has, unless that `is_new`. A probe writes to a local folder; a
    store that takes `commit_s` for a checkpoint lets shorter epochs wait for the one before.
    """
    told = probe.times if probe else {}
    probed = {
        name: max(commit_s, statistics.median(time.epoch_s for time in times)) + GAP_S for name, times in told.items()
    }
    before = {name: took for name, took in history.epochs_s.items() if not (is_new and name in probed)}
    probed = {name: took for name, took in probed.items() if name not in before}
    epochs_s = {**probed, **before}
    if not epochs_s:
        return None
    taken = [time for times in told.values() for time in times]
    begin_s = statistics.mean(at.begin_s for at in taken) if taken else 0.0
    step_s = statistics.mean(at.step_s for at in taken) if taken else 0.0
    scale = math.sqrt(probe.import_s / IMPORT_S) if probe and probe.import_s else 1.0
    overheads = Overheads(
        start_s=START_S * scale if history.start_s is None else history.start_s,
        switch_s=SWITCH_S + begin_s if history.switch_s is None else history.switch_s,
        closing_s=CLOSING_S * scale if history.closing_s is None else history.closing_s,
        command_s=COMMAND_S * scale,
        range_test_s=RANGE_TEST_STEPS * step_s if history.range_test_s is None else history.range_test_s,
    )
    unsure = max(UNSURE, _spread(told)) if probed or history.start_s is None else UNSURE_BEFORE
    known = set(before) & set(configs)
    return EpochTimes(epochs_s, {**history.configs, **configs}, overheads, unsure, len(probed), len(known))


def _spread(told: Mapping[str, Sequence[EpochTime]]) -> float:
    """How far measurements of the same architecture are from their middle, as a share; 0 where most have only one."""
    away = []
    for times in told.values():
        seconds = [time.epoch_s for time in times]
        away += [(max(seconds) - min(seconds)) / 2 / statistics.median(seconds)] if len(times) > 1 else []
    return statistics.median(away) if 2 * len(away) > len(told) else 0.0
