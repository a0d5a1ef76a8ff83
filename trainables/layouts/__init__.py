"""Layouts: the ways in which people keep labelled images, one reader a file.

`list_images` finds out which one a source has, and returns a `Listing`: the images by name, label and split, none decoded yet.
`folders`, `tables`, `shards` and `arrays` are the readers; `base` is what they share. A new layout is a function that says whether a source
has it, one that lists it, and a line in `detect.LAYOUTS`.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.layouts.base.listing import ListedImage, Listing
    from trainables.layouts.detect import list_images

__all__ = ["ListedImage", "Listing", "list_images"]

__getattr__ = lazy_names(__name__, {"detect": ("list_images",), "base.listing": ("ListedImage", "Listing")})
