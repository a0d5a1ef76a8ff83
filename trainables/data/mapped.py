"""Pixels that lie in a file and are mapped into memory: for workers on the same machine a path stands for them, no copy."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.data.images import ImageArrays
from trainables.errors import DataError


@dataclass(frozen=True)
class PixelFile:
    """Where mapped pixels lie: uint8 of `shape` (images, height, width, channels) from byte `offset` of `path`."""

    path: str
    offset: int
    shape: tuple[int, ...]
    left_as: tuple[int, int, int]
    """The file's size in bytes, time of modification in nanoseconds and number, by which another one is told apart."""

    def open(self) -> npt.NDArray[np.uint8]:
        """The pixels, read-only. Raises `DataError` where the file is gone or is another one."""
        try:
            with Path(self.path).open("rb") as file:
                if _stamp(file.fileno()) != self.left_as:
                    raise DataError(f"{self.path} has changed since the run began: run it again")
                return np.asarray(np.memmap(file, np.uint8, "r", self.offset, self.shape))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{self.path} holds the pixels and cannot be read ({reason}): run it again") from None


@dataclass(frozen=True, eq=False)
class MappedArrays:
    """`ImageArrays` to be sent to another process of this machine, with a file in place of the pixels."""

    file: PixelFile
    others: ImageArrays
    """Everything else; its pixels are of no image."""

    def open(self) -> ImageArrays:
        """The arrays with their pixels. Raises `DataError` as `PixelFile.open`."""
        return replace(self.others, pixels=self.file.open())


def find_file(pixels: npt.NDArray[np.uint8]) -> PixelFile | None:
    """The file that `pixels` are mapped from as a whole; None where they lie in memory."""
    base = pixels.base
    if not isinstance(base, np.memmap) or base.filename is None or pixels.flags.writeable:
        return None
    if base.shape != pixels.shape or base.ctypes.data != pixels.ctypes.data or not pixels.flags.c_contiguous:
        return None
    try:
        fd = os.open(base.filename, os.O_RDONLY)
    except OSError:
        return None
    try:
        return PixelFile(str(base.filename), base.offset, pixels.shape, _stamp(fd))
    finally:
        os.close(fd)


def read_ahead(pixels: npt.NDArray[np.uint8]) -> Callable[[Iterable[int]], None] | None:
    """What asks the system to read images, by their rows, of `pixels` that are mapped from a file; None for those in memory.

    It returns at once. The images of a batch are then read beside each other; else each waits for the one before.
    """
    base = pixels.base
    if find_file(pixels) is None or not isinstance(base, np.memmap) or not hasattr(mmap, "MADV_WILLNEED"):
        return None
    mapped: mmap.mmap = base._mmap  # type: ignore[attr-defined]
    first, image_bytes = base.offset % mmap.ALLOCATIONGRANULARITY, pixels[0].nbytes

    def ask(rows: Iterable[int]) -> None:
        for row in rows:
            start = first + row * image_bytes
            page = start - start % mmap.PAGESIZE
            mapped.madvise(mmap.MADV_WILLNEED, page, start + image_bytes - page)

    return ask


def without_copy(arrays: ImageArrays) -> ImageArrays | MappedArrays:
    """What a process of this machine is sent of `arrays`: pixels that are mapped from a file stay there."""
    file = find_file(arrays.pixels)
    return MappedArrays(file, replace(arrays, pixels=arrays.pixels[:0].copy())) if file else arrays


def _stamp(fd: int) -> tuple[int, int, int]:
    found = os.fstat(fd)
    return found.st_size, found.st_mtime_ns, found.st_ino
