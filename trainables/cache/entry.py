"""One set of decoded pixels on a disk: written aside and renamed when it is whole, mapped into memory and checked when it is read."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import math
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from trainables.cache.folder import DRAFT, ENTRY, LOCKED, Cache, make_room, remove
from trainables.data.images import hash_images
from trainables.errors import CaucusError
from trainables.store.atomic_file import write_whole
from trainables.store.json_records import seal_json, unseal_json

FORMAT = 1
"""Of the files of an entry. One of another format is not read."""

ROWS, HASHES = "rows.npy", "sha256.npy"

SAMPLE = 32
"""Images that are hashed whenever an entry is read. All are, where the file is not as its writer left it."""

_MOST_HEADER_BYTES = 4096
_DAMAGED = (CaucusError, OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, MemoryError, EOFError)


@dataclass(frozen=True, eq=False)
class Entry:
    """Decoded images, in the order of their hashes.

    pixels        uint8 (images, height, width, channels), read-only and mapped; it holds the entry's file as long as it exists
    rows          int64 (images,), the positions in the listing that they were decoded from
    image_sha256  the hash of each image's pixels
    details       what the writer said beside them
    """

    pixels: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    image_sha256: tuple[str, ...]
    details: Mapping[str, Any]

    def load(self) -> npt.NDArray[np.uint8]:
        """The pixels in memory, read from one end to the other. Raises `OSError` and `ValueError`."""
        mapped = self.pixels.base
        assert isinstance(mapped, np.memmap)
        return np.fromfile(str(mapped.filename), np.uint8, offset=mapped.offset).reshape(self.pixels.shape)


class Draft:
    """A new entry in the making: fill `map` or call `write`, then `keep`. What was not kept is removed at the end of the `with` block.

    Raises `OSError` where the folder cannot be written or has no room, here and in every method.
    """

    def __init__(self, cache: Cache, shape: tuple[int, ...]) -> None:
        """Reserve the space for pixels of `shape` (images, height, width, channels): a full disk under a mapped file would kill
        the process."""
        self._cache, self._shape = cache, shape
        size_bytes = math.prod(shape)
        make_room(cache, size_bytes + 40 * shape[0] + 2**16)
        self._folder = cache.path / f"{DRAFT}{secrets.token_hex(8)}"
        self._folder.mkdir(mode=0o700)
        try:
            self._file = (self._folder / LOCKED).open("w+b")
            with contextlib.suppress(OSError):  # no locks on this file system
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._offset = self._write_header(shape)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, self._offset + size_bytes)
            else:
                self._file.truncate(self._offset + size_bytes)
        except BaseException:
            remove(self._folder)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the draft, unless it was kept."""
        self._file.close()
        if self._folder.name.startswith(DRAFT):
            remove(self._folder)

    def map(self) -> npt.NDArray[np.uint8]:
        """The pixels, to be filled in place."""
        return np.asarray(np.memmap(self._file, np.uint8, "r+", self._offset, self._shape))

    def write(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Write all pixels at once."""
        self._file.seek(self._offset)
        pixels.tofile(self._file)

    def write_from(self, other: Draft, order: Sequence[int]) -> None:
        """Write the images of `other` at these positions, one after the other.

        Where memory is short, images that change places within one file cost a read and a write each, wherever they lie.
        """
        image_bytes = math.prod(self._shape[1:])
        self._file.seek(self._offset)
        for at in order:
            content = os.pread(other._file.fileno(), image_bytes, other._offset + at * image_bytes)
            if len(content) < image_bytes:
                raise OSError("the file that pixels were decoded into is cut short")
            self._file.write(content)

    def keep(
        self, key: str, rows: npt.NDArray[np.int64], image_sha256: Sequence[str], details: Mapping[str, Any]
    ) -> Entry | None:
        """The entry `key` with the first images of the pixels, as many as there are `rows`; another process's where that was faster.

        None where neither could be read again.
        """
        self._file.flush()
        kept = (len(rows), *self._shape[1:])
        if self._write_header(kept) != self._offset:
            raise OSError("the header of the array has another length")
        self._file.truncate(self._offset + math.prod(kept))
        self._file.flush()
        os.fsync(self._file.fileno())
        hashes = np.frombuffer(bytes.fromhex("".join(image_sha256)), np.uint8).reshape(-1, 32)
        files = {ROWS: _to_npy(np.ascontiguousarray(rows, np.int64)), HASHES: _to_npy(hashes)}
        for name, data in files.items():
            write_whole(self._folder / name, data)
        record = {
            "format": FORMAT,
            "key": key,
            "shape": list(kept),
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
            "left_as": _stamp(self._file),
            "details": dict(details),
        }
        write_whole(self._folder / ENTRY, seal_json(record))
        return self._publish(key)

    def _publish(self, key: str) -> Entry | None:
        with contextlib.suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        final = self._cache.path / key
        for _ in range(2):
            try:
                self._folder.rename(final)
            except OSError:  # another process was faster, or left a damaged one
                if found := read_entry(self._cache, key):
                    return found
            else:
                self._folder = final
                return read_entry(self._cache, key)
        return None

    def _write_header(self, shape: tuple[int, ...]) -> int:
        """Its length. Numpy leaves room in it for other numbers of images."""
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file, {"shape": shape, "fortran_order": False, "descr": np.lib.format.dtype_to_descr(np.dtype("u1"))}
        )
        return self._file.tell()


def read_entry(cache: Cache, key: str) -> Entry | None:
    """The entry with the name `key`; None where there is none. One that is damaged, or is another's, is removed and not read."""
    folder = cache.path / key
    try:
        file = (folder / LOCKED).open("rb")
    except OSError:
        if folder.is_dir():
            remove(folder)
        return None
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        entry = _read(folder, key, file)
    except _DAMAGED:
        file.close()
        remove(folder)
        return None
    with contextlib.suppress(OSError):  # a folder that may only be read
        os.utime(folder / ENTRY)
    return entry


def _read(folder: Path, key: str, file: BinaryIO) -> Entry:
    data = (folder / ENTRY).read_bytes()
    record: dict[str, Any] = unseal_json(data, str(folder / ENTRY))
    if (
        seal_json(record) != data
        or record["format"] != FORMAT
        or record["key"] != key
        or not isinstance(record["details"], dict)
    ):
        raise ValueError("another entry's record")
    shape = tuple(record["shape"])
    if len(shape) != 4 or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("no shape of images")
    arrays = []
    for name, dtype, wanted in ((ROWS, np.int64, shape[:1]), (HASHES, np.uint8, (shape[0], 32))):
        content = (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != record["files"][name]:
            raise ValueError(f"{name} is not what was written")
        found = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        if found.dtype != dtype or found.shape != wanted:
            raise ValueError(f"{name} holds {found.dtype}{found.shape}")
        arrays.append(found)
    pixels = _map(file, shape)
    hashes = tuple(row.tobytes().hex() for row in arrays[1])
    is_left_alone = record["left_as"] == _stamp(file)
    checked = np.unique(np.linspace(0, shape[0] - 1, SAMPLE if is_left_alone else shape[0]).astype(np.int64)).tolist()
    if any(hash_images(pixels[row : row + 1])[0] != hashes[row] for row in checked):
        raise ValueError("pixels are not those that were written")
    if not is_left_alone:  # as after a copy to another disk
        with contextlib.suppress(OSError):
            write_whole(folder / ENTRY, seal_json({**record, "left_as": _stamp(file)}))
    return Entry(pixels, arrays[0], hashes, record["details"])


def _map(file: BinaryIO, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("another version of numpy's files")
    found, is_fortran, dtype = np.lib.format.read_array_header_1_0(file, _MOST_HEADER_BYTES)
    offset = file.tell()
    if found != shape or is_fortran or dtype != np.uint8:
        raise ValueError(f"pixels are {dtype}{found}, not uint8{shape}")
    if os.fstat(file.fileno()).st_size != offset + math.prod(shape):
        raise ValueError("pixels are cut short, or something follows them")
    mapped = np.memmap(file, np.uint8, "r", offset, shape)
    vars(mapped)["held"] = file  # and with it the lock
    return np.asarray(mapped)


def _to_npy(array: npt.NDArray[Any]) -> bytes:
    data = io.BytesIO()
    np.lib.format.write_array(data, array, allow_pickle=False)
    return data.getvalue()


def _stamp(file: BinaryIO) -> list[int]:
    """What changes whenever somebody writes to a file."""
    found = os.fstat(file.fileno())
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
