"""Tries a custom augmentation on a few images, before a sweep spends hours on it."""

from __future__ import annotations

import torch

from trainables.augment.pipeline import Augment
from trainables.config.augment import AugmentConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import DataError

IMAGES = 4


def check_augmentation(config: AugmentConfig, shape: ImageShape) -> None:
    """Augment random images once. Raises `DataError` or `PluginUnusable` where that fails, or gives values that are not finite."""
    augment = Augment(config, shape, torch.device("cpu"))
    augment.begin(0)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(IMAGES, shape.channels, shape.height, shape.width, generator=generator)
    if not torch.isfinite(augment.vary(images)).all():
        raise DataError(f"augment.function is {config.function}: it returned values that are not finite: correct it")
