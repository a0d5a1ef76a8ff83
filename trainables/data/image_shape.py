"""The shape of the images and the number of classes, which a net depends on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageShape:
    """Height, width and channels of the images, and the number of classes."""

    height: int
    width: int
    channels: int
    classes: int
