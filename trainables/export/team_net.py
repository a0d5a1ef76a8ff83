"""A team as one torch module: from pixels to each member's probabilities, and on to the calibrated vote."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from trainables.config.preparation import Equalise
from trainables.config.trial import TrialConfig
from trainables.data.equalise import equalise_pixels
from trainables.data.image_shape import ImageShape
from trainables.models.load import load_net
from trainables.models.normalisation import Normalisation


@dataclass(frozen=True, eq=False)
class MemberWeights:
    """A stored member.

    weights      a safetensors file
    precision    float32 or bfloat16: the precision of its stored predictions
    normalised   its own mean and standard deviation; None where they are the data's
    """

    config: TrialConfig
    weights: bytes
    precision: str
    normalised: Normalisation | None = None


class Preparation(nn.Module):
    """From images as in `TeamNet` to what a net takes, as in training: equalised, and normalised."""

    mean: Tensor
    std: Tensor

    def __init__(self, equalise: Equalise, normalised: Normalisation) -> None:
        super().__init__()
        self.equalise = equalise
        self.register_buffer("mean", torch.tensor(normalised.mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(normalised.std, dtype=torch.float32), persistent=False)

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Float32 (images, channels, height, width) in channels_last."""
        levels = images.to(torch.float32) if self.equalise == "none" else equalise_pixels(images, self.equalise)
        pixels = levels.div(255).permute(0, 3, 1, 2)
        return pixels.sub(self.mean[:, None, None]).div(self.std[:, None, None])


class TeamNet(nn.Module):
    """The members, their vote and its calibration.

    Images are (images, height, width, channels) with values from 0 to 255, uint8 or of any float type; they are prepared
    for each member as in its training. `vote` takes float32 (members, images, classes) and gives float64 (images, classes), which
    `calibrate` takes.
    """

    def __init__(
        self,
        members: Sequence[MemberWeights],
        shape: ImageShape,
        mean: Sequence[float],
        std: Sequence[float],
        vote: nn.Module | None = None,
        calibrate: nn.Module | None = None,
    ) -> None:
        """`mean` and `std` are those of the training images, for members that have none of their own."""
        super().__init__()
        nets = [load_net(one.config, shape, one.weights).eval().requires_grad_(False) for one in members]
        # channels_last as in training: faster on a CPU core, and the same arithmetic
        self.nets = nn.ModuleList([net.to(memory_format=torch.channels_last) for net in nets])
        self.shape = shape
        self.precisions = tuple(one.precision for one in members)
        self.vote = vote
        self.calibrate = calibrate
        common = Normalisation(tuple(mean), tuple(std))
        wanted = [(one.config.data.equalise, one.normalised or common) for one in members]
        distinct = list(dict.fromkeys(wanted))
        self.preparations = nn.ModuleList([Preparation(*one) for one in distinct])
        self.preparation_of = tuple(distinct.index(one) for one in wanted)

    def prepare(self, images: Tensor, position: int = 0) -> Tensor:
        """What the member at `position` takes: float32 (images, channels, height, width) in channels_last, as in its training."""
        prepared: Tensor = self.preparations[self.preparation_of[position]](images)
        return prepared

    def ask(self, position: int, pixels: Tensor) -> Tensor:
        """A member's probabilities float32 (images, classes) for images prepared for it, equal to its stored predictions."""
        reduced = self.precisions[position] == "bfloat16"
        with torch.autocast(pixels.device.type, torch.bfloat16) if reduced else contextlib.nullcontext():
            logits = self.nets[position](pixels)
        answers: Tensor = logits.float().softmax(1)
        return answers

    def forward(self, images: Tensor) -> Tensor:
        """Calibrated probabilities of the team, float64 (images, classes): float32 would lose the tie rule of a hard vote."""
        if self.vote is None or self.calibrate is None:
            raise ValueError("this team was made without a vote: ask its members")
        prepared = [prepare(images) for prepare in self.preparations]
        answers = torch.stack([self.ask(at, prepared[number]) for at, number in enumerate(self.preparation_of)])
        calibrated: Tensor = self.calibrate(self.vote(answers))
        return calibrated
