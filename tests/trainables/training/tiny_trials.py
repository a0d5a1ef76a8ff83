"""Image sets and trials so small that an epoch takes milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from trainables.config.augment import AugmentConfig
from trainables.config.model import ModelConfig
from trainables.config.preparation import PreparationConfig
from trainables.config.training import AverageConfig, OptimizerConfig, ScheduleConfig
from trainables.config.trial import BagConfig, ParentConfig, TrialConfig
from trainables.data.images import ImageSet
from trainables.training.device_images import DeviceImages, place_images

CPU = torch.device("cpu")


def make_images(train: int = 70, seed: int = 0, channels: int = 3) -> ImageSet:
    """`train` images and 20 each of the other splits, 8 x 8 in three classes; class k is brighter in row k."""
    count = train + 40
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    pixels = rng.integers(0, 128, (count, 8, 8, channels), dtype=np.uint8)
    pixels[np.arange(count), 2 * labels] += 100
    splits = rng.permutation(np.repeat(np.array([0, 1, 2], np.int8), [train, 20, 20]))
    names = tuple(f"{number:03d}" for number in range(count))
    return ImageSet("tiny", pixels, labels, names, ("a", "b", "c"), splits)


def place(images: ImageSet) -> DeviceImages:
    return place_images(images.arrays, CPU)


def make_config(
    data_id: str = "tiny",
    seed: int = 0,
    precision: Any = "float32",
    model: dict[str, Any] | None = None,
    schedule: dict[str, Any] | None = None,
    parent: ParentConfig | None = None,
    average: dict[str, Any] | None = None,
    augment: dict[str, Any] | None = None,
    train_share: float = 1.0,
    bag: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    **optimizer: Any,
) -> TrialConfig:
    """Two blocks of 4 and 8 channels, batches of 16; keyword arguments beyond the named ones go to the optimizer."""
    return TrialConfig(
        data_id=data_id,
        seed=seed,
        precision=precision,
        model=ModelConfig(**{"width": 4, **(model or {})}),
        optimizer=OptimizerConfig(**{"batch_size": 16, **optimizer}),
        schedule=ScheduleConfig(**(schedule or {})),
        average=AverageConfig(**(average or {})),
        augment=AugmentConfig(**(augment or {})),
        train_share=train_share,
        bag=BagConfig(**(bag or {})),
        data=PreparationConfig(**(data or {})),
        parent=parent,
    )
