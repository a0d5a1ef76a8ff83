"""torchvision's classifiers by name, with random initial weights, adapted to the images and their classes."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from torch import nn

from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import ModelUnusable
from trainables.models.upsample import find_size, upsample_to

SMALL = 64
"""Pixels. A ResNet's first layers would reduce smaller images to a sixteenth before its first block (He et al. 2016, for
CIFAR-10)."""

AUXILIARY = ("googlenet", "inception_v3")
"""Nets with additional heads for training, which are left out because they need another loss."""


def build_torchvision(config: ModelConfig, shape: ImageShape) -> nn.Module:
    """The classifier after `torchvision/`: float (images, channels, height, width) to logits (images, classes).

    The first convolution is adapted to the images' channels, the last layer to their classes. For images smaller than 64 pixels
    a ResNet gets a first convolution of 3 x 3 with stride 1, and no first pooling; for other nets that do not accept such small
    images they are upsampled. Raises `ModelUnusable` for a name that torchvision does not have.
    """
    make = _maker(config.name, shape)
    size = find_size(config.name, make, shape)
    return upsample_to(make(), size, shape)


def _maker(name: str, shape: ImageShape) -> Callable[[], nn.Module]:
    from torchvision import models

    known = models.list_models(module=models)
    short = name.removeprefix("torchvision/")
    if short not in known:
        near = difflib.get_close_matches(short, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
        raise ModelUnusable(f"model.name is {name}: torchvision has no classifier of that name; {hint}")
    keys: dict[str, Any] = {"aux_logits": False, "init_weights": True} if short in AUXILIARY else {}

    def make() -> nn.Module:
        net: nn.Module = models.get_model(short, weights=None, num_classes=shape.classes, **keys)
        if shape.channels != 3:
            _take_channels(net, shape.channels)
        if isinstance(net, models.ResNet) and min(shape.height, shape.width) < SMALL:
            _take_small(net, shape.channels)
        return net

    return make


def _take_channels(net: nn.Module, channels: int) -> None:
    """Replace the first convolution by one with other input channels."""
    name, first = next((name, module) for name, module in net.named_modules() if isinstance(module, nn.Conv2d))
    parent, _, last = name.rpartition(".")
    _replace(net.get_submodule(parent), last, first, channels, first.kernel_size, first.stride, first.padding)


def _take_small(net: nn.Module, channels: int) -> None:
    """Replace a ResNet's stem by one for small images."""
    _replace(net, "conv1", net.get_submodule("conv1"), channels, (3, 3), (1, 1), (1, 1))
    net.add_module("maxpool", nn.Identity())


def _replace(
    parent: nn.Module, name: str, before: nn.Module, channels: int, kernel_size: Any, stride: Any, padding: Any
) -> None:
    assert isinstance(before, nn.Conv2d)
    # Dilation is 1 in all of torchvision's first convolutions.
    after = nn.Conv2d(channels, before.out_channels, kernel_size, stride, padding, bias=before.bias is not None)
    nn.init.kaiming_normal_(after.weight, mode="fan_out", nonlinearity="relu")
    if after.bias is not None:
        nn.init.zeros_(after.bias)
    parent.add_module(name, after)
