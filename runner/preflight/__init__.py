"""Checks before a sweep starts: models, augmentation, pixels, weights, learning rates."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.preflight.augment_keys import check_augment
    from runner.preflight.lr_range import measure_ranges
    from runner.preflight.model_check import check_models
    from runner.preflight.pin_weights import pin_pretrained_weights
    from runner.preflight.pixel_keys import check_pixels

__all__ = ["check_augment", "check_models", "check_pixels", "measure_ranges", "pin_pretrained_weights"]

__getattr__ = lazy_names(
    __name__,
    {
        "augment_keys": ("check_augment",),
        "lr_range": ("measure_ranges",),
        "model_check": ("check_models",),
        "pin_weights": ("pin_pretrained_weights",),
        "pixel_keys": ("check_pixels",),
    },
)
