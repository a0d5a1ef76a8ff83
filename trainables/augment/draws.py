"""The random values of augmentation: one value of each operation for each image, drawn for many images at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from trainables.config.augment import AugmentConfig
from trainables.data.image_shape import ImageShape

POOL = 2048
"""Images whose values are drawn at once: the forty small operations that this takes cost 0.3 ms for any number of images."""

GREATEST: Mapping[str, float] = {
    "rotation": 30.0,
    "shear": 17.0,
    "shift": 0.3,
    "scale": 0.3,
    "exposure": 0.9,
    "contrast": 0.9,
    "noise": 0.1,
    "erasing": 1.0,
    "hue": 0.1,
    "saturation": 0.9,
}
"""The operations that `strength` draws from, each with its range at strength 1: RandAugment's ranges where it has the
operation (rotation, shear of 0.3, shift, and 0.9 for exposure, contrast and saturation)."""

COLOURED = ("hue", "saturation")
"""Operations that need three channels."""

AREA = (0.02, 0.4)
"""Range of the area of an erased rectangle, as a share of the image (Zhong et al. 2020)."""

ASPECT = (0.3, 1 / 0.3)
"""Range of height over width of an erased rectangle."""

Values = Mapping[str, Tensor]
"""Tensors (images, ...), by the name of the value."""


class Draws:
    """Values of images, drawn by `draw` for many images at a time and returned in that order."""

    def __init__(self, draw: Callable[[int], Values]) -> None:
        self._draw = draw
        self.begin()

    def begin(self) -> None:
        """Discard all drawn values."""
        self._values: Values = {}
        self._at = self._count = 0

    def take(self, count: int) -> Values:
        """The values of the next `count` images. If fewer are left, these are discarded."""
        if self._at + count > self._count:
            self._count = max(count, POOL)
            self._values, self._at = self._draw(self._count), 0
        begin, self._at = self._at, self._at + count
        return {name: value[begin : self._at] for name, value in self._values.items()}


def draw_values(config: AugmentConfig, shape: ImageShape, count: int, generator: torch.Generator) -> Values:
    """The values of each enabled operation for each of `count` images; disabled operations are left out.

    flip                 bool (images,)
    crop                 int64 (images, 2), pixels down and to the right
    rotation, shear      float32 (images,) and (images, 2), in degrees
    shift                float32 (images, 2), pixels down and to the right
    scale                float32 (images,), how many times as large
    hue                  float32 (images,), share of the colour circle
    saturation, exposure, contrast  float32 (images,), a factor
    noise                float32 (images,), a standard deviation
    erasing              int64 (images, 4): top, left, height, width; a height of 0 where nothing is erased
    """
    reach = _reach(config, shape, count, generator)
    device = generator.device
    drawn: dict[str, Tensor] = {}

    def uniform(*size: int) -> Tensor:
        return torch.rand(count, *size, generator=generator, device=device)

    def signed(*size: int) -> Tensor:
        return uniform(*size).mul_(2).sub_(1)

    if config.flip:
        drawn["flip"] = uniform() < config.flip
    if config.crop:
        drawn["crop"] = torch.randint(-config.crop, config.crop + 1, (count, 2), generator=generator, device=device)
    for name, reaches in reach.items():
        if name in ("rotation", "hue"):
            drawn[name] = signed() * reaches
        elif name == "shear":
            drawn[name] = signed(2) * reaches[:, None]
        elif name == "shift":
            down, right = (signed(2) * reaches[:, None]).unbind(1)
            drawn[name] = torch.stack([down * shape.height, right * shape.width], 1)
        elif name == "noise":
            drawn[name] = uniform() * reaches
        elif name == "erasing":
            drawn[name] = _draw_rectangles(uniform(5), reaches, shape)
        else:
            drawn[name] = 1 + signed() * reaches
    return drawn


def _reach(config: AugmentConfig, shape: ImageShape, count: int, generator: torch.Generator) -> dict[str, Tensor]:
    """The range of each enabled operation for each image, float32 (images,).

    With `strength`, the ranges of two operations, drawn for each image, are at least that share of their maximum. Numbers of the
    configuration are filled in on the device: a tensor made of them on the host would be a copy, which synchronises with a GPU.
    """
    device = generator.device
    names = [name for name in GREATEST if name not in COLOURED or shape.channels == 3]
    configured = {name: float(getattr(config, name)) for name in names}
    if not config.strength:
        return {name: torch.full((count,), value, device=device) for name, value in configured.items() if value}
    picked = torch.rand(count, len(names), generator=generator, device=device).topk(2, dim=1).indices
    strengths = torch.zeros(count, len(names), device=device).scatter_(1, picked, config.strength)
    shares = zip(names, strengths.unbind(1), strict=True)
    return {name: (share * GREATEST[name]).clamp_(min=configured[name]) for name, share in shares}


def _draw_rectangles(uniform: Tensor, probability: Tensor, shape: ImageShape) -> Tensor:
    """Rectangles int64 (images, 4): top, left, height and width, from five random numbers for each image.

    Area and aspect are drawn as by Zhong et al. (2020); the logarithm of the aspect is uniform, so that tall rectangles are as
    frequent as wide ones. Where a side does not fit, they draw again; here the rectangle is clipped to the image.
    """
    whether, area, aspect, down, right = uniform.unbind(1)
    area = (AREA[0] + area * (AREA[1] - AREA[0])) * shape.height * shape.width
    aspect = torch.exp(math.log(ASPECT[0]) + aspect * math.log(ASPECT[1] / ASPECT[0]))
    height = (area * aspect).sqrt().round().clamp(1, shape.height)
    width = (area / aspect).sqrt().round().clamp(1, shape.width)
    top = (down * (shape.height - height + 1)).floor().minimum(shape.height - height)
    left = (right * (shape.width - width + 1)).floor().minimum(shape.width - width)
    return torch.stack([top, left, height * (whether < probability), width], dim=1).to(torch.int64)
