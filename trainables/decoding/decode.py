"""Decodes image files to pixels of one size, with Pillow alone."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from trainables.data.decoding import FULL_SCALE, Decoding
from trainables.decoding.pixels import Look, Pixels, shrink_early, to_pixels
from trainables.layouts.base import image_files
from trainables.layouts.base.listing import Content

SUFFIXES = image_files.SUFFIXES

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "AVIF")
"""Formats that Pillow may detect, whatever the file name: its readers of rarer formats start other programs (EPS). JPEG has the
cameras' MPO, several JPEGs in a file, with it."""

MIXED_SIZE_PX = 64
"""Height and width for images of different sizes, where the sweep sets no size."""

MOST_PIXELS = 89_478_485
"""Largest number of pixels in an image file, at which Pillow warns. Decoded and converted they take half a gigabyte, in each of
up to 8 threads."""

EMPTY = "an empty file"

CHUNK = 32
"""Images that a thread decodes before it asks for more."""

_GREY_MODES = ("1", "L", "LA", "La", "F")
_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap height and width."""

_LEVELS_APART = {"L;2": 85, "L;4": 17}
"""Steps between the grey levels of PNG files with 2 and 4 bits, once they are decoded."""

T = TypeVar("T")


@dataclass(frozen=True)
class Head:
    """What the header of an image says: height and width in pixels, upright, and whether it is stored as grey."""

    height: int
    width: int
    is_grey: bool
    file_bytes: int = field(default=0, compare=False)
    """Size of the file; 0 where only reading all of it would tell, or there is none."""


def decode_content(content: Content, decoding: Decoding, look: Look | None = None) -> Pixels:
    """Pixels of one image, uint8 (height, width, channels); `reason_of` describes what is raised for one that is none.

    Images are turned by their EXIF orientation, and only the first of several frames is read. `look` is shown the stored values
    of 16-bit grey whose white the file does not state itself.
    """
    found = decode_if(content, lambda _: decoding, look)
    assert found is not None
    return found


def decode_if(content: Content, choose: Callable[[Head], Decoding | None], look: Look | None = None) -> Pixels | None:
    """`decode_content` with what `choose` returns for the head of the image, and None where that is None: a file is opened once."""
    if isinstance(content, np.ndarray):
        decoding = choose(read_head(content))
        if decoding is None:
            return None
        plain = content[..., None] if content.ndim == 2 else content
        is_done = plain.dtype == np.uint8 and plain.shape == (decoding.height, decoding.width, decoding.channels)
        return plain if is_done else to_pixels(_from_array(content), decoding)
    with _open_image(content) as opened:
        turn = _orientation(opened)
        decoding = choose(_head_of(opened, turn, content))
        if decoding is None:
            return None
        white = _stated_white(opened)
        _scale_key(opened)
        shrink_early(opened, turn in _TURNED, decoding)
        upright = opened if turn == 1 else ImageOps.exif_transpose(opened)
        if white is None:
            return to_pixels(upright, decoding, decoding.white, look)
        return to_pixels(upright, decoding, white)


def read_head(content: Content) -> Head:
    """The head of one image, without its pixels. Raises as `decode_content` does."""
    if isinstance(content, np.ndarray):
        return Head(content.shape[0], content.shape[1], content.ndim == 2 or content.shape[2] == 1)
    with _open_image(content) as image:
        return _head_of(image, _orientation(image), content)


def _measure_file(file: BinaryIO) -> int:
    """Bytes of a file on disk or in memory; 0 of a member of an archive, which would have to be unpacked."""
    if isinstance(file, io.BytesIO):
        return file.getbuffer().nbytes
    try:
        return os.fstat(file.fileno()).st_size
    except (AttributeError, OSError):
        return 0


@contextlib.contextmanager
def opening(open_content: Callable[[], Content]) -> Iterator[Content]:
    """The content that `open_content` returns, closed in the end where it is a file."""
    content = open_content()
    if isinstance(content, np.ndarray):
        yield content
        return
    with content:
        yield content


def attempt_each(work: Callable[[int], T], count: int) -> list[T | Exception]:
    """The result of `work` for each of `count` rows, or its exception, from a small thread pool (Pillow decodes without Python's
    lock). A thread takes `CHUNK` rows at a time: of small images a single one costs less than to hand it over."""
    Image.init()  # here, because loading the readers is not safe from several threads at once

    def attempt(row: int) -> T | Exception:
        try:
            return work(row)
        except Exception as error:  # on damaged files Pillow's readers raise nearly anything
            return error

    threads = os.cpu_count() or 1
    size = max(1, min(CHUNK, count // (4 * threads)))  # of few images, each thread has some

    def attempt_chunk(start: int) -> list[T | Exception]:
        return [attempt(row) for row in range(start, min(start + size, count))]

    with ThreadPoolExecutor(threads) as pool:
        return [done for chunk in pool.map(attempt_chunk, range(0, count, size)) for done in chunk]


def some_of(names: Sequence[str]) -> str:
    """The first three names, and the number of the others.

    >>> some_of(["a", "b", "c", "d", "e"]), some_of(["a", "b"])
    ('a, b, c and 2 more', 'a, b')
    """
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def reason_of(error: Exception) -> str:
    """The reason of an exception of Pillow, without the path that its message may repeat."""
    if isinstance(error, UnidentifiedImageError):
        return f"none of {', '.join(FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def fit_grey(
    grey: npt.NDArray[np.uint8], size: int | tuple[int, int] | None, channels: int | None
) -> npt.NDArray[np.uint8]:
    """Grey images (images, height, width) as (images, *`size`, `channels`). One number is height and width; None stands for the size
    as it is, and for one channel."""
    wanted = (size, size) if isinstance(size, int) else size
    if wanted is not None and grey.shape[1:] != wanted:
        resized = (Image.fromarray(image).resize(wanted[::-1], Image.Resampling.BILINEAR) for image in grey)
        grey = np.stack([np.asarray(image) for image in resized])
    return np.repeat(grey[..., None], channels or 1, axis=3)


def _head_of(image: Image.Image, turn: int, file: BinaryIO) -> Head:
    width, height = image.size
    if turn in _TURNED:
        width, height = height, width
    return Head(height, width, image.mode in _GREY_MODES or image.mode.startswith("I"), _measure_file(file))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation that remains to be applied, 1 where there is none."""
    if image.format == "TIFF":
        return 1  # Pillow returns the upright size and rotates the pixels itself
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # Pillow would decode the whole image to search an EXIF block after it, which no program writes
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def _open_image(file: BinaryIO) -> Image.Image:
    """Open an image file and read its header. Raises `ValueError` where it declares more pixels than any photograph has."""
    if not file.read(1):
        raise ValueError(EMPTY)
    file.seek(0)
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise ValueError(
            f"{image.width} x {image.height} pixels, more than {MOST_PIXELS:,}: a decompression bomb, or to be shrunk first"
        )
    return image


def _from_array(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)


def _stated_white(image: Image.Image) -> int | None:
    """The value of 16-bit grey that a file itself calls white, in Pillow's scale; None where it does not say."""
    codec, raw = _raw(image)
    if image.format == "PPM" and codec.startswith("ppm"):
        return FULL_SCALE  # Pillow has scaled the values from the file's maximum
    return 4095 if raw == "I;12" else None


def _scale_key(image: Image.Image) -> None:
    """Bring the colour that a PNG declares transparent to the scale of Pillow's pixels, which leaves it as it is stored."""
    key, (_, raw) = image.info.get("transparency"), _raw(image)
    if isinstance(key, int) and raw in _LEVELS_APART:
        image.info["transparency"] = key * _LEVELS_APART[raw]
    elif isinstance(key, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(level >> 8 for level in key)


def _raw(image: Image.Image) -> tuple[str, str]:
    """Pillow's names of the decoder and of the layout of the stored pixels, before they are decoded; "" for none."""
    for codec, _, _, details in getattr(image, "tile", ())[:1]:
        raw = details[0] if isinstance(details, tuple) and details else details
        return codec, raw if isinstance(raw, str) else ""
    return "", ""
