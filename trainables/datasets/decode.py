"""Decodes image files to pixels of one size, with Pillow alone."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from trainables.data.images import ImageSet
from trainables.errors import DataError
from trainables.store import layout

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Suffixes, in lower case, of the image files in a folder tree."""

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""Formats that Pillow may detect, whatever the file name: its readers of rarer formats start other programs (EPS)."""

MIXED_SIZE_PX = 64
"""Height and width for images of different sizes, where the sweep sets no size."""

MOST_PIXELS = 89_478_485
"""Largest number of pixels in an image file, at which Pillow warns. Decoded and converted they take half a gigabyte, in each of
up to 8 threads."""

_GREY_MODES = ("1", "L", "LA", "F")
_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap height and width."""

_DEEPEST = 65535

T = TypeVar("T")


def decode_images(
    name: str, root: Path, class_of: Mapping[str, str], size: int | None, channels: int | None
) -> ImageSet:
    """The files `class_of` (path relative to `root`, which becomes the image id, to class name), all in `train`.

    The images are sorted by id, so that nothing depends on the order of a disk or a table; class names are sorted, too.
    Raises `DataError` as `decode_files` does.
    """
    image_ids = tuple(sorted(class_of))
    class_names = tuple(sorted(set(class_of.values())))
    place = {class_name: label for label, class_name in enumerate(class_names)}
    labels = np.array([place[class_of[image_id]] for image_id in image_ids], np.int64)
    pixels = decode_files(root, image_ids, size, channels)
    train = np.full(len(image_ids), layout.SPLITS.index("train"), np.int8)
    return ImageSet(name, pixels, labels, image_ids, class_names, train)


def decode_files(root: Path, files: Sequence[str], size: int | None, channels: int | None) -> npt.NDArray[np.uint8]:
    """Pixels of image files, uint8 (files, height, width, channels).

    Images are rotated by their EXIF orientation, 16-bit grey is scaled to 8 bits, transparency is dropped, and only the first of
    several frames is read; resizing is bilinear with antialiasing. `size` (pixels) None: the files' own size where all are equal,
    else `MIXED_SIZE_PX`. `channels` None: 1 where every file is stored as grey, else 3.
    Raises `DataError`, which names files that Pillow cannot read or refuses as decompression bombs.
    """
    Image.init()  # here, because loading the readers is not safe from several threads at once
    height = width = size or MIXED_SIZE_PX
    if size is None or channels is None:
        heads = _each(lambda row: _read_head(root / files[row]), files)
        shapes = {(tall, wide) for tall, wide, _ in heads}
        if size is None and len(shapes) == 1:
            ((height, width),) = shapes
        channels = channels or (1 if all(grey for _, _, grey in heads) else 3)
    pixels = np.empty((len(files), height, width, channels), np.uint8)

    def fill(row: int) -> None:
        pixels[row] = _decode(root / files[row], height, width, channels)

    _each(fill, files)
    return pixels


def fit_grey(grey: npt.NDArray[np.uint8], size: int | None, channels: int | None) -> npt.NDArray[np.uint8]:
    """Grey images (images, height, width) as (images, `size`, `size`, `channels`). None stands for the size as it is, and for one
    channel."""
    if size is not None and grey.shape[1:] != (size, size):
        resized = (Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR) for image in grey)
        grey = np.stack([np.asarray(image) for image in resized])
    return np.repeat(grey[..., None], channels or 1, axis=3)


def some_of(names: Sequence[str]) -> str:
    """The first three names, and the number of the others.

    >>> some_of(["a", "b", "c", "d", "e"]), some_of(["a", "b"])
    ('a, b, c and 2 more', 'a, b')
    """
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _each(work: Callable[[int], T], files: Sequence[str]) -> list[T]:
    """The results of `work` for every row, from a small thread pool (Pillow decodes without Python's lock)."""

    def attempt(row: int) -> T | Exception:
        try:
            return work(row)
        except Exception as error:  # on damaged files Pillow's readers raise nearly anything
            return error

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        done = list(pool.map(attempt, range(len(files))))
    results = [result for result in done if not isinstance(result, Exception)]
    if len(results) < len(done):
        failed = [
            f"{file} ({reason_of(why)})" for file, why in zip(files, done, strict=True) if isinstance(why, Exception)
        ]
        raise DataError(
            f"{len(failed)} of {len(files)} files cannot be read as images: {some_of(failed)}: repair or remove them"
        )
    return results


def reason_of(error: Exception) -> str:
    """The reason of an exception of Pillow, without the path that its message may repeat."""
    if isinstance(error, UnidentifiedImageError):
        return f"none of {', '.join(FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _read_head(path: Path) -> tuple[int, int, bool]:
    """Height and width of the upright image, and whether it is stored as grey, from the file's header alone."""
    with open_regular(path) as file, _open_image(file) as image:
        width, height = image.size
        if _orientation(image) in _TURNED:
            width, height = height, width
        return height, width, image.mode in _GREY_MODES or image.mode.startswith("I")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation that remains to be applied, 1 where there is none."""
    if image.format == "TIFF":
        return 1  # Pillow returns the upright size and rotates the pixels itself
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # Pillow would decode the whole image to search an EXIF block after it, which no program writes
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def _decode(path: Path, height: int, width: int, channels: int) -> npt.NDArray[np.uint8]:
    # a file, not a path: Pillow 13 swaps height and width of a rotated, uncompressed TIFF that it opens by path
    with open_regular(path) as file:
        return decode_image(file, height, width, channels)


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading and follow links. Raises `OSError`, also for a pipe or a device, which could block a reader for ever."""
    file: BinaryIO = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "a pipe or a device, no file")
    return file


def _open_image(file: BinaryIO) -> Image.Image:
    """Open an image file and read its header. Raises `ValueError` where it declares more pixels than any photograph has."""
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise ValueError(
            f"{image.width} x {image.height} pixels, more than {MOST_PIXELS:,}: a decompression bomb, or to be shrunk first"
        )
    return image


def decode_image(file: BinaryIO, height: int, width: int, channels: int) -> npt.NDArray[np.uint8]:
    """Pixels of one image file, uint8 (height, width, channels), as in `decode_files`; `reason_of` describes its exceptions."""
    with _open_image(file) as opened:
        upright = opened if _orientation(opened) == 1 else ImageOps.exif_transpose(opened)
        plain = _eight_bits(upright).convert("L" if channels == 1 else "RGB")
    if plain.size != (width, height):
        plain = plain.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(plain).reshape(height, width, channels)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit, rounded to nearest; Pillow's own conversion would cut everything above 255 to white."""
    if image.mode == "F":
        raise ValueError("floating-point pixels: save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    stored = np.asarray(image)
    if stored.min() < 0 or stored.max() > _DEEPEST:
        raise ValueError("32-bit pixels: save it with 8 or 16 bits")
    deep = stored.astype(np.uint32)  # one copy that is modified in place: an image may be large
    deep *= 255
    deep += _DEEPEST // 2
    deep //= _DEEPEST
    return Image.fromarray(deep.astype(np.uint8))
