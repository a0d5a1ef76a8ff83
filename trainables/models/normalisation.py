"""The mean and standard deviation that pretrained weights were trained with."""

from __future__ import annotations

from typing import NamedTuple

from trainables.config.model import ModelConfig
from trainables.distribution import install_command
from trainables.errors import ModelUnusable

CHANNELS = 3
"""Channels of the images that published weights were trained on."""


class Normalisation(NamedTuple):
    """Mean and standard deviation of each channel, of pixels from 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of the training images of ImageNet, as torchvision publishes it."""


def check_channels(channels: int) -> None:
    """Raise `ModelUnusable` where no normalisation of a pretrained net fits images of so many channels."""
    if channels != CHANNELS:
        raise ModelUnusable(
            f"data.normalise is model, but pretrained nets were trained on colour images, and these have {channels} channel: set "
            "data.channels=3, or take data.normalise=data"
        )


def own_normalisation(config: ModelConfig, channels: int) -> Normalisation:
    """The normalisation of the weights that timm or torchvision publishes for this net; ImageNet's where they publish none and
    `model.weights` names a file.

    Raises `ModelUnusable` where there is none, or none for so many channels.
    """
    check_channels(channels)
    family, _, name = config.name.partition("/")
    found = _of_timm(name) if family == "timm" else _of_torchvision(name) if family == "torchvision" else None
    if found is None and config.weights and family in ("timm", "torchvision"):
        found = IMAGENET
    if found is None:
        raise ModelUnusable(
            f"data.normalise is model, but model.name is {config.name}, which has no normalisation of its own: take "
            "data.normalise=data, or a model of torchvision or timm"
        )
    return found


def _of_timm(name: str) -> Normalisation | None:
    try:
        from timm.models import get_pretrained_cfg
    except ImportError:
        raise ModelUnusable(
            f"model.name is timm/{name}, but timm is not installed: {install_command('timm')}, on all nodes"
        ) from None
    known = get_pretrained_cfg(name)
    return None if known is None else Normalisation(tuple(known.mean), tuple(known.std))


def _of_torchvision(name: str) -> Normalisation | None:
    from torchvision import models

    try:
        preset = models.get_model_weights(name).DEFAULT.transforms()
    except (ValueError, AttributeError):  # no net of that name, or one without published weights
        return None
    return Normalisation(tuple(preset.mean), tuple(preset.std))
