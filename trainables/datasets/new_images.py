"""Images to be predicted: from a folder, a file, a table, an array or a bucket, converted to the input shape of the nets."""

from __future__ import annotations

import io
import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainables.data.image_shape import ImageShape
from trainables.datasets.decode import SUFFIXES, decode_image, open_regular, reason_of, some_of
from trainables.datasets.folder_tree import LeftOut, images_in, why_no_image
from trainables.datasets.image_table import TABLES, read_arrays, read_csv, read_parquet
from trainables.errors import DataError, ObjectMissing, StoreError
from trainables.store.base import Store
from trainables.store.keys import is_key
from trainables.store.open import open_store

CHUNK_BYTES = 64 * 2**20
MOST_IN_CHUNK = 2048

EMPTY = "an empty file"

Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int, int]
"""Height, width, channels."""


@dataclass(frozen=True)
class NewImage:
    """An image with its name; `load` returns uint8 (height, width, channels) of the given size, or raises an exception."""

    name: str
    load: Callable[[Size], Pixels]


@dataclass(frozen=True)
class BadImage:
    """An image that cannot be predicted."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Chunk:
    """A batch of images: names of the readable ones, their pixels uint8 (images, height, width, channels), and the bad ones."""

    names: tuple[str, ...]
    pixels: Pixels
    bad: tuple[BadImage, ...]


@dataclass(frozen=True)
class FoundImages:
    """The images that a source names."""

    images: tuple[NewImage, ...]
    passed_over: tuple[BadImage, ...] = ()
    """Hidden files, and files whose names are not those of images."""
    unread: tuple[BadImage, ...] = ()
    """Unreadable folders, whose images are therefore missing."""


def find_new_images(source: str, endpoint_url: str | None = None) -> list[NewImage]:
    """The images that `locate_images` finds, without the ignored files."""
    return list(locate_images(source, endpoint_url).images)


def locate_images(source: str, endpoint_url: str | None = None) -> FoundImages:
    """The images in `source`: a folder with all its subfolders, an image file, a table, an `.npz`, or any of these in S3.

    Names are paths relative to the folder, names in the table, or positions in the array. Raises `DataError` where there
    are no images, and `StoreError` where a bucket does not answer.
    """
    found = _find_in_bucket(source, endpoint_url) if "://" in source else _find_here(source)
    if not found.images:
        others = [f"{one.name} ({one.reason})" for one in (*found.unread, *found.passed_over)]
        held = f"; it holds {some_of(others)}" if others else ""
        raise DataError(
            f"{source} holds no image ({' '.join(SUFFIXES)}){held}: name a folder, a table or a file with some"
        )
    return found


def read_chunks(images: Sequence[NewImage], shape: ImageShape) -> Iterator[Chunk]:
    """The images in their order, in chunks; the next chunk is read while one is processed.

    Raises `StoreError` where a bucket stops answering, which is not an error of an image.
    """
    size = (shape.height, shape.width, shape.channels)
    count = min(MOST_IN_CHUNK, max(1, CHUNK_BYTES // (shape.height * shape.width * shape.channels)))
    Image.init()  # here, because loading the readers is not safe from several threads at once
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        parts = [images[start : start + count] for start in range(0, len(images), count)]
        ahead: list[Future[Pixels | BadImage]] = []
        for place in range(len(parts) + 1):
            under_way, ahead = ahead, []
            if place < len(parts):
                ahead = [pool.submit(_load, image, size) for image in parts[place]]
            if place:
                yield _gather(parts[place - 1], [future.result() for future in under_way], size)


def _load(image: NewImage, size: Size) -> Pixels | BadImage:
    try:
        image.name.encode()
        return image.load(size)
    except UnicodeEncodeError:
        return BadImage(ascii(image.name), "its name is not UTF-8: rename it")
    except ObjectMissing:
        return BadImage(image.name, "no such object")
    except StoreError:
        raise
    except Exception as error:  # on damaged files Pillow's readers raise nearly anything
        return BadImage(image.name, " ".join(reason_of(error).split()))


def _gather(images: Sequence[NewImage], loaded: Sequence[Pixels | BadImage], size: Size) -> Chunk:
    good = [(image.name, one) for image, one in zip(images, loaded, strict=True) if not isinstance(one, BadImage)]
    pixels = np.stack([one for _, one in good]) if good else np.empty((0, *size), np.uint8)
    return Chunk(tuple(name for name, _ in good), pixels, tuple(one for one in loaded if isinstance(one, BadImage)))


def _find_here(source: str) -> FoundImages:
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            return _find_in_folder(path)
        if not path.exists():
            raise DataError(f"{source} does not exist: name a folder, an image, a table ({' '.join(TABLES)}) or s3://…")
        suffix = path.suffix.lower()
        if suffix in TABLES:
            data = path.read_bytes()
            return FoundImages(
                _find_in_table(source, suffix, data, lambda cell: partial(_from_file, path.parent / cell))
            )
    except (OSError, RuntimeError) as error:  # `~nobody` is a RuntimeError
        raise DataError(f"{source} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if suffix not in SUFFIXES:
        raise DataError(f"{source} ends with {path.suffix or 'nothing'}: {_known()}")
    return FoundImages((NewImage(source, partial(_from_file, path)),))


def _find_in_folder(path: Path) -> FoundImages:
    left_out: list[LeftOut] = []
    files = sorted(images_in(str(path), left_out))

    def name(file: str) -> str:
        return Path(file).relative_to(path).as_posix() + "/" * file.endswith("/")

    others = sorted(left_out, key=lambda one: one.path)
    return FoundImages(
        tuple(NewImage(name(file), partial(_from_file, file)) for file in files),
        tuple(BadImage(name(one.path), one.reason) for one in others if not one.is_failure),
        tuple(BadImage(name(one.path), one.reason) for one in others if one.is_failure),
    )


def _find_in_bucket(source: str, endpoint_url: str | None) -> FoundImages:
    folder, _, name = source.rstrip("/").rpartition("/")
    suffix = Path(name).suffix.lower()
    if not folder.endswith("/") and not source.endswith("/") and suffix in (*TABLES, *SUFFIXES):
        store = open_store(folder, endpoint_url)
        if suffix in TABLES:
            cells = _find_in_table(source, suffix, store.get(name), lambda cell: partial(_from_store, store, cell))
            return FoundImages(cells)
        store.get(name)  # a mistyped name is an error, not a bad image
        return FoundImages((NewImage(source, partial(_from_store, store, name)),))
    store = open_store(source.rstrip("/"), endpoint_url)
    store.check()
    keys = [found.key for found in store.find("")]
    return FoundImages(
        tuple(NewImage(key, partial(_from_store, store, key)) for key in keys if _is_image(key)),
        tuple(BadImage(key, _why_no_image(key)) for key in keys if not _is_image(key)),
    )


def _is_image(key: str) -> bool:
    hidden = any(part.startswith(".") for part in key.split("/"))
    return not hidden and os.path.splitext(key)[1].lower() in SUFFIXES  # noqa: PTH122 a key is no path


def _why_no_image(key: str) -> str:
    hidden = any(part.startswith(".") for part in key.split("/")[:-1])
    return "in a hidden folder" if hidden else why_no_image(key.rpartition("/")[2])


def _find_in_table(
    source: str, suffix: str, data: bytes, locate: Callable[[str], Callable[[Size], Pixels]]
) -> tuple[NewImage, ...]:
    match suffix:
        case ".csv":
            cells: Sequence[Any] = read_csv(source, data)
        case ".parquet":
            cells = read_parquet(source, data)
        case _:
            pixels = read_arrays(source, data)
            return tuple(NewImage(str(row), partial(_from_array, pixels, row)) for row in range(len(pixels)))
    return tuple(_from_cell(row, cell, locate) for row, cell in enumerate(cells))


def _from_cell(row: int, cell: Any, locate: Callable[[str], Callable[[Size], Pixels]]) -> NewImage:
    """An image from a file name, or from the bytes of a file, alone or with its name, which Parquet may contain instead."""
    if isinstance(cell, dict):
        name, cell = cell.get("path"), cell.get("bytes") or cell.get("path")
    else:
        name = cell if isinstance(cell, str) else None
    if isinstance(cell, bytes):
        return NewImage(str(name or row), partial(_from_bytes, cell))
    if not cell:
        return NewImage(str(row), _refuse_empty)
    return NewImage(str(name), locate(str(cell)))


def _from_file(path: str | Path, size: Size) -> Pixels:
    with open_regular(path) as file:
        if not os.fstat(file.fileno()).st_size:
            raise ValueError(EMPTY)
        return decode_image(file, *size)


def _from_store(store: Store, key: str, size: Size) -> Pixels:
    key = posixpath.normpath(key)
    if not is_key(key):  # a key from a table: the error is the table's, not the store's
        raise ValueError("its name can be no key below the table's folder")
    return _from_bytes(store.get(key), size)


def _from_bytes(data: bytes, size: Size) -> Pixels:
    if not data:
        raise ValueError(EMPTY)
    return decode_image(io.BytesIO(data), *size)


def _from_array(pixels: Pixels, row: int, size: Size) -> Pixels:
    """An image of an array, converted and resized like image files."""
    height, width, channels = size
    one = pixels[row]
    image = Image.fromarray(one[:, :, 0] if one.ndim == 3 and one.shape[2] == 1 else one)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(height, width, channels)


def _refuse_empty(size: Size) -> Pixels:
    raise ValueError("its row of the table names no image")


def _known() -> str:
    return f"images end with {' '.join(SUFFIXES)}, tables with {' '.join(TABLES)}"
