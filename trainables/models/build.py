"""The networks by name: plain functions from a configuration and the shape of the data to a `torch.nn.Module`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.models.custom import build_custom
from trainables.plugins.kind import is_plugin
from trainables.plugins.kinds import MODEL


def build_model(config: ModelConfig, shape: ImageShape, seed: int) -> nn.Module:
    """The network that `config` names, with initial weights that follow from `seed` alone: float (images, channels, height, width)
    to logits.

    Raises `ModelUnusable` where there is no network of that name, or none for images of that shape.
    """
    torch.manual_seed(seed)
    build: Callable[[ModelConfig, ImageShape], nn.Module] = (
        build_custom if is_plugin(config.name) else MODEL.find(config.name)
    )
    return build(config, shape)
