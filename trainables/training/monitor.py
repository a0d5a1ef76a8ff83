"""Monitors a net during training, at little cost: size of steps, gradient norms, dead units, training loss.

Nothing here uses random numbers, and nothing changes a bit of the training. Measurements of a step stay on the device until the
end of the epoch, so that no step synchronises with it.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.results.layer_statistics import EpochStatistics, LayerStatistics

MONITOR_EVERY = 64
"""One step in this many is monitored, at most four in an epoch: monitoring takes half of a step's time."""

SAMPLE_SHARE, SMALLEST_SAMPLE, LARGEST_SAMPLE = 0.04, 32, 2000
"""Sample of the training images that is predicted in evaluation mode after an epoch: a prediction costs a third of a training step,
so 4 % of the images cost 1.3 % of the epoch. The sample is another one in each epoch: 25 epochs cover all images."""

BINS, SPREAD = 32, 4.0
"""Number of bins of a histogram, from `SPREAD` standard deviations below the mean to as many above; the outer bins contain the
values beyond."""

MOST_VALUES = 4_096
"""Number of evenly spaced values of a layer for its histogram, mean and deviation: the standard error of the mean is a 64th of the
deviation."""

WINDOW = 8
"""Steps whose mean loss is one value in the computation of `surge`."""

DEAD_BELOW: dict[type[nn.Module], float | None] = {
    nn.ReLU: 0.0,
    nn.ReLU6: 0.0,
    nn.GELU: -4.0,
    nn.SiLU: -10.0,
    nn.Hardswish: -3.0,
    nn.LeakyReLU: None,
    nn.ELU: None,
}
"""The monitored non-linearities, each with a threshold: a unit whose input never exceeds it has no output and no gradient.
GELU and SiLU are flat, within 5e-4, below their thresholds; units of the last two cannot die."""


