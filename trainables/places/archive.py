"""A zip or tar archive as a place: its files are read where they lie, nothing is unpacked to a disk."""

from __future__ import annotations

import io
import lzma
import posixpath
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import BinaryIO

from typing_extensions import override

from trainables.errors import DataError
from trainables.places.place import Place, stamp_opened
from trainables.tables.unpacked_size import DecompressionBomb, check_unpacked

ZIPS = (".zip",)
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

_END_BYTES = 1024

_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
    NotImplementedError,
    zlib.error,
    lzma.LZMAError,
)
"""Exceptions of zipfile and tarfile for damaged and encrypted archives, and for unknown compression methods."""


class ZipPlace(Place):
    """The files of a zip archive."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        """Raises `DataError` where `file` is no zip archive, and where it would unpack to far more than its size."""
        self._name = name
        try:
            self._whole_stamp = stamp_opened(file)
            packed_bytes = file.seek(0, io.SEEK_END)
            self._archive = zipfile.ZipFile(file)
            entries = self._archive.infolist()
            check_unpacked(packed_bytes, sum(entry.file_size for entry in entries))
        except DecompressionBomb as error:
            raise DataError(f"{name}: {error}") from None
        except _DAMAGED as error:
            raise DataError(f"{name} cannot be read as a zip archive ({error}): fetch it again") from None
        self._entries = {clean: entry for entry in entries if not entry.is_dir() and (clean := _clean(entry.filename))}
        self._folders = _folders_of([*self._entries, *(entry.filename + "x" for entry in entries if entry.is_dir())])

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    def files(self) -> Sequence[str]:
        return sorted(self._entries)

    @override
    def folders(self) -> Sequence[str]:
        return self._folders

    @override
    def open(self, file: str) -> BinaryIO:
        if file not in self._entries:
            raise FileNotFoundError(2, "no such file in the archive", file)
        try:
            return io.BytesIO(self._archive.read(self._entries[file]))
        except _DAMAGED as error:
            raise OSError(f"damaged in the archive ({error})") from None

    @override
    def stamp(self, file: str) -> str:
        if file not in self._entries:
            raise FileNotFoundError(2, "no such file in the archive", file)
        entry = self._entries[file]
        return f"{entry.CRC:08x}:{entry.file_size}:{entry.header_offset}:{self._whole_stamp}"


class TarPlace(Place):
    """The files of a tar archive. One that is compressed as a whole is unpacked into memory, once, when it is opened."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        """Raises `DataError` where `file` is no tar archive, and where it would unpack to far more than its size."""
        self._name = name
        self._file = file
        self._lock = threading.Lock()
        self._whole_stamp = ""
        self._places: dict[str, tuple[int, int]] = {}
        self._contents: dict[str, bytes] = {}
        folders = []
        try:
            self._whole_stamp = stamp_opened(file)
            packed_bytes = file.seek(0, io.SEEK_END)
            is_plain = _is_plain_tar(file)
            if is_plain and not _ends_whole(file, packed_bytes):
                raise tarfile.TarError("it is cut short: it does not end with blocks of zeros")
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:" if is_plain else "r|*") as archive:
                unpacked_bytes = 0
                for entry in archive:
                    clean = _clean(entry.name)
                    if entry.isdir() and clean:
                        folders.append(f"{clean}/x")
                    if not entry.isfile() or not clean:
                        continue
                    if is_plain and not entry.sparse:
                        self._places[clean] = (entry.offset_data, entry.size)
                        continue
                    unpacked_bytes += entry.size
                    check_unpacked(packed_bytes, unpacked_bytes)
                    opened = archive.extractfile(entry)
                    assert opened is not None  # of a regular file
                    self._contents[clean] = opened.read()
        except DecompressionBomb as error:
            raise DataError(f"{name}: {error}") from None
        except _DAMAGED as error:
            raise DataError(f"{name} cannot be read as a tar archive ({error}): fetch it again") from None
        self._folders = _folders_of([*self._places, *self._contents, *folders])

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    def files(self) -> Sequence[str]:
        return sorted([*self._places, *self._contents])

    def in_order(self) -> Sequence[str]:
        """Names of all files in the order of the archive."""
        return [*self._places, *self._contents]

    @override
    def folders(self) -> Sequence[str]:
        return self._folders

    @override
    def open(self, file: str) -> BinaryIO:
        if file in self._contents:
            return io.BytesIO(self._contents[file])
        if file not in self._places:
            raise FileNotFoundError(2, "no such file in the archive", file)
        offset, size_bytes = self._places[file]
        with self._lock:
            self._file.seek(offset)
            content = self._file.read(size_bytes)
        if len(content) < size_bytes:
            raise OSError("cut short in the archive")
        return io.BytesIO(content)

    @override
    def stamp(self, file: str) -> str:
        if file not in self._places and file not in self._contents:
            raise FileNotFoundError(2, "no such file in the archive", file)
        return self._whole_stamp


def _is_plain_tar(file: BinaryIO) -> bool:
    """Whether a tar archive is not compressed as a whole."""
    file.seek(257)
    return file.read(5) == b"ustar"


def _ends_whole(file: BinaryIO, size_bytes: int) -> bool:
    """Whether a plain archive ends with two blocks of zeros, as POSIX asks: one that is cut between two entries would be read as a
    shorter one without a word."""
    file.seek(max(0, size_bytes - _END_BYTES))
    return file.read() == bytes(_END_BYTES)


def _clean(name: str) -> str:
    """The name of an entry without `./` and without a root, which programs that unpack leave out, too; "" for one that leads out of
    the archive, which no archive of images holds."""
    clean = posixpath.normpath(name.replace("\\", "/").lstrip("/"))
    return "" if clean in (".", "..") or clean.startswith("../") else clean


def _folders_of(names: Sequence[str]) -> list[str]:
    return sorted({str(above) for name in names for above in PurePosixPath(name).parents} - {".", "/"})
