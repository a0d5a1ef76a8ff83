"""Decodes the images of a listing once: from the cache where they are there, else into memory or, where that is too small, its file."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL
from PIL import features

from trainables.cache.entry import Draft, Entry, read_entry
from trainables.cache.folder import Cache, find_cache, remove
from trainables.config.data import DataConfig, to_rgb
from trainables.data import decoding as decoding_module
from trainables.data.decoding import Decoding
from trainables.data.images import hash_images
from trainables.decoding import decode, decode_listing, deep_values, pixels
from trainables.decoding.decode import attempt_each, opening
from trainables.decoding.decode_listing import BadFile, Decoded, allocate_memory
from trainables.errors import CaucusError, DataError
from trainables.hardware.free_memory import free_memory_bytes
from trainables.layouts.base.listing import ListedImage

LIMIT_VARIABLE = "CAUCUS_IMAGE_BYTES"
"""Environment variable with the bytes of images that may lie in memory, for a machine that has other work to do."""

COPIES = 2
"""A set in memory is there twice once it is trained: with the driver, and in the shared memory that workers read."""

WORTH_KEEPING_S = 1.0
"""A set that is decoded faster is not kept: of 60,000 MNIST images it takes 0.4 s to look for an entry, and 0.2 s to copy them."""

LARGE_BYTES = 2**30
"""Of a set of this size and more a person is told, before it is decoded, how much memory it takes."""

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class OrderedImages:
    """Decoded images in the order of their hashes, and of equal ones of their ids."""

    decoded: Decoded
    image_sha256: tuple[str, ...]
    """The hash of each image's pixels."""
    origin: str
    """Where they came from, for people; "" where that took no time."""


def decode_once(images: Sequence[ListedImage], config: DataConfig, say: Say | None = None) -> OrderedImages:
    """All images, decoded as `decode_listing` does, in the order of their hashes; from the cache where an entry has them.

    Pixels that do not fit into memory are mapped from the cache's file, read-only. `say` is told what a large set will take. Raises
    `DataError` as `decode_listing`, and where the pixels fit neither into memory nor into a cache.
    """
    cache = find_cache(config.cache)
    name = name_entry(images, config) if cache else None
    if cache and name and (found := _read(cache, name, len(images))):
        return found
    with contextlib.ExitStack() as stack:
        room = _Room(cache, stack, say)
        start_s = time.monotonic()
        decoded = decode_listing.decode_listing(images, config, room.allocate)
        decoded_s = time.monotonic() - start_s
        hashes = hash_images(decoded.pixels)
        ids = [images[row].image_id for row in decoded.rows.tolist()]
        order = sorted(range(len(hashes)), key=lambda at: (hashes[at], ids[at]))
        room.reorder(decoded.pixels, order)
        rows, hashes = decoded.rows[order], tuple(hashes[at] for at in order)
        originals = None if decoded.originals is None else decoded.originals[order]
        decoded = replace(decoded, rows=rows, originals=originals)
        result = OrderedImages(decoded, hashes, "")
        said = f"decoded {len(rows):,} images in {decoded_s:.1f} s"
        if name and not (decoded.is_lasting and _are_unchanged(images, config, name)):
            name = None
        if room.draft is not None:
            assert cache is not None
            entry = _keep(room.draft, name or f"once-{secrets.token_hex(16)}", result)
            if isinstance(entry, str):
                raise DataError(f"{room.need}; {cache.path} did not keep them ({entry}): {_WHAT_TO_DO}")
            return OrderedImages(
                replace(decoded, pixels=entry.pixels), hashes, f"{said}; they stay on the disk, in {cache.path}"
            )
        is_slow = decoded_s >= WORTH_KEEPING_S
        if cache is None or name is None or not (is_slow or cache.keeps_all):
            return OrderedImages(result.decoded, hashes, said if is_slow else "")
        kept = _keep_copy(cache, name, result)
        told = f"; they are not kept: {kept}" if isinstance(kept, str) else f", kept in {cache.path}"
        return OrderedImages(result.decoded, hashes, said + told)


_WHAT_TO_DO = "lower data.size, free some memory, or name a folder on a disk with room for them, with data.cache= or as CAUCUS_CACHE"


