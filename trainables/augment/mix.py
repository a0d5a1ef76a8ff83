"""Mixup and CutMix: images are blended with another image of their batch, or a part of it is pasted into them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.augment.draws import Values
from trainables.augment.geometry import paste
from trainables.config.augment import AugmentConfig
from trainables.data.image_shape import ImageShape

QUANTILES = 4096
"""Number of quantiles of the Beta distribution from which a share is drawn. Torch draws Beta only from its global generator,
which dropout uses, and differently on each device."""


@dataclass(frozen=True, eq=False)
class Mixed:
    """Pairs of images that were blended or pasted together.

    images  float32 (images, channels, height, width)
    others  int64 (images,), the second label of each image
    share   float32 (images,), the weight of the first label
    """

    images: Tensor
    others: Tensor
    share: Tensor


def beta_quantiles(alpha: float, device: torch.device) -> Tensor:
    """Quantiles float32 (`QUANTILES`,) of the Beta distribution with both parameters `alpha`, at the middle of each step."""
    from scipy.stats import beta

    middles = (torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES
    return torch.from_numpy(beta.ppf(middles.numpy(), alpha, alpha)).to(device, torch.float32)


def draw_mixes(
    config: AugmentConfig, shape: ImageShape, quantiles: dict[str, Tensor], count: int, generator: torch.Generator
) -> Values:
    """The values by which each of `count` images is mixed.

    share      float32 (images,), share of the image itself
    rectangle  int64 (images, 4), top, left, height, width of the pasted part; left out without `cutmix`
    pasted     bool (images,), whether CutMix is applied, not mixup; only with both, with equal probability
    """
    device = generator.device
    drawn: dict[str, Tensor] = {}
    shares = {}
    for name, table in quantiles.items():
        shares[name] = table[torch.randint(len(table), (count,), generator=generator, device=device)]
    if "cutmix" in shares:
        middle = torch.rand(count, 2, generator=generator, device=device)
        drawn["rectangle"] = draw_rectangles(shares["cutmix"], middle, shape)
        area = drawn["rectangle"][:, 2] * drawn["rectangle"][:, 3]
        drawn["share"] = 1 - area.to(torch.float32) / (shape.height * shape.width)
    if "mixup" in shares and "cutmix" in shares:
        drawn["pasted"] = torch.rand(count, generator=generator, device=device) < 0.5
        drawn["share"] = torch.where(drawn["pasted"], drawn["share"], shares["mixup"])
    elif "mixup" in shares:
        drawn["share"] = shares["mixup"]
    return drawn


def draw_rectangles(stay: Tensor, middle: Tensor, shape: ImageShape) -> Tensor:
    """Rectangles with the proportions of the image that leave the share `stay`, around `middle` (images, 2) from 0 to 1.

    They are clipped to the image (Yun et al. 2019), so that more may stay.
    """
    side = (1 - stay).clamp(min=0).sqrt()
    edges = []
    for axis, length in enumerate((shape.height, shape.width)):
        at = (middle[:, axis] * length).floor()
        extent = (side * length).round()
        begin = (at - (extent / 2).floor()).clamp(0, length)
        end = (at - (extent / 2).floor() + extent).clamp(0, length)
        edges.append((begin, end - begin))
    (top, height), (left, width) = edges
    return torch.stack([top, left, height, width], 1).to(torch.int64)


def mix_pixels(pixels: Tensor, partner: Tensor, values: Values) -> Tensor:
    """Mix each of `pixels`, float32 (images, height, width, channels), with the image that `partner`, int64 (images,), names."""
    others = pixels[partner]
    blended = paste(pixels, others, values["rectangle"]) if "rectangle" in values else pixels
    if "rectangle" not in values or "pasted" in values:
        share = values["share"][:, None]
        mixed = torch.lerp(others.view(len(others), -1), pixels.reshape(len(pixels), -1), share).view(pixels.shape)
        if "pasted" in values:
            return torch.where(values["pasted"][:, None, None, None], blended, mixed)
        return mixed
    return blended
