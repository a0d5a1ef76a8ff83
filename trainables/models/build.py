"""The networks by name: plain functions from a configuration and the shape of the data to a `torch.nn.Module`."""

from __future__ import annotations

import torch
from torch import nn

from trainables.config.model import ModelConfig, is_custom_model
from trainables.data.image_shape import ImageShape
from trainables.models.cnn import build_cnn


def build_model(config: ModelConfig, shape: ImageShape, seed: int) -> nn.Module:
    """The network that `config` names, with initial weights that follow from `seed` alone: float (images, channels, height, width)
    to logits.

    Raises `ModelUnusable` where there is no network of that name, or none for images of that shape.
    """
    torch.manual_seed(seed)
    if is_custom_model(config.name):
        from trainables.models.custom import build_custom

        return build_custom(config, shape)
    if config.name.startswith("torchvision/"):
        from trainables.models.torchvision import build_torchvision

        return build_torchvision(config, shape)
    if config.name.startswith("timm/"):
        from trainables.models.timm import build_timm

        return build_timm(config, shape)
    return build_cnn(config, shape)