class _Room:
    """Makes room for the pixels of one set: in memory, or in a file of the cache where that is too small."""

    def __init__(self, cache: Cache | None, stack: contextlib.ExitStack, say: Say | None) -> None:
        self._cache, self._stack, self._say = cache, stack, say
        self.draft: Draft | None = None
        """The file that the pixels lie in; None where they lie in memory."""
        self.need = ""
        """What the set takes and what is there, in words."""

    def allocate(self, count: int, decoding: Decoding) -> npt.NDArray[np.uint8]:
        """Room for all images, in place of what was allocated before. Raises `DataError`."""
        if self.draft is not None:
            self.draft.close()
            self.draft = None
        shape = (count, decoding.height, decoding.width, decoding.channels)
        size_bytes = count * decoding.height * decoding.width * decoding.channels
        limit_bytes, is_free = memory_limit()
        what = "of memory are free" if is_free else f"may lie in memory ({LIMIT_VARIABLE})"
        self.need = (
            f"{count:,} images of {' x '.join(map(str, shape[1:]))} take {_gib(size_bytes)}; {_gib(limit_bytes)} {what}"
        )
        if fits(size_bytes):
            self._tell("", size_bytes)
            return allocate_memory(count, decoding)
        reason = "there is no cache (data.cache is off)"
        if self._cache is not None:
            try:
                self.draft = self._stack.enter_context(Draft(self._cache, shape))
                mapped = self.draft.map()
            except (OSError, ValueError, OverflowError) as error:
                self.draft = None
                reason = f"{self._cache.path} cannot hold them ({getattr(error, 'strerror', None) or error})"
            else:
                self._tell(f": they stay on the disk, in {self._cache.path}", size_bytes)
                return mapped
        if size_bytes > limit_bytes:
            raise DataError(f"{self.need}, and {reason}: {_WHAT_TO_DO}")
        self._tell(f", not enough for a copy for the workers, and {reason}", LARGE_BYTES)
        return allocate_memory(count, decoding)

    def reorder(self, found: npt.NDArray[np.uint8], order: Sequence[int]) -> None:
        """Bring the pixels into `order`: in place, or in another file where the disk has room for both."""
        if self.draft is not None:
            assert self._cache is not None
            try:
                ordered = self._stack.enter_context(Draft(self._cache, found.shape))
                ordered.write_from(self.draft, order)
            except OSError:
                pass
            else:
                self.draft.close()
                self.draft = ordered
                return
        reorder(found, order)

    def _tell(self, more: str, size_bytes: int) -> None:
        if self._say is not None and (more or size_bytes >= LARGE_BYTES):
            self._say(self.need + more)


def memory_limit() -> tuple[int, bool]:
    """The bytes that images may take, and whether that is the memory that is free. Raises `DataError` where `LIMIT_VARIABLE` is no number."""
    raw = os.environ.get(LIMIT_VARIABLE, "").strip()
    if raw and not raw.isdecimal():
        raise DataError(f"{LIMIT_VARIABLE} is {raw!r}: a whole number of bytes, such as 2000000000, or nothing")
    return (int(raw), False) if raw else (free_memory_bytes(), True)


def fits(size_bytes: int) -> bool:
    """Whether pixels of this size are loaded into memory."""
    limit_bytes, is_free = memory_limit()
    return (COPIES if is_free else 1) * size_bytes <= limit_bytes


def name_entry(images: Sequence[ListedImage], config: DataConfig) -> str | None:
    """The name of the entry with these images: a hash of all that decides their pixels. None where something of it is not known.

    It covers each image's id and its stamp or content, the keys of the decoding, and the versions of our code, of Pillow and of its
    libraries.
    """
    code = _code_version()
    stamps = _stamp_all(images) if code else []
    if not all(stamps) or not stamps:
        return None
    decided = {
        "code": code,
        "size": config.height_width,
        "channels": config.channels,
        "background": to_rgb(config.background),
        "fit": config.fit,
        "bits": config.bits,
        "unreadable": config.unreadable,
        "images": [[image.image_id, stamp] for image, stamp in zip(images, stamps, strict=True)],
    }
    return hashlib.sha256(json.dumps(decided).encode()).hexdigest()


def reorder(pixels: npt.NDArray[np.uint8], order: Sequence[int]) -> None:
    """Make image `at` that which was image `order[at]`, in place: a copy of the set would take the memory twice."""
    is_done = [False] * len(order)
    for start, first in enumerate(order):
        if is_done[start] or first == start:
            continue
        held = pixels[start].copy()
        at = start
        while order[at] != start:
            pixels[at] = pixels[order[at]]
            is_done[at] = True
            at = order[at]
        pixels[at] = held
        is_done[at] = True


