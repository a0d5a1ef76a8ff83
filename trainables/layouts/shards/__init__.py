"""Layouts of images in shards: tar files of WebDataset, and the Arrow files that Hugging Face's `save_to_disk` writes."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.layouts.shards.arrow_folder import read_arrow_folder
    from trainables.layouts.shards.webdataset import read_webdataset

__all__ = ["read_arrow_folder", "read_webdataset"]

__getattr__ = lazy_names(__name__, {"arrow_folder": ("read_arrow_folder",), "webdataset": ("read_webdataset",)})
