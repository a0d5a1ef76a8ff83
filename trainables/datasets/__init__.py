"""Where images come from: folders, tables, arrays, and data sets by name.

`load.load_images` goes from a `DataConfig` to an `ImageSet`; each kind of source has a file. `new_images` reads what is to be
predicted, `unlabelled` what is to be labelled.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.datasets.config import DataConfig
    from trainables.datasets.load import load_images
    from trainables.datasets.new_images import find_new_images, read_chunks
    from trainables.datasets.unlabelled import UnlabelledConfig, load_unlabelled

__all__ = ["DataConfig", "UnlabelledConfig", "find_new_images", "load_images", "load_unlabelled", "read_chunks"]

__getattr__ = lazy_names(
    __name__,
    {
        "config": ("DataConfig",),
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
