"""Loaders of images: lists those of a source, decodes them, deals their splits; and data sets by name.

`load.load_images` turns a `DataConfig` into an `ImageSet`; what a source holds is listed by `trainables.layouts`. `new_images` reads
images to be predicted, `unlabelled` images to be labelled, `frame` those of a data frame.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.datasets.frame import images_from_frame
    from trainables.datasets.load import load_images
    from trainables.datasets.new_images import find_new_images, read_chunks
    from trainables.datasets.unlabelled import UnlabelledConfig, load_unlabelled

__all__ = ["UnlabelledConfig", "find_new_images", "images_from_frame", "load_images", "load_unlabelled", "read_chunks"]

__getattr__ = lazy_names(
    __name__,
    {
        "frame": ("images_from_frame",),
        "load": ("load_images",),
        "new_images": (
            "find_new_images",
            "read_chunks",
        ),
        "unlabelled": (
            "UnlabelledConfig",
            "load_unlabelled",
        ),
    },
)
