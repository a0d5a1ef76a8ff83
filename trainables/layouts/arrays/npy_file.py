"""NumPy's files (`.npy`, and `.npz`, which is a zip archive of them), checked before memory is allocated. No pickle is read."""

from __future__ import annotations

import io
import lzma
import math
import posixpath
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from trainables.errors import DataError
from trainables.places.place import Place
from trainables.tables.unpacked_size import check_unpacked

_DAMAGED = (
    ValueError,
    OSError,
    KeyError,
    EOFError,
    TypeError,
    RuntimeError,
    NotImplementedError,
    SyntaxError,
    OverflowError,
    MemoryError,
    tokenize.TokenError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
"""Exceptions of zipfile and NumPy for damaged files, encrypted archives, unknown compression, and headers that are no Python."""

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""By version. Version 3 is for names of columns that are not Latin, which images and labels do not have."""


def read_npz(
    place: Place, file: str, choose: Callable[[Sequence[str]], Sequence[str]]
) -> Mapping[str, npt.NDArray[Any]]:
    """Those arrays of an `.npz` file that `choose` returns of all their names. Raises `DataError`."""
    where = posixpath.join(place.name, file)
    try:
        with place.open(file) as opened, zipfile.ZipFile(opened) as archive:
            packed_bytes = opened.seek(0, io.SEEK_END)
            check_unpacked(packed_bytes, sum(part.file_size for part in archive.infolist()))
            entries = {
                part.filename.removesuffix(".npy"): part
                for part in archive.infolist()
                if part.filename.endswith(".npy")
            }
            arrays = {}
            for name in choose(list(entries)):
                with archive.open(entries[name]) as part:
                    _check_header(where, name, part, entries[name].file_size)
                with archive.open(entries[name]) as part:
                    arrays[name] = _read(part)
            return arrays
    except DataError:
        raise
    except _DAMAGED as error:
        raise DataError(f"{where} cannot be read as arrays ({error}): save it again with numpy.savez") from None


def read_npy(place: Place, file: str) -> npt.NDArray[Any]:
    """The array of an `.npy` file. Raises `DataError`."""
    where = posixpath.join(place.name, file)
    try:
        with place.open(file) as opened:
            size_bytes = opened.seek(0, io.SEEK_END)
            opened.seek(0)
            _check_header(where, "the array", opened, size_bytes)
            opened.seek(0)
            return _read(opened)
    except DataError:
        raise
    except _DAMAGED as error:
        raise DataError(f"{where} cannot be read as an array ({error}): save it again with numpy.save") from None


def _read(file: IO[bytes]) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return found


def _check_header(where: str, name: str, file: IO[bytes], size_bytes: int) -> None:
    """Raise `DataError` unless an array holds numbers, truths or text, and as many as its header declares."""
    version = np.lib.format.read_magic(file)
    if version not in _READERS:
        raise DataError(f"{name} of {where} is an array with the version {version}: save it as numbers or text")
    shape, _, kind = _READERS[version](file)
    if kind.hasobject:
        raise DataError(
            f"{name} of {where} holds Python objects, that is pickle, which is never read: save it as numbers or as text "
            "(`labels.astype(str)`)"
        )
    if kind.kind not in "buifUS":
        raise DataError(f"{name} of {where} is an array of {kind}: it must be numbers or text")
    if any(length < 0 for length in shape) or math.prod(shape) * kind.itemsize != size_bytes - file.tell():
        raise ValueError(f"{name} declares the shape {shape} of {kind}, and holds {size_bytes - file.tell():,} bytes")
