"""From image files to pixels of one size: what a person sees, decoded once and kept.

`decode` and `pixels` make the pixels of one file, `decode_listing` those of all images of a source, whose size and channels it
finds; `decode_once` takes them from the cache where they are there, and maps what does not fit into memory.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.decoding.decode import decode_content
    from trainables.decoding.decode_listing import decode_as

__all__ = ["decode_as", "decode_content"]

__getattr__ = lazy_names(
    __name__,
    {
        "decode": ("decode_content",),
        "decode_listing": ("decode_as",),
    },
)