def _stamp_all(images: Sequence[ListedImage]) -> list[str]:
    """What tells each image from others; "" where nothing does, or where it cannot be read."""
    if all(image.stamp is not None for image in images):  # which reads no file, and threads would take more time for
        stamps: list[str] = []
        try:
            stamps += (image.stamp() for image in images if image.stamp is not None)
        except (CaucusError, OSError):
            stamps.append("")
        return stamps
    return [
        found if isinstance(found, str) else "" for found in attempt_each(lambda at: _stamp(images[at]), len(images))
    ]


def _stamp(image: ListedImage) -> str:
    if image.stamp is not None:
        return image.stamp()
    with opening(image.open) as content:
        if isinstance(content, np.ndarray):
            kind = f"{content.dtype}{content.shape}"
            return f"{kind} {hashlib.sha256(np.ascontiguousarray(content).data).hexdigest()}"
        return hashlib.sha256(content.read()).hexdigest()


def _are_unchanged(images: Sequence[ListedImage], config: DataConfig, name: str) -> bool:
    """Whether the images are still those of `name`: while they were decoded somebody may have written to them. What is named after its
    content is in memory, and not read again."""
    return any(image.stamp is None for image in images) or name_entry(images, config) == name


@functools.cache
def _code_version() -> str | None:
    """A hash of the code that makes pixels and of the versions of what it calls; None where the code cannot be read."""
    found = hashlib.sha256(f"{platform.machine()} Pillow {PIL.__version__}".encode())
    for library in ("jpg", "libjpeg_turbo", "zlib", "webp", "libtiff", "avif"):
        found.update(f" {library} {features.version(library)}".encode())
    try:
        for module in (decode, pixels, decode_listing, deep_values, decoding_module):
            found.update(Path(str(module.__file__)).read_bytes())
    except OSError:
        return None
    return found.hexdigest()


def _read(cache: Cache, name: str, listed: int) -> OrderedImages | None:
    """The images of an entry; None where there is none that is whole."""
    entry = read_entry(cache, name)
    if entry is None:
        return None
    try:
        details = entry.details
        rows = np.unique(entry.rows)
        if len(rows) != len(entry.rows) or not 0 <= rows[0] <= rows[-1] < listed:
            raise ValueError("rows of another listing")
        found = entry.load() if fits(entry.pixels.nbytes) else entry.pixels
        decoded = Decoded(
            found,
            entry.rows,
            Decoding.from_dict(details["decoding"]),
            tuple(BadFile(str(bad), str(reason)) for bad, reason in details["bad"]),
            tuple(map(str, details["notes"])),
            originals=_read_originals(details["originals"], len(rows)),
        )
    except (OSError, ValueError, KeyError, TypeError):
        remove(cache.path / name)
        return None
    where = "" if found is not entry.pixels else "; they stay there, for they are too large for the memory that is free"
    return OrderedImages(decoded, entry.image_sha256, f"{len(found):,} images from the cache in {cache.path}{where}")


def _read_originals(values: object, count: int) -> npt.NDArray[np.int64] | None:
    """Height, width and bytes of each file, int64 (images, 3). Raises `ValueError` and `TypeError` for anything else."""
    return None if values is None else np.array(values, np.int64).reshape(count, 3)


def _keep_copy(cache: Cache, name: str, images: OrderedImages) -> Entry | str:
    """The entry of pixels that lie in memory, or why there is none."""
    try:
        with Draft(cache, images.decoded.pixels.shape) as draft:
            draft.write(images.decoded.pixels)
            return _keep(draft, name, images)
    except OSError as error:
        return error.strerror or str(error)


def _keep(draft: Draft, name: str, images: OrderedImages) -> Entry | str:
    """The entry of pixels that lie in `draft`, or why there is none."""
    decoded = images.decoded
    details = {
        "decoding": decoded.decoding.to_dict(),
        "notes": list(decoded.notes),
        "bad": [[bad.name, bad.reason] for bad in decoded.bad],
        "originals": None if decoded.originals is None else decoded.originals.ravel().tolist(),
    }
    try:
        return draft.keep(name, decoded.rows, images.image_sha256, details) or "what was written cannot be read"
    except OSError as error:
        return error.strerror or str(error)
    except UnicodeEncodeError:  # a file's name that is no text
        return "a file has a name that is no text"


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:,.1f} GiB"
