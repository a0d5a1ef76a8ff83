"""IDX files (LeCun 1998): arrays of up to four dimensions, as the MNIST family is published in."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.errors import DataError
from trainables.tables.unpacked_size import DecompressionBomb, check_unpacked

KINDS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The type of the values, by the third byte of the file: big-endian, as all of it."""

BYTES = 0x08

_READ_BYTES = 2**24


def unpack_gzip(packed: bytes) -> bytes:
    """The content of a gzip file.

    Raises `DecompressionBomb` as soon as it exceeds the limit for a file of that size, and `OSError`, `EOFError` or
    `zlib.error` where it is damaged.
    """
    parts, unpacked_bytes = [], 0
    with gzip.open(io.BytesIO(packed)) as file:
        while part := file.read(_READ_BYTES):
            unpacked_bytes += len(part)
            check_unpacked(len(packed), unpacked_bytes)
            parts.append(part)
    return b"".join(parts)


def unpack_idx(name: str, data: bytes) -> bytes:
    """The content of the file `name`, which is a gzip file where its name says so. Raises `DataError`."""
    try:
        return unpack_gzip(data) if name.endswith(".gz") else data
    except (OSError, EOFError, DecompressionBomb, zlib.error) as error:
        raise DataError(f"{name} cannot be read ({error}): fetch it again") from None


def parse_idx(name: str, data: bytes, dimensions: int, kind: int = BYTES) -> npt.NDArray[Any]:
    """The values of an unpacked IDX file: two zeros, kind and number of dimensions in a byte each, the sizes, the values.

    Raises `DataError`, which names the file and the problem.
    """
    head = np.frombuffer(data[: 4 * (1 + dimensions)], ">u4") if len(data) >= 4 * (1 + dimensions) else None
    magic = 256 * kind + dimensions
    if head is None or head[0] != magic:
        found = f"0x{data[:4].hex()}" if data else "nothing"
        raise DataError(
            f"{name} starts with {found}, not with 0x{magic:08x} and {dimensions} sizes: it is no such IDX file"
        )
    shape = tuple(int(length) for length in head[1:])
    values = np.dtype(KINDS[kind])
    promised, held = int(np.prod(shape, dtype=object)) * values.itemsize, len(data) - head.nbytes
    if held != promised:
        raise DataError(f"{name} promises {promised} bytes of {shape} values, but holds {held}: fetch it again")
    return np.frombuffer(data, values, offset=head.nbytes).reshape(shape)


def parse_images(name: str, data: bytes) -> npt.NDArray[np.uint8]:
    """Images of an unpacked IDX file, uint8 (images, height, width[, 1 or 3]). Raises `DataError`."""
    dimensions = 4 if data[3:4] == b"\x04" else 3
    pixels = parse_idx(name, data, dimensions)
    if dimensions == 4 and pixels.shape[3] not in (1, 3):
        raise DataError(
            f"{name} holds values of shape {pixels.shape}: images are (images, height, width), or have 1 or 3 channels last"
        )
    if pixels.size == 0 and len(pixels):
        raise DataError(f"{name} holds images of {pixels.shape[1:]} pixels: fetch it again")
    return pixels.astype(np.uint8, copy=False)


def parse_labels(name: str, data: bytes) -> npt.NDArray[np.int64]:
    """Labels of an unpacked IDX file, int64 (images,).

    Of two dimensions the first column holds the class (QMNIST, Yadav and Bottou 2019: class, then where the image came
    from). Raises `DataError`.
    """
    dimensions = 2 if data[3:4] == b"\x02" else 1
    kind = data[2] if len(data) > 2 and data[2] in (0x08, 0x09, 0x0B, 0x0C) else BYTES
    labels = parse_idx(name, data, dimensions, kind)
    if dimensions == 2 and not labels.shape[1]:
        raise DataError(f"{name} holds values of shape {labels.shape}, no column of labels: fetch it again")
    return (labels if dimensions == 1 else labels[:, 0]).astype(np.int64)
