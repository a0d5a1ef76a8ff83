"""Numeric arrays of MATLAB files, version 5 (The MathWorks, "MAT-File Format", chapter 1).

`scipy.io.loadmat` is not used: on damaged bytes it ends the process with a bus error (SciPy 1.17).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.errors import DataError
from trainables.layouts.base.held_files import read_whole
from trainables.places.place import Place
from trainables.tables.unpacked_size import check_unpacked

_VERSION_5, _VERSION_7_3 = b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"
_HEADER_BYTES = 128
_ENDIAN = {b"IM": "<", b"MI": ">"}
"""Order of bytes, by the last two of the header."""

_VALUES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types in which numbers are stored, by the number in a tag."""

_MATRIX, _COMPRESSED = 14, 15
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Types of numeric arrays, by class; the stored type may be smaller: MATLAB saves whole numbers in few bytes."""

_COMPLEX = 0x0800
_MOST_DIMENSIONS = 8


def read_mat(place: Place, file: str, names: Collection[str]) -> Mapping[str, npt.NDArray[Any]]:
    """The numeric arrays `names` of a MATLAB file of version 5, with MATLAB's shapes of two dimensions or more.

    Raises `DataError` where the file is damaged, lacks one of them, or has another version.
    """
    data = read_whole(place, file)
    where = f"{place.name.rstrip('/')}/{file}"
    if data.startswith(_VERSION_7_3):
        raise DataError(f"{where} is a MATLAB file of version 7.3, which is not read: save it with `save -v7`")
    endian = _ENDIAN.get(data[_HEADER_BYTES - 2 : _HEADER_BYTES])
    if not data.startswith(_VERSION_5) or endian is None:
        raise DataError(f"{where} starts with {data[:12]!r}, not as a MATLAB file of version 5: fetch it again")
    try:
        arrays = dict(_parse_all(memoryview(data)[_HEADER_BYTES:], endian, names))
    except (ValueError, zlib.error, struct.error) as error:
        raise DataError(f"{where} cannot be read as a MATLAB file ({error}): fetch it again") from None
    if missing := [name for name in names if name not in arrays]:
        raise DataError(f"{where} holds no array called {missing[0]!r}: fetch it again")
    return arrays


def _parse_all(data: memoryview, endian: str, names: Collection[str]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Names and values of those arrays that are called for. Raises `ValueError`, `zlib.error` and `struct.error`."""
    place = 0
    while place < len(data):
        kind, content, place = _read_element(data, place, endian)
        if kind == _COMPRESSED:
            kind, content, _ = _read_element(memoryview(_inflate(content, endian)), 0, endian)
        if kind == _MATRIX and (found := _parse_matrix(content, endian, names)):
            yield found


def _read_element(data: memoryview, place: int, endian: str) -> tuple[int, memoryview, int]:
    """Type and content of the element at `place`, and the place of the next."""
    kind, size_bytes = struct.unpack_from(f"{endian}II", data, place)
    if kind >> 16:  # up to four bytes stand in the tag itself, beside their number
        kind, size_bytes, start, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
    else:
        start = place + 8
        # All but compressed elements are filled up to eight bytes.
        end = start + (size_bytes if kind == _COMPRESSED else -(-size_bytes // 8) * 8)
    if start + size_bytes > min(end, len(data)):
        raise ValueError(f"an element of {size_bytes:,} bytes is cut short")
    return kind, data[start : start + size_bytes], end


def _inflate(packed: memoryview, endian: str) -> bytes:
    """The content of a compressed element. Raises `zlib.error` and `ValueError`, also for a decompression bomb."""
    stream = zlib.decompressobj()
    head = stream.decompress(packed, 8)
    # The tag of the one element within says how long it is: no more is unpacked.
    (size_bytes,) = struct.unpack_from(f"{endian}I", head, 4)
    check_unpacked(len(packed), size_bytes)
    content = head + (stream.decompress(stream.unconsumed_tail, size_bytes) if size_bytes else b"")
    stream.decompress(stream.unconsumed_tail, 1)  # raises where the checksum, which comes last, is another
    return content


def _parse_matrix(data: memoryview, endian: str, names: Collection[str]) -> tuple[str, npt.NDArray[Any]] | None:
    """Name and values of an array; None where it is not called for."""
    _, flags, place = _read_element(data, 0, endian)
    _, dimensions, place = _read_element(data, place, endian)
    _, raw_name, place = _read_element(data, place, endian)
    name = bytes(raw_name).decode("latin-1")
    if name not in names:
        return None
    if len(flags) != 8 or len(dimensions) % 4 or not 8 <= len(dimensions) <= 4 * _MOST_DIMENSIONS:
        raise ValueError(f"the head of {name!r} has a wrong length")
    flag = struct.unpack(f"{endian}I", flags[:4])[0]
    if flag & 0xFF not in _CLASSES or flag & _COMPLEX:
        raise ValueError(f"{name!r} is no array of real numbers")
    kind, content, _ = _read_element(data, place, endian)
    if kind not in _VALUES:
        raise ValueError(f"{name!r} stores its values as type {kind}")
    shape = struct.unpack(f"{endian}{len(dimensions) // 4}i", dimensions)
    stored = np.dtype(endian + _VALUES[kind])
    if min(shape) < 0 or math.prod(shape) * stored.itemsize != len(content):
        raise ValueError(f"{name!r} declares the shape {shape} of {stored}, and holds {len(content):,} bytes")
    values = np.frombuffer(content, stored).reshape(shape, order="F")
    if values.dtype == np.dtype(_CLASSES[flag & 0xFF]):
        return name, values
    with np.errstate(invalid="ignore"):  # damaged floats that no whole number is: what reads them checks the range
        return name, values.astype(_CLASSES[flag & 0xFF])
