"""Colours and brightness changed, as one linear map an image. All on `pixels`, float32 (images, height, width, channels)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from trainables.augment.draws import Values

LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue (ITU-R BT.601)."""

COLOURS = ("hue", "saturation", "exposure", "contrast")

_TO_YIQ = ((0.299, 0.587, 0.114), (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))
"""Grey, and the two axes of colour about which a hue turns (NTSC, 1953)."""


def recolour(pixels: Tensor, values: Values) -> Tensor:
    """Each with its hue turned, then saturation, exposure and contrast multiplied; may leave the range from 0 to 1.

    Hue turns in the plane of colours of equal grey (YIQ), in place of HSV's hexagon: linear, and the grey stays. Contrast
    is about the mean grey of the image, as torchvision's is. Nothing is cut off between the steps, all of which are one
    map `factor x colours + offset`.
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
    """Float32 (images, 3, 3), by which a row (red, green, blue) is multiplied from the right."""
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
    """Float32, on one device: `LUMA`, `_TO_YIQ` and its inverse."""

    luma: Tensor
    forth: Tensor
    back: Tensor


@lru_cache(maxsize=8)
def _on(device: torch.device) -> _Constants:
    """Copied there once: a copy a batch would be waited for."""
    forth = torch.tensor(_TO_YIQ, dtype=torch.float64)
    with torch.inference_mode(False):  # else they could never be used outside of it
        return _Constants(
            torch.tensor(LUMA, device=device),
            forth.to(device, torch.float32),
            torch.linalg.inv(forth).to(device, torch.float32),
        )
