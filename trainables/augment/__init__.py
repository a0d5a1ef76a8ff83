"""Augmentation of training images, with draws for each image, in batches on the device that trains.

`pipeline` applies the values from `draws` with the pixel operations of `geometry`, `colour` and `mix`. A draw depends on
seed, epoch and image alone, so a resumed trial sees the same images.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.augment.draws import Draws, draw_values
    from trainables.augment.pipeline import Augment

__all__ = ["Augment", "Draws", "draw_values"]

__getattr__ = lazy_names(
    __name__,
    {
        "draws": (
            "Draws",
            "draw_values",
        ),
        "pipeline": ("Augment",),
    },
)
