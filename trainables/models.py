"""The networks: plain functions from a configuration and the shape of the data to a `torch.nn.Module`.

To add one, write its function here, give it a name in `MODELS`, and let `ModelConfig.name` accept that name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from trainables.config import ModelConfig


@dataclass(frozen=True)
class ImageShape:
    """Height, width and channels of the images, and how many classes they fall into."""

    height: int
    width: int
    channels: int
    classes: int


def build_cnn(config: ModelConfig, shape: ImageShape) -> nn.Module:
    """`config.blocks` blocks and a linear layer: float (images, channels, height, width) to logits (images, classes)."""
    layers: list[nn.Module] = []
    height, width, before = shape.height, shape.width, shape.channels
    for block in range(config.blocks):
        channels = config.width * min(2**block, 4)
        layers.append(nn.Conv2d(before, channels, kernel_size=3, padding=1, bias=not config.batch_norm))
        if config.batch_norm:
            layers.append(nn.BatchNorm2d(channels))
        if min(height, width) >= 2:
            # Pooling before ReLU gives the same numbers as after it, for a quarter of the ReLU's work.
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        layers.append(nn.ReLU(inplace=True))
        if config.dropout:
            layers.append(nn.Dropout2d(config.dropout))
        before = channels
    layers.append(nn.Flatten())
    if config.dropout:
        layers.append(nn.Dropout(config.dropout))
    layers.append(nn.Linear(before * height * width, shape.classes))
    net = nn.Sequential(*layers)
    net.apply(initialise)
    return net


def initialise(module: nn.Module) -> None:
    """He's normal initialisation for convolutions (He 2015), zero biases."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


MODELS: dict[str, Callable[[ModelConfig, ImageShape], nn.Module]] = {"cnn": build_cnn}


def build_model(config: ModelConfig, shape: ImageShape, seed: int) -> nn.Module:
    """The network that `config` names, its first weights decided by `seed` alone."""
    torch.manual_seed(seed)
    return MODELS[config.name](config, shape)
