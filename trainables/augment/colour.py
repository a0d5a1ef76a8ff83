"""Changes of colours and brightness, as one linear map for each image. All operate on `pixels`, float32 (images, height, width,
channels)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from trainables.augment.draws import Values

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the grey value (ITU-R BT.601)."""

COLOURS = ("hue", "saturation", "exposure", "contrast")

_TO_YIQ = ((0.299, 0.587, 0.114), (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))
"""Grey, and the two colour axes of the plane in which a hue rotates (NTSC, 1953)."""


def recolour(pixels: Tensor, values: Values) -> Tensor:
    """Rotate the hue of each image, then scale saturation, exposure and contrast; values may leave the range from 0 to 1.

    Hue rotates in the plane of colours of equal grey (YIQ), in place of HSV's hexagon: this is linear, and keeps the grey value.
    Contrast is relative to the mean grey of the image, as in torchvision. Values are not clipped between the steps, which
    together are one map `factor x colours + offset`.
    """
    count, height, width, channels = pixels.shape
    flat = pixels.reshape(count, height * width, channels)
    factor = values.get("exposure", torch.ones(count, device=pixels.device))
    offset = None
    if "contrast" in values:
        means = flat.mean(1)
        grey = means @ _on(pixels.device).luma if channels == 3 else means.mean(1)
        offset = (1 - values["contrast"]) * factor * grey
        factor = factor * values["contrast"]
    if "hue" in values or "saturation" in values:
        colours = torch.matmul(flat, colour_maps(values, count, pixels.device) * factor[:, None, None])
    else:
        colours = flat * factor[:, None, None]
    colours = colours.view(count, -1)
    return (colours if offset is None else colours.add_(offset[:, None])).view(pixels.shape)


def colour_maps(values: Values, count: int, device: torch.device) -> Tensor:
    """Matrices float32 (images, 3, 3), which multiply a row (red, green, blue) from the right."""
    known = _on(device)
    turn = torch.zeros(count, 3, 3, device=device)
    turn[:, 0, 0] = 1
    angle = values["hue"] * (2 * math.pi) if "hue" in values else torch.zeros(count, device=device)
    share = values.get("saturation", torch.ones(count, device=device))
    turn[:, 1, 1] = turn[:, 2, 2] = share * angle.cos()
    turn[:, 1, 2] = share * angle.sin()  # from red towards green
    turn[:, 2, 1] = -turn[:, 1, 2]
    return torch.matmul(torch.matmul(known.back, turn), known.forth).transpose(1, 2)


@dataclass(frozen=True, eq=False)
class _Constants:
    """`LUMA`, `_TO_YIQ` and its inverse, in float32 on one device."""

    luma: Tensor
    forth: Tensor
    back: Tensor


@lru_cache(maxsize=8)
def _on(device: torch.device) -> _Constants:
    """The constants on `device`, copied once: a copy for each batch would synchronise with the device."""
    forth = torch.tensor(_TO_YIQ, dtype=torch.float64)
    with torch.inference_mode(False):  # tensors made in inference mode cannot be used for training
        return _Constants(
            torch.tensor(LUMA, device=device),
            forth.to(device, torch.float32),
            torch.linalg.inv(forth).to(device, torch.float32),
        )
