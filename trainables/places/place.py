"""The protocol of a place: named files that are listed and read, on a disk, in an archive or in a bucket."""

from __future__ import annotations

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


def read_bytes(place: Place, file: str) -> bytes:
    """The whole content of `file`. Raises `OSError`."""
    with place.open(file) as opened:
        return opened.read()


def read_head(place: Place, file: str, size_bytes: int) -> bytes:
    """The first `size_bytes` of `file`. Raises `OSError`."""
    with place.open(file) as opened:
        return opened.read(size_bytes)
