"""The votes of a team as torch modules, from the parameters that a voter tells: what `ensembles.voting` does in numpy.

Each takes float32 (members, images, classes) and gives float64 (images, classes), as that does to 1e-6. A test compares them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_PROBABILITY = 1e-12
"""Below it a probability counts as this, as in `ensembles.metrics.scores`."""

TIE_SHARE = 1e-9
"""Weight of the mean probability beside counts, as in `ensembles.voting.counting`."""

UNSURE = 1e-9
"""Certainty below this is rounding, as in `ensembles.voting.means`."""


def build_vote(parameters: Mapping[str, Any]) -> nn.Module:
    """The vote that `Voter.to_dict` tells. Raises `ValueError` for a method that it does not know."""
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

    def forward(self, answers: Tensor) -> Tensor:
        """See the module."""
        return (answers.double() * self.weights[:, None, None]).sum(0)


class PooledLogs(nn.Module):
    """Weighted sum of the members' log-probabilities, with a bias for each class, through a softmax."""

    weights: Tensor
    bias: Tensor

    def __init__(self, weights: Sequence[float], bias: Sequence[float] = (0.0,)) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float64), persistent=False)
        self.register_buffer("bias", torch.tensor(bias, dtype=torch.float64), persistent=False)

    def forward(self, answers: Tensor) -> Tensor:
        """See the module."""
        return ((floored_log(answers) * self.weights[:, None, None]).sum(0) + self.bias).softmax(1)


class ConfidentMean(nn.Module):
    """The mean, weighted on each image by how far below that of guessing each member's entropy is."""

    def forward(self, answers: Tensor) -> Tensor:
        """See the module."""
        probabilities = answers.double()
        if probabilities.shape[2] == 1:
            return probabilities.mean(0)
        shares = probabilities / probabilities.sum(2, keepdim=True)
        sure = 1 + (shares * floored_log(shares)).sum(2) / math.log(probabilities.shape[2])
        sure = torch.where(sure > UNSURE, sure.clamp(max=1), torch.zeros_like(sure))[:, :, None]
        weight = sure.sum(0)
        # Where nobody is sure of anything, all count the same.
        return torch.where(weight > 0, (sure * probabilities).sum(0) / weight.clamp(min=UNSURE), probabilities.mean(0))


class MeanRank(nn.Module):
    """Shares of the points: one of each member for every class that a class beats, half a point for its equals."""

    def forward(self, answers: Tensor) -> Tensor:
        """See the module."""
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
    """Shares of votes: each member has one, for its likeliest class."""

    def forward(self, answers: Tensor) -> Tensor:
        """See the module."""
        votes = functional.one_hot(answers.argmax(2), answers.shape[2]).double().sum(0)
        return break_ties(votes / len(answers), answers, TIE_SHARE)


class Majority(nn.Module):
    """Shares of votes where a class has more than half of them, else the mean of the probabilities."""

    def forward(self, answers: Tensor) -> Tensor:
        """See the module."""
        votes = functional.one_hot(answers.argmax(2), answers.shape[2]).sum(0)
        won = 2 * votes.amax(1, keepdim=True) > len(answers)
        return torch.where(won, votes.double() / len(answers), answers.double().mean(0))


def break_ties(shares: Tensor, answers: Tensor, tie_share: float) -> Tensor:
    """`shares` (images, classes) with a trace of the members' mean, so that the likeliest class is the tie rule's."""
    return (1 - tie_share) * shares + tie_share * answers.double().mean(0)


def floored_log(probabilities: Tensor) -> Tensor:
    """Natural logarithms, float64."""
    return probabilities.double().clamp(min=LEAST_PROBABILITY).log()
