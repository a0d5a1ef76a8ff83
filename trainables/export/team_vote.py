"""A team's vote as a torch module."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from typing_extensions import override


class TeamVote(nn.Module):
    """A vote that is written in the array API: the function that scored in numpy is what a program computes.

    Input is float32 (members, images, classes) in the team's order, output float64 (images, classes).
    """

    def __init__(self, combine: Callable[[Sequence[Tensor]], Tensor]) -> None:
        super().__init__()
        self._combine = combine

    @override
    def forward(self, answers: Tensor) -> Tensor:
        return self._combine(list(answers.unbind(0)))
