"""The calibration of a team's vote as torch modules, from the parameters of a calibrator: `ensembles.calibration` in torch.

Input and output are float64 (images, classes). A test checks that results agree with `ensembles.calibration` to 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

LEAST_PROBABILITY = 1e-12
"""Lower bound of probabilities in logarithms, as in `ensembles.metrics.scores`."""

OWN_ORDER = 1e-9
"""Share of the vote's probability that an isotonic calibration adds, as in `ensembles.calibration.isotonic`."""


def build_calibration(parameters: Mapping[str, Any], apply: Callable[[Tensor], Tensor] | None = None) -> nn.Module:
    """The calibration with the parameters of `Calibrator.to_dict`; `apply` is that of a plug-in, which may be written for torch too.
    Raises `ValueError` for an unknown kind."""
    if apply is not None:
        return CustomCalibration(apply)
    match parameters["kind"]:
        case "none":
            return nn.Identity()
        case "temperature":
            return ScaledLogs([1 / parameters["temperature"]], [0.0])
        case "vector":
            return ScaledLogs(parameters["scale"], parameters["bias"])
        case "isotonic":
            return Curves(parameters["curves"])
    raise ValueError(f"a calibration by {parameters['kind']!r} is not known")


class CustomCalibration(nn.Module):
    """The calibration of a plug-in, which a program can have where it is written in the array API or in torch."""

    def __init__(self, apply: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._apply_to = apply

    @override
    def forward(self, probabilities: Tensor) -> Tensor:
        return self._apply_to(probabilities).double()


class ScaledLogs(nn.Module):
    """Log-probabilities times `scale` plus `bias`, for each class or one for all, through a softmax."""

    scale: Tensor
    bias: Tensor

    def __init__(self, scale: Sequence[float], bias: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64), persistent=False)
        self.register_buffer("bias", torch.tensor(bias, dtype=torch.float64), persistent=False)

    @override
    def forward(self, probabilities: Tensor) -> Tensor:
        return (floored_log(probabilities) * self.scale + self.bias).softmax(1)


class Curves(nn.Module):
    """A piecewise linear curve for each class, constant beyond its knots; then rows are scaled to a sum of one.

    Tables are (classes, knots): shorter curves repeat their last knot, a class without a curve has the line from 0 to 1.
    """

    given: Tensor
    shares: Tensor

    def __init__(self, curves: Sequence[Sequence[Sequence[float]] | None]) -> None:
        super().__init__()
        known = [curve if curve is not None else [[0.0, 1.0], [0.0, 1.0]] for curve in curves]
        longest = max(2, *(len(given) for given, _ in known))
        tables = [
            [[*knots, *[knots[-1]] * (longest - len(knots))] for knots in side] for side in zip(*known, strict=True)
        ]
        for name, table in zip(("given", "shares"), tables, strict=True):
            self.register_buffer(name, torch.tensor(table, dtype=torch.float64), persistent=False)

    @override
    def forward(self, probabilities: Tensor) -> Tensor:
        by_class = probabilities.t().contiguous()
        right = torch.searchsorted(self.given, by_class, right=True).clamp(1, self.given.shape[1] - 1)
        low, high = self.given.gather(1, right - 1), self.given.gather(1, right)
        before, after = self.shares.gather(1, right - 1), self.shares.gather(1, right)
        width = high - low
        way = torch.where(
            width > 0, (by_class - low) / width.clamp(min=torch.finfo(torch.float64).tiny), torch.ones_like(by_class)
        )
        found = (before + way.clamp(0, 1) * (after - before)).t() + OWN_ORDER * probabilities
        return found / found.sum(1, keepdim=True)


def floored_log(probabilities: Tensor) -> Tensor:
    """Natural logarithms of `probabilities`, bounded below, float64."""
    return probabilities.double().clamp(min=LEAST_PROBABILITY).log()
