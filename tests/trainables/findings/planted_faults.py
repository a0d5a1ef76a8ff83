"""A small clean set of textures, and what may be wrong with images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from trainables.data.decoding import Decoding
from trainables.data.images import ImageSet

CLASSES = ("cat", "dog", "fox")
EACH = 40
SIDE_PX = 48

Pixels = npt.NDArray[np.uint8]


def draw_texture(rng: np.random.Generator) -> Pixels:
    """A picture of its own in colour: blobs and fine grain, uint8 (side, side, 3)."""
    blobs = Image.fromarray(rng.integers(20, 235, (7, 7, 3)).astype(np.uint8)).resize((SIDE_PX, SIDE_PX))
    grain = rng.normal(0, 9, (SIDE_PX, SIDE_PX, 1))
    return np.clip(np.asarray(blobs) + grain, 0, 255).astype(np.uint8)


def clean_set(names: Sequence[str] = (), channels: int = 3) -> ImageSet:
    """Three classes of forty pictures, a fifth of each in validation and in test, in mixed order; nothing is wrong with it."""
    rng = np.random.default_rng(7)
    count = EACH * len(CLASSES)
    pixels = np.stack([draw_texture(rng) for _ in range(count)])[..., :channels]
    labels = np.arange(count) % len(CLASSES)
    ids = tuple(names) or tuple(f"{CLASSES[label]}/{number:04d}.jpg" for number, label in enumerate(labels.tolist()))
    splits = np.array([(0, 0, 0, 1, 2)[number // len(CLASSES) % 5] for number in range(count)], np.int8)
    decoding = Decoding(SIDE_PX, SIDE_PX, channels)
    return ImageSet("planted", pixels, labels, ids, CLASSES, splits, decoding=decoding)


def change(images: ImageSet, made: dict[int, Pixels]) -> ImageSet:
    """`images` with other pixels in some rows."""
    pixels = images.pixels.copy()
    for row, other in made.items():
        pixels[row] = other
    return replace(images, pixels=pixels)


def rows_of(images: ImageSet, label: int, split: int) -> list[int]:
    """The rows of one class in one split."""
    return np.flatnonzero((images.labels == label) & (images.splits == split)).tolist()


def save_again(pixels: Pixels, quality: int = 85) -> Pixels:
    """The picture after another round through JPEG."""
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=quality)
    return np.asarray(Image.open(sink).convert("RGB"))


def blur(pixels: Pixels) -> Pixels:
    """The picture out of focus."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(3)))
