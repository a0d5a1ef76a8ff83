"""`caucus lr-range`: the learning-rate range test of each architecture of a sweep, on this machine, without a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ensembles.analysis.varied_keys import show_value
from runner.config.sweep import SweepSpec
from runner.search.base.stage_context import StageContext
from runner.space.distribution import Distribution, Value
from trainables.config.trial import TrialConfig
from trainables.datasets.load import load_images
from trainables.errors import SweepFileError

MOST = 24
"""The most architectures that are tested: more would take too long."""

BARS = "▁▂▃▄▅▆▇█"
CURVE_WIDTH = 40


@dataclass(frozen=True, eq=False)
class Tested:
    """The range test of one architecture."""

    key: str
    """The name of the architecture in a sweep's journal."""
    values: dict[str, Value]
    """The values that distinguish it from the others."""
    low: float
    high: float
    reason: str
    rates: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]
    """Smoothed losses, one per rate."""

    def to_dict(self) -> dict[str, Any]:
        """The test as a JSON object."""
        return {
            "key": self.key,
            "values": self.values,
            "low": self.low,
            "high": self.high,
            "reason": self.reason,
            "rates": [float(f"{rate:.6g}") for rate in self.rates],
            "losses": [float(f"{loss:.6g}") for loss in self.losses],
        }


def measure_ranges(spec: SweepSpec, steps: int) -> Iterator[Tested]:
    """The range test of each architecture in turn. Raises `SweepFileError` if there are more than `MOST`."""
    architectures = list(list_architectures(spec, "lr-range"))
    if len(architectures) > MOST:
        raise SweepFileError(
            f"the sweep has {len(architectures)} architectures, more than {MOST}: fix some keys, such as model.width=16"
        )
    from trainables.hardware.device import open_device
    from trainables.training.device_images import place_images
    from trainables.training.lr_range_test import range_test

    images = place_images(load_images(spec.data).arrays, open_device())
    for values, trial in architectures:
        found = range_test(trial, images, steps=steps)
        yield Tested(trial.trial_id, values, found.low, found.high, found.reason, found.rates, found.smoothed)


def list_architectures(spec: SweepSpec, data_id: str) -> Iterator[tuple[dict[str, Value], TrialConfig]]:
    """Each combination of the choices that move the range of good rates, with the trial that stands for it."""
    seen = set()
    stage, method = spec.search.parts[0]
    scope = StageContext(spec, data_id, stage, method, dict(getattr(method, "set", {})))
    keys = scope.architecture_keys
    for point in itertools.product(*(_values_of(scope.space[key]) for key in keys)):
        values = scope.active(dict(zip(keys, point, strict=True)))
        middle = {
            key: how.draw(0.5) for key, how in scope.space.items() if key not in keys and how.kind != "range_test"
        }
        trial = scope.architecture({**middle, **values})
        if trial.trial_id not in seen:
            seen.add(trial.trial_id)
            yield values, trial


def show_ranges(tested: Sequence[Tested]) -> Group:
    """The tests for a person: bounds, and the curve as a row of bars from the lowest rate to the highest."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    keys = list(dict.fromkeys(key for one in tested for key in one.values))
    for key in keys:
        table.add_column(key.rpartition(".")[2], justify="right", no_wrap=True)
    for heading in ("lowest rate", "highest rate"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("loss over the rate (log)", no_wrap=True)
    for one in tested:
        cells = [show_value(one.values.get(key)) for key in keys]
        table.add_row(*map(Text, cells), f"{one.low:.2g}", f"{one.high:.2g}", Text(draw_curve(one.rates, one.losses)))
    if not tested:
        return Group(table)
    low, high = min(one.low for one in tested), max(one.high for one in tested)
    hint = (
        f"for all of them: optimizer.lr={low:.2g}..{high:.2g}:log; for each its own: optimizer.lr: {{range_test: true}}"
    )
    return Group(table, Text(hint, style="dim"))


def draw_curve(rates: npt.NDArray[np.float64], losses: npt.NDArray[np.float64]) -> str:
    """Losses as a row of bars, one for each equal part of the logarithm of the rate.

    >>> draw_curve(np.array([0.1, 0.2, 0.4, 0.8]), np.array([2.0, 1.0, 0.0, 2.0]))[:1]
    '█'
    """
    if len(rates) < 2:
        return ""
    at = np.linspace(np.log(rates[0]), np.log(rates[-1]), CURVE_WIDTH)
    heights = np.interp(at, np.log(rates), np.minimum(losses, losses[0] * 1.5))
    spread = max(float(np.ptp(heights)), 1e-12)
    places = ((heights - heights.min()) / spread * (len(BARS) - 1)).round().astype(int)
    return "".join(BARS[place] for place in places)


def _values_of(how: Distribution) -> tuple[Value, ...]:
    return how.values if how.kind == "choice" else how.mesh()
