"""Translation, rotation and erasing of images. All operate on `pixels`, float32 (images, height, width, channels), contiguous."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from trainables.augment.draws import Values

AFFINE = ("rotation", "shear", "shift", "scale")
"""Operations that interpolate between pixels."""


def flip_images(pixels: Tensor, flip: Tensor) -> Tensor:
    """Mirror the images, left and right, whose `flip`, bool (images,), is true."""
    return torch.where(flip[:, None, None, None], pixels.flip(2), pixels)


def crop_images(pixels: Tensor, by: Tensor, flip: Tensor | None = None) -> Tensor:
    """Move each image by whole pixels, int64 (images, 2), down and to the right, after its flip.

    The border is filled with the image reflected about its outermost pixels, as often as needed.
    """
    count, height, width, channels = pixels.shape
    rows = _reflect(torch.arange(height, device=pixels.device) - by[:, :1], height)
    columns = _reflect(torch.arange(width, device=pixels.device) - by[:, 1:], width)
    if flip is not None:
        columns = torch.where(flip[:, None], width - 1 - columns, columns)
    rows += height * torch.arange(count, device=pixels.device)[:, None]
    places = (rows[:, :, None] * width + columns[:, None, :]).view(-1)
    return pixels.view(-1, channels).index_select(0, places).view(pixels.shape)


def _reflect(places: Tensor, length: int) -> Tensor:
    """Positions outside 0 to `length` - 1, mirrored into that range: -1 becomes 1, -2 becomes 2."""
    if length == 1:
        return torch.zeros_like(places)
    period = 2 * (length - 1)
    places = places.remainder(period)
    return torch.minimum(places, period - places)


def affine_maps(values: Values, count: int, height: int, width: int, device: torch.device) -> Tensor:
    """Matrices float32 (images, 2, 3), which map a position (x, y, 1) of the new image to (x, y) of the old one.

    Both coordinates run from -1 to 1 over the image, as in `grid_sample`. The image is flipped, scaled, sheared, rotated
    (counter-clockwise for positive degrees) and moved, in this order; all about its centre and in pixels, so that a rotation
    does not distort an image that is not square.
    """
    one, zero = torch.ones(count, device=device), torch.zeros(count, device=device)
    angle = values["rotation"] * (math.pi / 180) if "rotation" in values else zero
    cos, sin = angle.cos(), angle.sin()
    # Rows of the inverse of each step, the last step first. Height is counted downwards.
    x, y = [cos, -sin], [sin, cos]
    if "shear" in values:
        across, down = (values["shear"] * (math.pi / 180)).tan().unbind(1)
        x = [a - across * b for a, b in zip(x, y, strict=True)]
        y = [b - down * a for a, b in zip(x, y, strict=True)]
    factor = 1 / values["scale"] if "scale" in values else one
    mirror = torch.where(values["flip"], -factor, factor) if "flip" in values else factor
    x, y = [a * mirror for a in x], [b * factor for b in y]
    moved = torch.zeros(count, 2, device=device)
    for name in ("shift", "crop"):
        moved = moved + values[name] if name in values else moved
    x.append(-(x[0] * moved[:, 1] + x[1] * moved[:, 0]))
    y.append(-(y[0] * moved[:, 1] + y[1] * moved[:, 0]))
    x = [x[0], x[1] * (height / width), x[2] * (2 / width)]
    y = [y[0] * (width / height), y[1], y[2] * (2 / height)]
    return torch.stack([torch.stack(x, 1), torch.stack(y, 1)], 1)


def places_of(height: int, width: int, device: torch.device) -> Tensor:
    """Positions float32 (3, height x width): (x, y, 1) of the centre of every pixel, from -1 to 1 over the image."""
    y = (2 * torch.arange(height, device=device) + 1) / height - 1
    x = (2 * torch.arange(width, device=device) + 1) / width - 1
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x, grid_y, torch.ones_like(grid_x)]).view(3, -1)


def sample_images(pixels: Tensor, maps: Tensor, places: Tensor) -> Tensor:
    """Transform each of `pixels` by its matrix of `affine_maps`, with bilinear interpolation; outside, it is reflected about its
    edge."""
    count, height, width, _ = pixels.shape
    # All x before all y: one matrix product for the batch, and `grid_sample` reads it in order.
    grid = torch.mm(maps.reshape(2 * count, 3), places).view(count, 2, height, width).permute(0, 2, 3, 1)
    sampled = functional.grid_sample(
        pixels.permute(0, 3, 1, 2), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return sampled.permute(0, 2, 3, 1).contiguous()


def erase_images(pixels: Tensor, rectangles: Tensor) -> Tensor:
    """Fill a rectangle of each image, int64 (images, 4) of top, left, height and width, with the image's mean of each channel."""
    count, height, width, channels = pixels.shape
    mask = cover(rectangles, height, width)
    flat = pixels.view(count, height, width * channels)
    mean = pixels.view(count, height * width, channels).mean(1)
    # Channels are merged into the width: a loop over three of them at a time takes 10 times as long.
    return torch.where(_widen(mask, channels), mean.repeat(1, width)[:, None], flat).view(pixels.shape)


def cover(rectangles: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Masks of the rows and columns of rectangles, bool (images, height, 1) and (images, 1, width)."""
    top, left, high, wide = rectangles[:, :, None].unbind(1)
    rows, columns = torch.arange(height, device=rectangles.device), torch.arange(width, device=rectangles.device)
    inside_rows = (rows >= top) & (rows < top + high)
    inside_columns = (columns >= left) & (columns < left + wide)
    return inside_rows[:, :, None], inside_columns[:, None, :]


def _widen(mask: tuple[Tensor, Tensor], channels: int) -> Tensor:
    rows, columns = mask
    return rows & (columns if channels == 1 else columns.repeat_interleave(channels, 2))


def paste(pixels: Tensor, others: Tensor, rectangles: Tensor) -> Tensor:
    """`pixels` with the contents of `rectangles` replaced by those of `others`."""
    count, height, width, channels = pixels.shape
    mask = _widen(cover(rectangles, height, width), channels)
    flat, other = (images.reshape(count, height, width * channels) for images in (pixels, others))
    return torch.where(mask, other, flat).view(pixels.shape)