class TrainingMonitor:
    """Collects statistics of `net`, epoch by epoch."""

    def __init__(self, net: nn.Module) -> None:
        self._net = net
        self._kinds = {name: type(module).__name__ for name, module in net.named_modules()}
        self._weights = {name: value for name, value in net.named_parameters() if value.ndim > 1}
        self._begin()

    def _begin(self) -> None:
        self._before: list[Tensor] = []
        self._grad_norms: list[Tensor] = []
        self._ratios: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._seen: list[LayerStatistics] = []

    def should_monitor(self, step: int, steps: int) -> bool:
        """Whether `step` of `steps` is monitored: the last one, and up to three earlier ones, evenly spaced."""
        count = min(4, 1 + steps // MONITOR_EVERY)
        return (steps - 1 - step) % (steps // count) == 0 and (steps - 1 - step) < count * (steps // count)

    def take_loss(self, loss: Tensor) -> None:
        """Record the loss of a step, which stays on the device."""
        self._losses.append(loss)

    @torch.no_grad()
    def before_step(self) -> None:
        """Record gradients and weights, between the backward pass and the optimizer's step."""
        gradients = [value.grad for value in self._net.parameters() if value.grad is not None]
        if gradients:
            self._grad_norms.append(torch.stack(torch._foreach_norm(gradients)).norm())
        self._before = [value.detach().clone() for value in self._weights.values()]

    @torch.no_grad()
    def after_step(self) -> None:
        """Record the updates of the weights after the optimizer's step."""
        steps = torch._foreach_sub(list[Tensor](self._weights.values()), self._before)
        ratios = torch._foreach_div(torch._foreach_norm(steps), torch._foreach_norm(self._before))
        self._ratios.append(torch.stack(list(ratios)))
        self._before = []

    def sample(self, rows: Tensor, epoch: int) -> Tensor:
        """The sample of `rows`, positions of training images, for `epoch`: evenly spaced, and another one in each epoch."""
        size = min(max(int(SAMPLE_SHARE * len(rows)), SMALLEST_SAMPLE), LARGEST_SAMPLE, len(rows))
        parts = len(rows) // size
        return rows[epoch % parts :: parts][:size]

    @contextlib.contextmanager
    def recording_activations(self) -> Iterator[None]:
        """Within the `with` block, record the inputs of each non-linearity in all forward passes."""
        self._seen = []
        passes: Counter[str] = Counter()
        hooks = [
            module.register_forward_pre_hook(partial(self._record_inputs, name, passes))
            for name, module in self._net.named_modules()
            if type(module) in DEAD_BELOW
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _record_inputs(self, name: str, passes: Counter[str], module: nn.Module, entering: tuple[Tensor, ...]) -> None:
        """A forward pre-hook, which runs before an in-place ReLU overwrites its input."""
        passes[name] += 1
        values = entering[0].detach()
        dead_below = DEAD_BELOW[type(module)]
        dead_share = 0.0
        if dead_below is not None:
            highest = highest_of(values)
            dead_share = float((highest <= dead_below).double().mean())
        few = (values.permute(0, 2, 3, 1) if values.ndim == 4 else values).reshape(-1)
        # An odd stride, or it would select the same few of 32 channels again and again.
        few = few[:: len(few) // MOST_VALUES | 1].float()
        centre = few.mean()
        rest = few - centre
        # The same as `std_mean`, which takes 75 µs for 16,000 values on a CPU core, ten times as long.
        mean, std = float(centre), float((torch.dot(rest, rest) / len(rest)).sqrt())
        reach = SPREAD * std or 1.0
        low, high = mean - reach, mean + reach
        histogram: tuple[int, ...] = ()
        if math.isfinite(low) and math.isfinite(high):
            counts = torch.histc(few.clamp(low, high), BINS, low, high)
            histogram = tuple(int(count) for count in counts.tolist())
        self._seen.append(
            LayerStatistics(
                name if passes[name] == 1 else f"{name}#{passes[name]}",
                type(module).__name__,
                _rounded(mean),
                _rounded(std),
                _rounded(dead_share),
                _rounded(low),
                _rounded(high),
                histogram,
            )
        )

    def close(self, logits: Tensor, labels: Tensor, rate: float) -> EpochStatistics:
        """The statistics of the epoch; then the next epoch begins. `logits` float32 (images, classes) are those of the sample."""
        loss = float(functional.cross_entropy(logits, labels))
        accuracy = float((logits.argmax(1) == labels).double().mean())
        ratios = torch.stack(self._ratios).median(0).values.tolist() if self._ratios else []
        finite = sorted(ratio for ratio in ratios if math.isfinite(ratio))
        updated = [
            LayerStatistics(name, self._kinds[name.rpartition(".")[0]], update_ratio=_rounded(ratio))
            for name, ratio in zip(self._weights, ratios, strict=False)
        ]
        grad_norm = float(torch.stack(self._grad_norms).median()) if self._grad_norms else math.nan
        dead = [seen.dead_share for seen in self._seen if seen.dead_share is not None]
        statistics = EpochStatistics(
            fit_loss=_rounded(loss),
            fit_accuracy=_rounded(accuracy),
            rate=_rounded(rate),
            grad_norm=_rounded(grad_norm),
            update_ratio=_rounded(finite[len(finite) // 2]) if finite else None,
            dead_share=max(dead, default=0.0),
            surge=_rounded(surge_of(torch.stack(self._losses))) if self._losses else None,
            layers=(*self._seen, *updated),
        )
        self._begin()
        return statistics


def highest_of(values: Tensor) -> Tensor:
    """The highest value of each unit, (units,), in `values` (images, units, …).

    Images are folded in halves first: this uses all SIMD lanes of a core, whereas `amax` over the images of channels_last does
    not, and takes three times as long.
    """
    while len(values) > 1:
        half = len(values) // 2
        folded = torch.maximum(values[:half], values[half : 2 * half])
        if len(values) % 2:
            folded[0] = torch.maximum(folded[0], values[-1])
        values = folded
    return values.reshape(values.shape[1], -1).amax(1)


def surge_of(losses: Tensor) -> float:
    """Highest mean of eight successive losses over the median of such means; `losses` float (steps,). A remainder of fewer than
    eight steps is ignored."""
    windows = len(losses) // WINDOW
    if windows < 2:
        return 1.0
    means = losses[: windows * WINDOW].double().reshape(windows, WINDOW).mean(1)
    return float(means.max() / means.median())


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
