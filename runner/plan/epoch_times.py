"""How long a run takes: the seconds of an epoch of each architecture, and the overheads beside the epochs.

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
"""Seconds between the end of one epoch and the begin of the next: the result goes to the driver, into the journal and back."""

SWITCH_S = 0.005
"""Seconds from the end of a trial until its worker begins another one."""

READ_S = 0.02
"""Seconds to read an epoch that is in the store, instead of training it."""

START_S = 7.4
"""Seconds from the first request to the store to the first step: Ray 3.0 s, then Tune, the workers and their import of torch."""

CLOSING_S = 1.9
"""Seconds from the last epoch to the report: stopping Ray, selection, voting."""

COMMAND_S = 1.6
"""Seconds from the command to the first request to the store, and for the end of the process."""

IMPORT_S = 1.2
"""Seconds to import torch in as many processes as slots, when `START_S`, `CLOSING_S` and `COMMAND_S` were measured.

Beside other work, torch took 6.6 to 9.3 s and the start 17 to 25 s: those grow with the square root of this.
"""

UNSURE, UNSURE_BEFORE = 0.15, 0.08
"""Relative error of a forecast from a probe and the figures above (at least), and of one from earlier runs."""

RANGE_TEST_STEPS = 200
"""Steps of a learning-rate range test."""

SMOOTHING = 0.01
"""Ridge of the least squares for architectures that were not measured."""


@dataclass(frozen=True)
class Overheads:
    """The overheads of a run beside its epochs, in seconds."""

    start_s: float = START_S
    """From the first request to the store to the first step."""
    switch_s: float = SWITCH_S
    """From the end of a trial to the first step of the next, and the extra time of its first epoch."""
    closing_s: float = CLOSING_S
    """From the last epoch to the report."""
    command_s: float = COMMAND_S
    """Before and after everything else."""
    range_test_s: float = 0.0
    """Duration of one range test."""


@dataclass(frozen=True)
class EpochTimes:
    """The expected times of a run: seconds from one epoch to the next, and a representative trial, by architecture."""

    epochs_s: Mapping[str, float]
    configs: Mapping[str, TrialConfig]
    overheads: Overheads
    unsure: float
    """Relative error of all of these."""
    probed: int = 0
    """How many architectures the probe measured."""
    measured_before: int = 0
    """How many architectures earlier runs measured."""

    def epoch_s(self, config: TrialConfig) -> float:
        """Seconds from one epoch of this trial to the next; estimated if its architecture was not measured."""
        found = self.epochs_s.get(name_architecture(config))
        return self.estimate([config])[0] if found is None else found

    def estimate(self, configs: Sequence[TrialConfig]) -> list[float]:
        """Least squares over the measured architectures, seconds and whole numbers as logarithms."""
        names = list(self.epochs_s)
        points = np.array(list(features([*(self.configs[name] for name in names), *configs])))
        known, unmeasured = points[: len(names)], points[len(names) :]
        seconds = np.log([self.epochs_s[name] for name in names])
        middle, level = known.mean(0), seconds.mean()
        away = known - middle
        slope = np.linalg.solve(away.T @ away + SMOOTHING * np.eye(known.shape[1]), away.T @ (seconds - level))
        return [float(value) for value in np.exp((unmeasured - middle) @ slope + level)]


def find_epoch_times(
    history: History,
    probe: Probe | None,
    configs: Mapping[str, TrialConfig],
    is_new: bool = False,
    commit_s: float = 0.0,
) -> EpochTimes | None:
    """The epoch times of a run with the architectures `configs`; None if nothing was measured.

    Measurements of earlier runs take precedence over the probe, unless `is_new`. A probe writes to a local folder; on a
    store that takes `commit_s` for a checkpoint, an epoch takes at least as long.
    """
    times = probe.times if probe else {}
    probed = {
        name: max(commit_s, statistics.median(time.epoch_s for time in times)) + GAP_S for name, times in times.items()
    }
    before = {name: took for name, took in history.epochs_s.items() if not (is_new and name in probed)}
    probed = {name: took for name, took in probed.items() if name not in before}
    epochs_s = {**probed, **before}
    if not epochs_s:
        return None
    taken = [time for times in times.values() for time in times]
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
    unsure = max(UNSURE, _spread(times)) if probed or history.start_s is None else UNSURE_BEFORE
    known = set(before) & set(configs)
    return EpochTimes(epochs_s, {**history.configs, **configs}, overheads, unsure, len(probed), len(known))


def _spread(measured: Mapping[str, Sequence[EpochTime]]) -> float:
    """Half the range of the measurements of an architecture relative to their median, in the median; 0 if most have only one."""
    away = []
    for times in measured.values():
        seconds = [time.epoch_s for time in times]
        away += [(max(seconds) - min(seconds)) / 2 / statistics.median(seconds)] if len(times) > 1 else []
    return statistics.median(away) if 2 * len(away) > len(measured) else 0.0
