"""Bounds for a search of the learning rate: a short training with rising rate, and where its loss falls (Smith 2017).

This is Smith's range test in the exponential form that Gugger and fastai use: initial weights, one batch for each rate, each rate
higher than the last by the same factor. As in fastai, the loss is smoothed by a running mean with decay 0.98, and the test stops
at four times its minimum. The evaluation of the curve differs. They pick one rate; a search needs bounds, and the
smoothed minimum is not informative: beyond the best rates the curve is flat, and the place of its minimum is random. So the
bounds are where the first tenth and where 95 % of the whole fall is reached, at least one decade apart, at most three.

Measured with a plain CNN (width 8), one of three blocks without batch norm (8) and one of three with dropout 0.3
(16), each with `sgd` and `adamw`, on digits and on 4,000 images of Fashion-MNIST, over seeds 0 to 2 and, for seed 0, ramps
of 100, 200 and 400 steps: 60 tests. The best constant rate of eleven (two a decade, 3.2e-5 to 3.2), by validation
accuracy after three epochs, lies inside the bounds in all of them. They are 2.1 decades wide on average; the best rate
lies 1.1 decades above `low` (never less than 0.11) and 1.0 below `high` (never less than 0.06). With `high` at 90 % of the
fall one of the 60 misses, with `low` at 20 % another. The best rates went from 0.0032 (plain CNN, `adamw`,
Fashion-MNIST; bounds 0.0002 and 0.14) to 0.1 (plain CNN, `sgd`, digits; bounds 0.001 and 0.54).

Limits, on digits: with batches of one or two images the fall is lost in noise, and the test reports that; where one batch is
the whole set, 200 steps memorise it, and `high` is too high (4.45 with `sgd`, 3.22 with `adamw`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from trainables.config.trial import TrialConfig
from trainables.errors import CaucusError
from trainables.hardware.device import check_device
from trainables.training.device_images import DeviceImages
from trainables.training.memory import first_line, free_memory, is_out_of_memory, more_parts
from trainables.training.training import Training

Curve = npt.NDArray[np.float64]

DECAY = 0.98
"""Decay of the running mean of losses, which covers some fifty steps."""

HOPELESS = 4
"""The test stops where the smoothed loss is this many times its minimum."""

BEGINS, ENDS = 0.1, 0.95
"""Shares of the whole fall of the smoothed loss at which the bounds lie."""

LEAST_FALL, CLEAR = 0.01, 3
"""A fall must be at least this share of the loss, and this many standard errors of the initial loss. Of 200 curves of pure
noise 1 % pass for a fall; with a factor of 2 it is 7 %, without this rule 26 %."""

NARROWEST, WIDEST = 10, 1000
"""Limits of the ratio of `high` to `low`."""


class RangeTestFailed(CaucusError, ArithmeticError):
    """No bounds can be read from the losses."""


@dataclass(frozen=True, eq=False)
class RangeTest:
    """The result of a range test, up to the step at which it stopped.

    rates      float64 (steps,), rising by the same factor
    losses     float64 (steps,), training loss of one batch at that rate, before its step; all finite
    smoothed   float64 (steps,), their running mean
    low, high  bounds for a search on a log scale, to three digits
    reason     explanation of the bounds, in a sentence
    """

    rates: Curve
    losses: Curve
    smoothed: Curve
    low: float
    high: float
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        curves = {name: getattr(self, name).tolist() for name in ("rates", "losses", "smoothed")}
        return {**curves, "low": self.low, "high": self.high, "reason": self.reason}

    @classmethod
    def from_json(cls, payload: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        curves = {name: np.array(payload[name], np.float64) for name in ("rates", "losses", "smoothed")}
        return cls(**curves, low=payload["low"], high=payload["high"], reason=payload["reason"])


def range_test(
    config: TrialConfig,
    images: DeviceImages,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 200,
    initial: bytes | None = None,
) -> RangeTest:
    """Train the net of `config` from new weights, or `initial` ones, for `steps` batches, at rates from `lowest` to `highest`.

    Rate, schedule, average and parent of `config` are ignored, everything else matters, including its seed; where an epoch has
    fewer batches, further epochs follow; a batch that does not fit into memory is computed in parts. Raises `RangeTestFailed`
    where the loss never falls noticeably, `OutOfMemory` where even small parts do not fit, and `ValueError` for rates that do
    not rise.
    """
    if not (0 < lowest < highest < math.inf and steps >= 2):
        raise ValueError(
            f"{steps} rates from {lowest:g} to {highest:g}: they must be two or more, and rise from above 0"
        )
    rates = np.geomspace(lowest, highest, steps)
    parts = 1
    while True:
        training = Training(config, images, parts, initial)
        try:
            return read_bounds(rates, *_climb(training, rates))
        except Exception as error:
            if not is_out_of_memory(error):
                check_device(images.pixels.device, error)
                raise
            message, batch_size = first_line(error), training.batch_size
        del training
        free_memory()
        parts = more_parts(parts, batch_size, message)


def _climb(training: Training, rates: Curve) -> tuple[Curve, str]:
    """The losses at `rates`, or at the first of them, and the reason for stopping there."""
    losses: list[float] = []
    smoothed: list[float] = []
    stopped = ""
    for rate, batch in zip(rates.tolist(), _go_round(training), strict=False):
        loss = float(training.train_batch(batch, rate)[0])
        if not math.isfinite(loss):
            stopped = f"; stopped at {rate:.3g}, where it is {loss}"
            break
        losses.append(loss)
        smoothed.append(running_mean(np.array(losses)))
        if smoothed[-1] > HOPELESS * min(smoothed):
            stopped = f"; stopped at {rate:.3g}, where it is above {HOPELESS} times that"
            break
    return np.array(losses, np.float64), stopped


def read_bounds(rates: Curve, losses: Curve, stopped: str = "") -> RangeTest:
    """The bounds from the losses at the first `rates`; there are fewer losses than rates where the test was `stopped`.

    Raises `RangeTestFailed` as `range_test`.
    """
    first = losses[: max(2, len(rates) // 10)]  # a tenth of the steps: 0.7 decades of rates too low to move anything
    if len(first) < 2:
        raise RangeTestFailed(f"the training loss is no finite number at a rate of {rates[len(first)]:.3g} already")
    smoothed = np.array([running_mean(losses[:count]) for count in range(1, len(losses) + 1)])
    start, lowest_at = float(first.mean()), int(smoothed.argmin())
    fall = start - float(smoothed[lowest_at])
    noise = float(first.std(ddof=1)) / math.sqrt(len(first))
    if lowest_at < len(first) or fall < LEAST_FALL * start or fall < CLEAR * noise:
        raise RangeTestFailed(
            f"the training loss is {start:.4g} at first and {start - fall:.4g} at best, "
            f"at rates from {rates[0]:.3g} to {rates[len(losses) - 1]:.3g}: it does not fall noticeably{stopped}"
        )
    # The last rate at which the fall had not begun, not the first one at which it had: noise dips below, too.
    before = np.flatnonzero(smoothed[:lowest_at] > start - BEGINS * fall)
    begins = float(rates[before[-1] + 1 if len(before) else 0])
    high = float(rates[np.argmax(smoothed <= start - ENDS * fall)])
    low = min(max(begins, high / WIDEST), high / NARROWEST)
    reason = (
        f"the smoothed training loss is {start:.4g} at first, falls from a rate of {begins:.3g} on "
        f"and is near its lowest, {start - fall:.4g}, at {high:.3g}{stopped}"
    )
    curve = (rates[: len(losses)], losses, smoothed)
    return RangeTest(*curve, low=float(f"{low:.3g}"), high=float(f"{high:.3g}"), reason=reason)


def running_mean(losses: Curve) -> float:
    """The mean of `losses`, each of which weighs 0.98 times the one after it.

    It is the exponential running mean without the bias of its start at zero (the correction of Kingma and Ba 2015).

    >>> round(running_mean(np.array([1.0, 2.0])), 4)  # (0.98 + 2) / 1.98
    1.5051
    """
    return float(np.average(losses, weights=DECAY ** np.arange(len(losses))[::-1]))


def _go_round(training: Training) -> Iterator[Tensor]:
    """Batches without end, epoch after epoch."""
    epoch = 0
    while True:
        epoch += 1
        yield from training.open_epoch(epoch)
