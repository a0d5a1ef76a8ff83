"""The votes of a team as torch modules, from the parameters of a voter: `ensembles.voting` in torch.

Input is float32 (members, images, classes), output float64 (images, classes). A test checks that results agree with
`ensembles.voting` to 1e-6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

LEAST_PROBABILITY = 1e-12
"""Lower bound of probabilities in logarithms, as in `ensembles.metrics.scores`."""

TIE_SHARE = 1e-9
"""Weight of the mean probability that breaks ties between counts, as in `ensembles.voting.counting`."""

UNSURE = 1e-9
"""Certainty below this is rounding, as in `ensembles.voting.means`."""


def build_vote(parameters: Mapping[str, Any]) -> nn.Module:
    """The vote with the parameters of `Voter.to_dict`. Raises `ValueError` for an unknown method."""
    match parameters["method"]:
        case "soft":
            return WeightedMean([1 / len(parameters["members"])] * len(parameters["members"]))
        case "weighted":
            return WeightedMean(parameters["weights"])
        case "geometric":
            members = len(parameters["members"])
            return PooledLogs([1 / members] * members)
        case "confidence":
            return ConfidentMean()
        case "rank":
            return MeanRank()
        case "hard":
            return Plurality()
        case "majority":
            return Majority()
        case "stacked":
            return PooledLogs(parameters["stacking"]["weights"], parameters["stacking"]["bias"])
    raise ValueError(f"a vote by {parameters['method']!r} is not known")


class WeightedMean(nn.Module):
    """The mean of the members' probabilities by their weights."""

    weights: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float64), persistent=False)

    @override
    def forward(self, answers: Tensor) -> Tensor:
        return (answers.double() * self.weights[:, None, None]).sum(0)


class PooledLogs(nn.Module):
    """Weighted sum of the members' log-probabilities, with a bias for each class, through a softmax."""

    weights: Tensor
    bias: Tensor

    def __init__(self, weights: Sequence[float], bias: Sequence[float] = (0.0,)) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float64), persistent=False)
        self.register_buffer("bias", torch.tensor(bias, dtype=torch.float64), persistent=False)

    @override
    def forward(self, answers: Tensor) -> Tensor:
        return ((floored_log(answers) * self.weights[:, None, None]).sum(0) + self.bias).softmax(1)


class ConfidentMean(nn.Module):
    """The mean of the members' probabilities, weighted for each image by one minus a member's normalised entropy."""

    @override
    def forward(self, answers: Tensor) -> Tensor:
        probabilities = answers.double()
        if probabilities.shape[2] == 1:
            return probabilities.mean(0)
        shares = probabilities / probabilities.sum(2, keepdim=True)
        sure = 1 + (shares * floored_log(shares)).sum(2) / math.log(probabilities.shape[2])
        sure = torch.where(sure > UNSURE, sure.clamp(max=1), torch.zeros_like(sure))[:, :, None]
        weight = sure.sum(0)
        # Where no member is certain, all have the same weight.
        return torch.where(weight > 0, (sure * probabilities).sum(0) / weight.clamp(min=UNSURE), probabilities.mean(0))


class MeanRank(nn.Module):
    """Shares of points: a class gets from each member one point for every less probable class, half a point for every equal one."""

    @override
    def forward(self, answers: Tensor) -> Tensor:
        members, _, classes = answers.shape
        if classes == 1:
            return torch.ones_like(answers[0], dtype=torch.float64)
        answers = answers.contiguous()
        rising = answers.sort(2).values.contiguous()
        beaten = torch.searchsorted(rising, answers)
        not_above = torch.searchsorted(rising, answers, right=True)
        points = (beaten + not_above - 1).double() / 2
        total = members * classes * (classes - 1) / 2
        return break_ties(points.sum(0) / total, answers, min(TIE_SHARE, 0.1 / total))


class Plurality(nn.Module):
    """Shares of votes: each member has one vote, for its most probable class."""

    @override
    def forward(self, answers: Tensor) -> Tensor:
        votes = functional.one_hot(answers.argmax(2), answers.shape[2]).double().sum(0)
        return break_ties(votes / len(answers), answers, TIE_SHARE)


class Majority(nn.Module):
    """Shares of votes where a class has more than half of them, else the mean of the probabilities."""

    @override
    def forward(self, answers: Tensor) -> Tensor:
        votes = functional.one_hot(answers.argmax(2), answers.shape[2]).sum(0)
        won = 2 * votes.amax(1, keepdim=True) > len(answers)
        return torch.where(won, votes.double() / len(answers), answers.double().mean(0))


def break_ties(shares: Tensor, answers: Tensor, tie_share: float) -> Tensor:
    """`shares` (images, classes) with a small share of the members' mean, so that the most probable class follows the tie rule."""
    return (1 - tie_share) * shares + tie_share * answers.double().mean(0)


def floored_log(probabilities: Tensor) -> Tensor:
    """Natural logarithms of `probabilities`, bounded below, float64."""
    return probabilities.double().clamp(min=LEAST_PROBABILITY).log()
