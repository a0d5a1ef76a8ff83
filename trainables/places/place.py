"""The protocol of a place: named files that are listed and read, on a disk, in an archive or in a bucket."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import BinaryIO, Protocol


class Place(Protocol):
    """Files under relative names with forward slashes.

    Methods raise `DataError` where the whole place cannot be read; `open` raises `OSError` for one file that cannot, so that a
    reader of many files can name them all.
    """

    @property
    def name(self) -> str:
        """The place as messages name it: as the person typed it."""
        ...

    def files(self) -> Sequence[str]:
        """Names of all files at any depth, sorted, hidden ones too."""
        ...

    def folders(self) -> Sequence[str]:
        """Names of all folders at any depth, sorted, empty ones too where the place knows empty folders."""
        ...

    def open(self, file: str) -> BinaryIO:
        """The content of `file`, opened for reading; it can seek. Safe to call from several threads. Raises `OSError`."""
        ...

    def stamp(self, file: str) -> str:
        """A text that changes whenever the content of `file` does, told without reading it; "" where nothing tells. Raises `OSError`."""
        return ""


def stamp_opened(file: BinaryIO) -> str:
    """A text that changes whenever an opened file is written to; of one that is no file of a disk, the SHA-256 of its content.

    The time of the last change of a file's record (ctime) is part of it: no program can set it back, as it can the time of
    modification. It changes with a file's rights and name, too; then the content counts as another one, which costs time alone.
    """
    try:
        return describe_stat(os.fstat(file.fileno()))
    except OSError:  # it lies in memory
        file.seek(0)
        return hashlib.sha256(file.read()).hexdigest()


def describe_stat(found: os.stat_result) -> str:
    """Size and times of a file, as a stamp."""
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def read_bytes(place: Place, file: str) -> bytes:
    """The whole content of `file`. Raises `OSError`."""
    with place.open(file) as opened:
        return opened.read()


def read_head(place: Place, file: str, size_bytes: int) -> bytes:
    """The first `size_bytes` of `file`. Raises `OSError`."""
    with place.open(file) as opened:
        return opened.read(size_bytes)
