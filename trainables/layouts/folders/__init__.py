"""Layouts of image files in folders: one folder a class, split folders, labels in names, and sets published as folders and lists."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.layouts.folders.class_folders import read_folders
    from trainables.layouts.folders.named_files import read_named_files

__all__ = ["read_folders", "read_named_files"]

__getattr__ = lazy_names(__name__, {"class_folders": ("read_folders",), "named_files": ("read_named_files",)})
