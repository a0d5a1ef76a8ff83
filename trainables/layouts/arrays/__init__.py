"""Layouts of images as arrays: IDX, CIFAR, STL-10, MATLAB files, `.npz` and `.npy`. No pickle is read."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.layouts.arrays.arrays_file import read_arrays_file
    from trainables.layouts.arrays.idx import read_idx_files

__all__ = ["read_arrays_file", "read_idx_files"]

__getattr__ = lazy_names(__name__, {"arrays_file": ("read_arrays_file",), "idx": ("read_idx_files",)})
