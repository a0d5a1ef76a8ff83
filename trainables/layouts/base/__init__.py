"""What all readers of layouts share: the `Listing` that they return, image files told from others, names of splits."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.layouts.base.image_files import find_images
    from trainables.layouts.base.listing import ListedImage, Listing, list_array, list_file
    from trainables.layouts.base.split_names import find_split

__all__ = ["ListedImage", "Listing", "find_images", "find_split", "list_array", "list_file"]

__getattr__ = lazy_names(
    __name__,
    {
        "image_files": ("find_images",),
        "listing": (
            "ListedImage",
            "Listing",
            "list_array",
            "list_file",
        ),
        "split_names": ("find_split",),
    },
)
