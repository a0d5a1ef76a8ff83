"""Decodes the images of a listing: size, channels and depth are found from all of them, and all that cannot be read are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from trainables.config.data import DataConfig, to_rgb
from trainables.data.decoding import FULL_SCALE, Decoding
from trainables.datasets.decode import MIXED_SIZE_PX, Head, attempt_each, decode_content, opening, read_head, reason_of
from trainables.errors import DataError, ObjectMissing, StoreError
from trainables.layouts.base.listing import Content, ListedImage

SENSOR_BITS = (8, 10, 12, 14, 16)
"""Depths of sensors whose values are stored with 16 bits."""

MOST_SKIPPED = 0.05
"""Share of the images that `data.unreadable=skip` leaves out at most: of more, something is wrong with all."""

NAMED = 5
"""Unreadable images that a message names."""

FEW_LEVELS = 64
"""Grey levels of 256 below which a person is told how few are left of 16-bit images."""

_TAIL = 0.005
"""Share of the 16-bit values at each end that the note on few levels passes over: dead and hot pixels, a burnt-in scale."""

_BLOCK = 2**20
"""16-bit values that are counted at a time."""

T = TypeVar("T")


@dataclass(frozen=True)
class BadFile:
    """An image that cannot be decoded."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Decoded:
    """Decoded images, in the order of the listing.

    pixels     uint8 (images, height, width, channels)
    rows       int64 (images,), the positions in the listing of the images that could be decoded
    decoding   how they were decoded, for images that are to be compared with these
    bad        the others, where they may be left out
    notes      sentences for the person
    originals  int64 (images, 3): height, width and bytes of each file, 0 where unknown; None where the heads were not read
    """

    pixels: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    decoding: Decoding
    bad: tuple[BadFile, ...]
    notes: tuple[str, ...]
    originals: npt.NDArray[np.int64] | None = None


def decode_listing(images: Sequence[ListedImage], config: DataConfig) -> Decoded:
    """All images, decoded as `config` says, and where it does not say, as follows from all of them.

    Raises `DataError`, which names all kinds of unreadable images at once, where `unreadable` allows none or there are more than
    `MOST_SKIPPED` of them, where there is no image, and where the pixels do not fit into memory.
    """
    if not images:
        raise DataError("no image is left to decode: see data.rename, data.leave_out and data.classes")
    bad: dict[int, str] = {}
    notes: list[str] = []
    heads = _read_heads(images, bad) if config.size is None or config.channels is None else {}
    decoding = _choose(config, heads, notes)
    pixels = _allocate(len(images), decoding)
    values = DeepValues()
    _fill(pixels, images, [row for row in range(len(images)) if row not in bad], decoding, bad, values)
    if config.bits == "auto" and values.white < FULL_SCALE:
        decoding = replace(decoding, white=values.white)
        _fill(pixels, images, sorted(values.rows - bad.keys()), decoding, bad)
    notes += values.describe(decoding.white, config.bits)
    unreadable = tuple(BadFile(images[row].image_id, bad[row]) for row in sorted(bad))
    notes += _judge(unreadable, len(images), config.unreadable)
    rows = np.array([row for row in range(len(images)) if row not in bad], np.int64)
    measured = [(heads[row].height, heads[row].width, heads[row].file_bytes) for row in rows.tolist() if row in heads]
    originals = np.array(measured, np.int64) if len(measured) == len(rows) else None
    return Decoded(_keep(pixels, rows), rows, decoding, unreadable, tuple(notes), originals)


def decode_as(images: Sequence[ListedImage], decoding: Decoding) -> npt.NDArray[np.uint8]:
    """The pixels of all images, decoded as others were. Raises `DataError` where one cannot be decoded."""
    bad: dict[int, str] = {}
    pixels = _allocate(len(images), decoding)
    _fill(pixels, images, range(len(images)), decoding, bad)
    _judge([BadFile(images[row].image_id, bad[row]) for row in sorted(bad)], len(images), "refuse")
    return pixels


class DeepValues:
    """How often each value of 16-bit grey occurs in a set, of all files that do not say themselves which value is white."""

    def __init__(self) -> None:
        self.rows: set[int] = set()
        """Images that have such values."""
        self._counts = np.zeros(FULL_SCALE + 1, np.int64)
        self._lock = threading.Lock()

    def add(self, row: int, stored: npt.NDArray[np.integer]) -> None:
        """Count the values of one image. Safe to call from several threads."""
        values = stored.ravel()
        for start in range(0, len(values), _BLOCK):  # `bincount` makes a copy of 8 bytes a value
            counts = np.bincount(values[start : start + _BLOCK])
            with self._lock:
                self.rows.add(row)
                self._counts[: len(counts)] += counts

    @property
    def highest(self) -> int:
        """The highest value of all."""
        return int(np.flatnonzero(self._counts)[-1])

    @property
    def white(self) -> int:
        """The highest value of a sensor with as many bits as sensors have, the fewest that hold all values; full scale without values.

        Not the fewest bits of all: a dark set of 12 bits holds 11, and then a brighter image would be clipped.
        """
        highest = self.highest if self.rows else FULL_SCALE
        return int(next(2**bits - 1 for bits in SENSOR_BITS if highest < 2**bits))

    def describe(self, white: int, bits: str | int) -> list[str]:
        """What a person should know of the depth, where `white` was made white by `data.bits` = `bits`."""
        if not self.rows:
            return []
        notes = []
        if bits == "auto" and white < FULL_SCALE:
            held = white.bit_length()
            notes.append(
                f"files of 16 bits hold {held}: {white} is white (data.bits={held} says so, data.bits=16 keeps full scale)"
            )
        if self.highest > white:
            notes.append(f"16-bit values reach {self.highest}: all above {white} is white, as data.bits={bits} says")
        share = np.cumsum(self._counts) / self._counts.sum()
        low, high = (int(np.searchsorted(share, end)) for end in (_TAIL, 1 - _TAIL))
        levels = min(255, round(high * 255 / white)) - min(255, round(low * 255 / white)) + 1
        if levels < FEW_LEVELS:
            notes.append(
                f"99 % of the 16-bit values use {high - low + 1} of {white + 1} levels ({low} to {high}): of 256 grey levels the "
                f"decoded images hold {levels}; stretch the files themselves where that is too few"
            )
        return notes


