"""A team as one torch module: from pixels to each member's probabilities, and on to the calibrated vote."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.config.trial import TrialConfig
from trainables.data.image_shape import ImageShape
from trainables.models.load import load_net


@dataclass(frozen=True, eq=False)
class MemberWeights:
    """A stored member.

    weights      a safetensors file
    precision    float32 or bfloat16: the precision of its stored predictions
    """

    config: TrialConfig
    weights: bytes
    precision: str


class TeamNet(nn.Module):
    """The members, their vote and its calibration.

    Images are (images, height, width, channels) with values from 0 to 255, uint8 or of any float type; they are prepared
    as in training. `vote` takes float32 (members, images, classes) and gives float64 (images, classes), which
    `calibrate` takes.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        members: Sequence[MemberWeights],
        shape: ImageShape,
        mean: Sequence[float],
        std: Sequence[float],
        vote: nn.Module | None = None,
        calibrate: nn.Module | None = None,
    ) -> None:
        super().__init__()
        nets = [load_net(one.config, shape, one.weights).eval().requires_grad_(False) for one in members]
        # channels_last as in training: faster on a CPU core, and the same arithmetic
        self.nets = nn.ModuleList([net.to(memory_format=torch.channels_last) for net in nets])
        self.shape = shape
        self.precisions = tuple(one.precision for one in members)
        self.vote = vote
        self.calibrate = calibrate
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)

    def prepare(self, images: Tensor) -> Tensor:
        """Normalised float32 (images, channels, height, width) in channels_last, as in training."""
        pixels = images.to(torch.float32).div(255).permute(0, 3, 1, 2)
        return pixels.sub(self.mean[:, None, None]).div(self.std[:, None, None])

    def ask(self, position: int, pixels: Tensor) -> Tensor:
        """A member's probabilities float32 (images, classes) for prepared images, equal to its stored predictions."""
        reduced = self.precisions[position] == "bfloat16"
        with torch.autocast(pixels.device.type, torch.bfloat16) if reduced else contextlib.nullcontext():
            logits = self.nets[position](pixels)
        answers: Tensor = logits.float().softmax(1)
        return answers

    def forward(self, images: Tensor) -> Tensor:
        """Calibrated probabilities of the team, float64 (images, classes): float32 would lose the tie rule of a hard vote."""
        if self.vote is None or self.calibrate is None:
            raise ValueError("this team was made without a vote: ask its members")
        pixels = self.prepare(images)
        answers = torch.stack([self.ask(position, pixels) for position in range(len(self.nets))])
        calibrated: Tensor = self.calibrate(self.vote(answers))
        return calibrated
