"""The plain convolutional net that sweeps vary: blocks of convolution, norm, activation and pooling, then dense layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape

GROUPS = 8
"""Groups of group normalisation, or the largest smaller number that divides the channels: Wu and He (2018) lose 0.5 points with 8
in place of 32."""

LEAK = 0.01

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(LEAK, inplace=True),
    "elu": lambda: nn.ELU(inplace=True),
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}

RISING = {"relu", "leaky_relu", "elu"}
"""Monotonic activations: max-pooling before one of these gives the same result as after it, for a quarter of the activation's
work."""


class Residual(nn.Module):
    """Adds the input, converted by `fit` to the same shape, to the output of `body` (He et al. 2016)."""

    def __init__(self, body: nn.Module, fit: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.fit = fit

    def forward(self, images: Tensor) -> Tensor:
        """Float (images, channels, height, width) to the same layout."""
        summed: Tensor = self.body(images) + self.fit(images)
        return summed


def build_cnn(config: ModelConfig, shape: ImageShape) -> nn.Module:
    """The net of `config`: float (images, channels, height, width) to logits (images, classes)."""
    layers: list[nn.Module] = []
    height, width, before = shape.height, shape.width, shape.channels
    for block in range(config.blocks):
        channels = channels_of(config, block)
        halves = min(height, width) >= 2
        strides = halves and config.pooling == "stride"
        body = _body(config, before, channels, 2 if strides else 1)
        if config.residual:
            fit = _fit(before, channels, 2 if strides else 1)
            layers.append(Residual(nn.Sequential(*body), fit))
        else:
            layers += body
        layers += _pool_and_activate(config, halves)
        if config.dropout:
            layers.append(nn.Dropout2d(config.dropout))
        if halves:
            height, width = ((height + 1) // 2, (width + 1) // 2) if strides else (height // 2, width // 2)
        before = channels
    if config.head == "average":
        layers.append(nn.AdaptiveAvgPool2d(1))
        height = width = 1
    layers.append(nn.Flatten())
    layers += _dense(config, before * height * width, shape.classes)
    net = nn.Sequential(*layers)
    initialise(net, config)
    return net


def channels_of(config: ModelConfig, block: int) -> int:
    """Channels of block `block`, counted from 0."""
    return round(config.width * min(config.growth**block, config.widest))


def _body(config: ModelConfig, before: int, channels: int, stride: int) -> list[nn.Module]:
    """The convolutions of a block, with the norm of the last one, but without its activation."""
    layers: list[nn.Module] = []
    for number in range(config.convs):
        is_last = number == config.convs - 1
        layers.append(
            nn.Conv2d(
                before,
                channels,
                kernel_size=config.kernel,
                padding=config.kernel // 2,
                stride=stride if is_last else 1,
                bias=not (config.batch_norm or config.group_norm),
            )
        )
        if config.group_norm:
            layers.append(nn.GroupNorm(_groups(channels), channels))
        elif config.batch_norm:
            layers.append(nn.BatchNorm2d(channels))
        if not is_last:
            layers.append(ACTIVATIONS[config.activation]())
        before = channels
    return layers


def _groups(channels: int) -> int:
    return next(count for count in range(min(GROUPS, channels), 0, -1) if channels % count == 0)


def _fit(before: int, channels: int, stride: int) -> nn.Module:
    if before == channels and stride == 1:
        return nn.Identity()
    return nn.Conv2d(before, channels, kernel_size=1, stride=stride, bias=False)


def _pool_and_activate(config: ModelConfig, halves: bool) -> list[nn.Module]:
    activate = ACTIVATIONS[config.activation]()
    if not halves or config.pooling == "stride":
        return [activate]
    pool: nn.Module = nn.MaxPool2d(2) if config.pooling == "max" else nn.AvgPool2d(2)
    return [pool, activate] if config.pooling == "max" and config.activation in RISING else [activate, pool]


def _dense(config: ModelConfig, features: int, classes: int) -> list[nn.Module]:
    dropout = config.dropout if config.head_dropout is None else config.head_dropout
    layers: list[nn.Module] = []
    for neurons in [config.neurons] * config.dense:
        layers += [nn.Dropout(dropout)] if dropout else []
        layers += [nn.Linear(features, neurons), ACTIVATIONS[config.activation]()]
        features = neurons
    layers += [nn.Dropout(dropout)] if dropout else []
    return [*layers, nn.Linear(features, classes)]


def initialise(net: nn.Module, config: ModelConfig) -> None:
    """Initialise the weights by `config.init`, and biases with zero.

    `he` is the normal initialisation of He (2015) by fan-out, and leaves linear layers to torch's uniform one; `xavier` is the
    uniform one of Glorot and Bengio (2010), `orthogonal` that of Saxe (2014), both for linear layers, too, with the gain of the
    activation (that of ReLU for similar ones), except for the last layer.
    """
    gain = nn.init.calculate_gain("leaky_relu", LEAK if config.activation == "leaky_relu" else 0.0)
    found = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for module in found:
        is_last = module is found[-1]
        with torch.no_grad():
            if config.init == "xavier":
                nn.init.xavier_uniform_(module.weight, 1.0 if is_last else gain)
            elif config.init == "orthogonal":
                nn.init.orthogonal_(module.weight, 1.0 if is_last else gain)
            elif isinstance(module, nn.Conv2d):
                nonlinearity: Literal["leaky_relu", "relu"] = (
                    "leaky_relu" if config.activation == "leaky_relu" else "relu"
                )
                nn.init.kaiming_normal_(module.weight, LEAK, mode="fan_out", nonlinearity=nonlinearity)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
