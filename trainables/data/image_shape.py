"""What a net must know of the images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageShape:
    """Height, width and channels of the images, and how many classes they fall into."""

    height: int
    width: int
    channels: int
    classes: int
