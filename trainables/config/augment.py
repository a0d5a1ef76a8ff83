"""The `augment` part of a trial's configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from trainables.config.base import OpenSection
from trainables.plugins.kinds import AUGMENTATION


def _check_function(name: str) -> str:
    return AUGMENTATION.check(name) if name else name


class AugmentConfig(OpenSection):
    """Augmentation of training images on the device; every image has draws of its own. Everything is off by default.

    A range is symmetric: `rotation: 10` turns by -10 to 10 degrees.
    """

    PLUGIN_KEYS = ("function",)

    flip: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability of mirroring left and right."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Rotation, in degrees."""
    shear: Annotated[float, Field(ge=0, le=60)] = 0.0
    """Shear along height and width, in degrees."""
    shift: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Translation, as a share of height and width."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """0.1 makes the image 0.9 to 1.1 times as large."""
    crop: Annotated[int, Field(ge=0, le=64)] = 0
    """Whole pixels of shift, the border filled by reflection: padding and a random crop."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Rotation of the hue, as a share of the colour circle. Needs three channels."""
    saturation: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Change of the saturation, as a share. Needs three channels."""
    exposure: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Change of the brightness, as a share."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Change of the contrast, as a share."""
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest standard deviation of the Gaussian noise that is added to pixels from 0 to 1."""
    erasing: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability of filling a random rectangle with the mean (Zhong et al. 2020)."""
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Alpha of the Beta distribution of the share by which two images are blended (Zhang et al. 2018)."""
    cutmix: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Alpha of the Beta distribution that decides how much of another image is pasted in (Yun et al. 2019)."""
    strength: Annotated[float, Field(ge=0, le=1)] = 0.0
    """One number for all operations: each image gets two of the operations above, drawn at random, at this share of their
    usual maximum (after RandAugment, Cubuk et al. 2020)."""
    function: Annotated[str, AfterValidator(_check_function)] = ""
    """A plug-in that augments a batch after the operations above: `module:function`, or `package/name` of an installed package.
    It may define further keys here."""
