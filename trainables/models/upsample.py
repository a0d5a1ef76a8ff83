"""Upsamples images that are too small for a net: some nets halve height and width five times or more."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.data.image_shape import ImageShape
from trainables.errors import ModelUnusable

SIDES = (32, 48, 64, 80, 96, 128, 160, 192, 224, 256, 299, 384, 448, 512)
"""Pixels of the shorter side, tried in turn. Most nets were designed for 224, 299 or 384."""


def find_size(name: str, build: Callable[[], nn.Module], shape: ImageShape) -> tuple[int, int]:
    """Height and width that the net of `build` accepts: those of the images, else the smallest larger ones.

    Only shapes are computed, on torch's `meta` device, and no random number is drawn from the generator of the CPU. Raises
    `ModelUnusable` where the net accepts no size.
    """
    reason = ""
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                net = build().train()
        except NotImplementedError:  # it computes its layers' sizes with tensors, as RegNets do
            net = build().to("meta").train()
        for height, width in _sizes(shape):
            try:
                found = net(torch.empty(2, shape.channels, height, width, device="meta"))
                if not isinstance(found, Tensor) or tuple(found.shape) != (2, shape.classes):
                    raise ModelUnusable(f"model.name is {name}: it does not return logits of {shape.classes} classes")
                return height, width
            except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
                reason = reason or str(error).splitlines()[0]
    raise ModelUnusable(
        f"model.name is {name}: it takes neither images of {shape.height} x {shape.width} pixels nor enlarged ones "
        f"({reason}): choose another model"
    )


def _sizes(shape: ImageShape) -> Iterator[tuple[int, int]]:
    """The size of the images, then larger ones of the same proportions, then squares."""
    yield shape.height, shape.width
    shorter = min(shape.height, shape.width)
    for side in SIDES:
        if side > shorter and shape.height != shape.width:
            yield round(shape.height * side / shorter), round(shape.width * side / shorter)
    for side in SIDES:
        if side > shorter:
            yield side, side


def upsample_to(net: nn.Module, size: tuple[int, int], shape: ImageShape) -> nn.Module:
    """`net` with a hook that first resizes its images to `size`, bilinearly, if they have another size.

    A hook and not a wrapping module, so that the names of its tensors are still those in files of weights.
    """
    if size != (shape.height, shape.width):
        net.register_forward_pre_hook(Upsample(size))
    return net


class Upsample:
    """A hook that upsamples images."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def __call__(self, net: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        """The images, float (images, channels, height, width), resized."""
        return (functional.interpolate(inputs[0], size=self.size, mode="bilinear", align_corners=False),)
