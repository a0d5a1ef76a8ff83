"""Augmentation of training images, with draws for each image, in batches on the device that trains.

torchvision's transforms draw once for all images of a batch. Here every image has values of its own, from a separate
generator: so the images of an epoch follow from its seed alone, independently of dropout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainables.augment.colour import COLOURS, recolour
from trainables.augment.draws import COLOURED, GREATEST, Draws, Values, draw_values
from trainables.augment.geometry import (
    AFFINE,
    affine_maps,
    crop_images,
    erase_images,
    flip_images,
    places_of,
    sample_images,
)
from trainables.augment.mix import Mixed, beta_quantiles, draw_mixes, mix_pixels
from trainables.config.augment import AugmentConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import DataError
from trainables.plugins.call import choose_keys, naming, refuse_unknown
from trainables.plugins.kinds import AUGMENTATION

__all__ = ["Augment", "Mixed", "check_channels"]


def check_channels(keys: list[str], channels: int) -> None:
    """Raise `DataError` where one of `keys`, such as `hue`, needs colours, and the images do not have three channels."""
    for key in keys:
        if key in COLOURED and channels != 3:
            raise DataError(
                f"augment.{key} needs images with three channels, and these have {channels}: leave it out, "
                "or take exposure and contrast"
            )


class Augment:
    """Augments batches of images. All draws come from one generator, which `begin` seeds for an epoch."""

    def __init__(self, config: AugmentConfig, shape: ImageShape, device: torch.device) -> None:
        """Raises `DataError` as `check_channels`, and `PluginUnusable` where there is no such plug-in, or it does not take a key."""
        check_channels([key for key in COLOURED if getattr(config, key)], shape.channels)
        self._config = config
        self._shape = shape
        self._device = device
        self._generator = torch.Generator(device)
        self._places = places_of(shape.height, shape.width, device)
        self._quantiles = {
            name: beta_quantiles(alpha, device)
            for name, alpha in (("mixup", config.mixup), ("cutmix", config.cutmix))
            if alpha
        }
        self._function: Callable[..., Any] | None = None
        self._function_keys: dict[str, Any] = {}
        if config.function:
            self._function = AUGMENTATION.find(config.function)
            refuse_unknown("augment", config.custom_keys, {config.function: (self._function, 1)})
            known = {"generator": self._generator}
            self._function_keys = choose_keys(self._function, 1, known, config.custom_keys)
        self._values = Draws(self._draw_values)
        self._mixes = Draws(lambda count: draw_mixes(config, shape, self._quantiles, count, self._generator))

    @property
    def varies(self) -> bool:
        """Whether `vary` does anything."""
        return self._function is not None or any(
            getattr(self._config, key) for key in ("flip", "crop", "strength", *GREATEST)
        )

    @property
    def mixes(self) -> bool:
        """Whether `mix` does anything."""
        return bool(self._quantiles)

    def begin(self, seed: int) -> None:
        """Seed the generator and discard earlier draws."""
        self._generator.manual_seed(seed)
        self._values.begin()
        self._mixes.begin()

    def vary(self, images: Tensor) -> Tensor:
        """Augment `images`, float32 (images, channels, height, width) from 0 to 1; the result has the same shape and range.

        The order is geometry, colour, noise, erasing, plug-in. Input and output are in channels_last. `images` is not modified.
        """
        values = self._values.take(len(images))
        pixels = images.permute(0, 2, 3, 1).contiguous()
        if "maps" in values:
            pixels = sample_images(pixels, values["maps"], self._places)
        elif "crop" in values:
            pixels = crop_images(pixels, values["crop"], values.get("flip"))
        elif "flip" in values:
            pixels = flip_images(pixels, values["flip"])
        if is_recoloured := any(key in values for key in COLOURS):
            pixels = recolour(pixels, values)
        if "noise" in values:
            noise = torch.randn(len(pixels), pixels[0].numel(), generator=self._generator, device=self._device)
            pixels = noise.mul_(values["noise"][:, None]).view(pixels.shape).add_(pixels)
        if is_recoloured or "noise" in values:
            pixels = pixels.clamp_(0, 1)
        if "erasing" in values:
            pixels = erase_images(pixels, values["erasing"])
        varied = pixels.permute(0, 3, 1, 2)
        return varied if self._function is None else self._augment_by_plugin(varied)

    def _augment_by_plugin(self, images: Tensor) -> Tensor:
        """What the plug-in makes of `images`. It is called with them, and with `generator` and those keys that its signature names.

        Raises `DataError` where it fails, or returns images of another shape.
        """
        function, name = self._function, self._config.function
        assert function is not None
        with naming(f"augment.function is {name}", DataError):
            found = function(images, **self._function_keys)
        if not isinstance(found, Tensor) or found.shape != images.shape:
            what = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise DataError(
                f"augment.function is {name}: of images of shape {tuple(images.shape)} it returned {what}: return as many images of the "
                "same shape"
            )
        return found.to(images.dtype)

    def mix(self, images: Tensor, labels: Tensor) -> Mixed:
        """Mix each of `images` with another one of the batch. The pairs are a random permutation: an image may be paired with
        itself."""
        values = self._mixes.take(len(images))
        partner = torch.randperm(len(images), generator=self._generator, device=self._device)
        pixels = mix_pixels(images.permute(0, 2, 3, 1).contiguous(), partner, values)
        return Mixed(pixels.permute(0, 3, 1, 2), labels[partner], values["share"])

    def _draw_values(self, count: int) -> Values:
        drawn = draw_values(self._config, self._shape, count, self._generator)
        if any(key in drawn for key in AFFINE):
            maps = affine_maps(drawn, count, self._shape.height, self._shape.width, self._device)
            return {"maps": maps, **drawn}
        return drawn