def _read_heads(images: Sequence[ListedImage], bad: dict[int, str]) -> dict[int, Head]:
    """The heads by row; rows whose head cannot be read are added to `bad` with the reason."""
    done = _attempt(images, range(len(images)), lambda row, content: read_head(content))
    _collect(done, bad)
    return {row: head for row, head in done.items() if isinstance(head, Head)}


def _choose(config: DataConfig, heads: Mapping[int, Head], notes: list[str]) -> Decoding:
    """The decoding that `config` asks for; size and channels that it leaves out are those of `heads`."""
    height, width = config.height_width or (MIXED_SIZE_PX, MIXED_SIZE_PX)
    if config.size is None and heads:
        sizes = {(head.height, head.width) for head in heads.values()}
        if len(sizes) == 1:
            ((height, width),) = sizes
        else:
            notes.append(
                f"images of {len(sizes)} sizes become {height} x {width} pixels: data.size names another size, data.fit another way"
            )
    channels = config.channels or (1 if all(head.is_grey for head in heads.values()) else 3)
    white = FULL_SCALE if config.bits == "auto" else 2**config.bits - 1
    return Decoding(height, width, channels, to_rgb(config.background), config.fit, white)


def _allocate(count: int, decoding: Decoding) -> npt.NDArray[np.uint8]:
    shape = (count, decoding.height, decoding.width, decoding.channels)
    try:
        return np.empty(shape, np.uint8)
    except (MemoryError, ValueError):  # ValueError where the size is beyond any address
        size_gib = count * decoding.height * decoding.width * decoding.channels / 2**30
        raise DataError(
            f"{count:,} images of {decoding.height} x {decoding.width} pixels in {decoding.channels} channel(s) take "
            f"{size_gib:,.1f} GiB, more memory than there is: lower data.size"
        ) from None


def _fill(
    pixels: npt.NDArray[np.uint8],
    images: Sequence[ListedImage],
    rows: Sequence[int],
    decoding: Decoding,
    bad: dict[int, str],
    values: DeepValues | None = None,
) -> None:
    """Decode the images of `rows` into `pixels`; those that cannot be are added to `bad` with the reason."""

    def fill(row: int, content: Content) -> None:
        pixels[row] = decode_content(content, decoding, partial(values.add, row) if values else None)

    _collect(_attempt(images, rows, fill), bad)


def _attempt(
    images: Sequence[ListedImage], rows: Sequence[int], work: Callable[[int, Content], T]
) -> dict[int, T | Exception]:
    def attempt(at: int) -> T:
        with opening(images[rows[at]].open) as content:
            return work(rows[at], content)

    return dict(zip(rows, attempt_each(attempt, len(rows)), strict=True))


def _collect(done: Mapping[int, object], bad: dict[int, str]) -> None:
    for row, result in done.items():
        if isinstance(result, StoreError) and not isinstance(result, ObjectMissing):  # says nothing of the image
            raise DataError(f"data cannot be read: {result}") from None
        if isinstance(result, Exception):
            bad[row] = reason_of(result)


def _judge(bad: Sequence[BadFile], count: int, unreadable: str) -> list[str]:
    """A note on the images that are left out. Raises `DataError` where they may not be."""
    if not bad:
        return []
    more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    named = ", ".join(f"{one.name} ({one.reason})" for one in bad[:NAMED]) + more
    said = f"{len(bad)} of {count} images cannot be decoded: {named}"
    if unreadable == "refuse":
        raise DataError(
            f"{said}: repair them, or leave them out: data.unreadable=skip goes on without them, data.leave_out=FILE takes a list"
        )
    if len(bad) > MOST_SKIPPED * count:
        raise DataError(
            f"{said}: data.unreadable=skip leaves out 1 in {round(1 / MOST_SKIPPED)} at most: repair them, or name those to be "
            "left out in a list, data.leave_out=FILE"
        )
    return [f"{said}: left out, as data.unreadable=skip says"]


def _keep(pixels: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """The first images of `pixels` become those of `rows`, ascending, in place: a copy would take the memory twice."""
    for place, row in enumerate(rows.tolist()):
        if place != row:
            pixels[place] = pixels[row]
    return pixels[: len(rows)]
