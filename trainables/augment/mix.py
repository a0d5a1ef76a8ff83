"""Images blended with, or pasted over by, another one of their batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.augment.draws import Values
from trainables.augment.geometry import paste
from trainables.config.augment import AugmentConfig
from trainables.data.image_shape import ImageShape

QUANTILES = 4096
"""Values that a share is drawn from, at even steps of the Beta distribution's cumulative one: torch draws Beta from its
one stream alone, which is dropout's, and on each device otherwise."""


@dataclass(frozen=True, eq=False)
class Mixed:
    """Images that were blended or pasted together, two and two.

    images  float32 (images, channels, height, width)
    others  int64 (images,), the second label of each
    share   float32 (images,), how much the first one counts
    """

    images: Tensor
    others: Tensor
    share: Tensor


def beta_quantiles(alpha: float, device: torch.device) -> Tensor:
    """Float32 (`QUANTILES`,) of the Beta distribution with both parameters `alpha`, at the middle of each step."""
    from scipy.stats import beta

    middles = (torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES
    return torch.from_numpy(beta.ppf(middles.numpy(), alpha, alpha)).to(device, torch.float32)


def draw_mixes(
    config: AugmentConfig, shape: ImageShape, quantiles: dict[str, Tensor], count: int, generator: torch.Generator
) -> Values:
    """For each of `count` images how it is mixed.

    share      float32 (images,), how much of itself stays
    rectangle  int64 (images, 4), top, left, height, width of what is pasted; left out without `cutmix`
    pasted     bool (images,), whether it is pasted, where there are both: an even draw for each image
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
    """Rectangles of the image's own proportions that leave the share `stay`, about `middle` (images, 2) from 0 to 1.

    They end at the image's edge (Yun et al. 2019), so that more may stay.
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
    """Each of `pixels`, float32 (images, height, width, channels), mixed with that at its place in `partner`, int64 (images,)."""
    others = pixels[partner]
    blended = paste(pixels, others, values["rectangle"]) if "rectangle" in values else pixels
    if "rectangle" not in values or "pasted" in values:
        share = values["share"][:, None]
        mixed = torch.lerp(others.view(len(others), -1), pixels.reshape(len(pixels), -1), share).view(pixels.shape)
        if "pasted" in values:
            return torch.where(values["pasted"][:, None, None, None], blended, mixed)
        return mixed
    return blended
