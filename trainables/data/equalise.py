"""Equalisation of the brightness of images, by kornia: in training, in predictions, and in an exported program.

`histogram` is histogram equalisation by the textbook (Gonzalez and Woods 2018, section 3.3): a level becomes 255 times the share of
the image's pixels that are not brighter, rounded. scikit-image's `equalize_hist` is the same without rounding. It is kornia's CLAHE
with one tile and no limit, not kornia's `equalize`: that one, as Pillow's and torchvision's, counts whole pixels a level, so images of
fewer than 256 pixels come back as they were, and one of 28 x 28 with 50 white pixels gets 2 a level for 2.88, which turns its
brightest 30 % to white.

`clahe` is contrast-limited adaptive histogram equalisation (Zuiderveld 1994): a histogram for each of up to 8 x 8 tiles, clipped, and
bilinear interpolation between the tiles. Limit and largest number of tiles are those of OpenCV's tutorial.

In colour, luminance is equalised and its change added to red, green and blue, which keeps the hue: equalised one by one, each channel
would be as evenly spread as any other, and a red picture as green as red. So grey gives the same in one channel and in three.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from trainables.config.preparation import Equalise
from trainables.distribution import install_command
from trainables.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

TILES = 8
"""Most tiles along height and width."""

LEAST = 24
"""Least height and width of a tile; images of less than 48 are one tile. Up to 255 of the pixels that the limit clips are given to
levels from black upwards and may not reach white (OpenCV's rule, which kornia follows): in tiles of 12 x 12 a flat grey of 90 becomes
163, in one of 28 x 28 it becomes 92."""

CLIP = 2.0
"""Most pixels of a level in a tile's histogram, as a multiple of their mean over all levels; at least one."""

NO_CLIP = 0.0

LEAST_SIDE = 2
"""Pixels. kornia refuses images that are one pixel high or wide."""


def check_equalise(kind: Equalise, height: int, width: int) -> None:
    """Raise `DataError` where images of that size cannot be equalised here. Imports neither torch nor kornia."""
    if kind == "none":
        return
    if min(height, width) < LEAST_SIDE:
        raise DataError(
            f"data.equalise is {kind}, but images are {height} x {width} pixels, and it takes {LEAST_SIDE} x {LEAST_SIDE} at least: "
            "take data.equalise=none, or a larger data.size"
        )
    if find_spec("kornia") is None:
        raise DataError(
            f"data.equalise is {kind}, but kornia is not installed: {install_command('kornia')}, on all nodes; or take "
            "data.equalise=none"
        )


def equalise_pixels(images: Tensor, kind: Equalise) -> Tensor:
    """`images` (images, height, width, channels) with levels from 0 to 255, equalised: float32, of whole levels.

    Images of floats are rounded first. Each image is by itself: the same in every batch. All steps but the interpolation between
    tiles are exact, and its result is rounded, so devices differ by one level at most, where they round a tie otherwise. Raises
    `DataError` as `check_equalise`.
    """
    height, width, channels = (int(size) for size in images.shape[1:])
    check_equalise(kind, height, width)
    levels = images.float().round().clamp(0, 255)  # of uint8, too: a program is traced with them, and takes floats
    if kind == "none":
        return levels
    grey = _luminance(levels) if channels == 3 else levels[..., 0]
    clip, tiles = (NO_CLIP, (1, 1)) if kind == "histogram" else (CLIP, (count_tiles(height), count_tiles(width)))
    equalised: Tensor = _clahe()(grey.div(255)[:, None], clip, tiles)[:, 0].mul(255).round()
    if channels != 3:
        return equalised[..., None]
    return (levels + (equalised - grey)[..., None]).clamp(0, 255)


def count_tiles(side: int) -> int:
    """Tiles of CLAHE along a side of so many pixels.

    >>> [count_tiles(side) for side in (8, 28, 64, 224)]
    [1, 1, 2, 8]
    """
    return min(TILES, max(1, side // LEAST))


def _luminance(levels: Tensor) -> Tensor:
    """Luminance by ITU-R BT.601 in whole numbers, as Pillow converts to grey: the same bits on every device."""
    red, green, blue = levels.int().unbind(3)
    return (red * 19595 + green * 38470 + blue * 7471 + 32768).bitwise_right_shift(16).float()


@cache
def _clahe() -> Callable[..., Any]:
    """kornia's CLAHE without its wrapper, which takes images of other shapes, and which torch.export cannot follow for any number of
    images. The import takes 0.25 s after that of torch."""
    from kornia.enhance.equalization import equalize_clahe

    unwrapped: Callable[..., Any] = inspect.unwrap(equalize_clahe)
    return unwrapped
