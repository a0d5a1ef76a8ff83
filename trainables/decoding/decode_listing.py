"""Decodes the images of a listing: size, channels and depth are found from all of them, and all that cannot be read are told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from trainables.config.data import DataConfig, to_rgb
from trainables.data.decoding import FULL_SCALE, Decoding
from trainables.decoding.decode import (
    MIXED_SIZE_PX,
    Head,
    attempt_each,
    decode_content,
    decode_if,
    opening,
    read_head,
    reason_of,
)
from trainables.decoding.deep_values import DeepValues
from trainables.errors import DataError, ObjectMissing, StoreError
from trainables.layouts.base.listing import Content, ListedImage

MOST_SKIPPED = 0.05
"""Share of the images that `data.unreadable=skip` leaves out at most: of more, something is wrong with all."""

NAMED = 5
"""Unreadable images that a message names."""

LIKE_THE_FIRST = 64
"""Images whose heads are read before size and channels are guessed from them."""

MOST_GUESSED_BYTES = 2**20
"""A decoded image that is larger is not guessed: of photographs of all sizes the first ones may well be equal."""

T = TypeVar("T")

Allocate = Callable[[int, Decoding], npt.NDArray[np.uint8]]
"""Returns room for a number of images of a decoding: uint8 (images, height, width, channels), not yet filled."""


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
    is_lasting whether all `bad` are so by their content: what the system refused it may give another time
    originals  int64 (images, 3): height, width and bytes of each file, 0 where unknown; None where the heads were not read
    """

    pixels: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    decoding: Decoding
    bad: tuple[BadFile, ...]
    notes: tuple[str, ...]
    is_lasting: bool = True
    originals: npt.NDArray[np.int64] | None = None


def decode_listing(images: Sequence[ListedImage], config: DataConfig, allocate: Allocate | None = None) -> Decoded:
    """All images, decoded as `config` says, and where it does not say, as follows from all of them.

    The pixels are the first ones of what `allocate` returns; left out: of new memory.

    Raises `DataError`, which names all kinds of unreadable images at once, where `unreadable` allows none or there are more than
    `MOST_SKIPPED` of them, where there is no image, and where the pixels do not fit into memory.
    """
    if not images:
        raise DataError("no image is left to decode: see data.rename, data.leave_out and data.classes")
    bad: dict[int, Exception] = {}
    notes: list[str] = []
    attempt = _Attempt(images, config, allocate or allocate_memory)
    heads = attempt.look(bad) if config.size is None or config.channels is None else {}
    decoding = _choose(config, heads, notes)
    if attempt.decoding != decoding:
        attempt.begin(decoding)
    pixels, values = attempt.pixels, attempt.values
    left = [row for row in range(len(images)) if row not in bad and row not in attempt.filled]
    _fill(pixels, images, left, decoding, bad, values)
    if config.bits == "auto" and values.white < FULL_SCALE:
        decoding = replace(decoding, white=values.white)
        _fill(pixels, images, sorted(values.rows - bad.keys()), decoding, bad)
    notes += values.describe(decoding.white, config.bits)
    unreadable = _name_bad(images, bad)
    notes += _judge(unreadable, len(images), config.unreadable)
    rows = np.array([row for row in range(len(images)) if row not in bad], np.int64)
    is_lasting = not any(isinstance(error, OSError) and error.errno for error in bad.values())
    measured = [(heads[row].height, heads[row].width, heads[row].file_bytes) for row in rows.tolist() if row in heads]
    originals = np.array(measured, np.int64) if len(measured) == len(rows) else None
    return Decoded(_keep(pixels, rows), rows, decoding, unreadable, tuple(notes), is_lasting, originals)


def decode_as(images: Sequence[ListedImage], decoding: Decoding) -> npt.NDArray[np.uint8]:
    """The pixels of all images, decoded as others were. Raises `DataError` where one cannot be decoded."""
    bad: dict[int, Exception] = {}
    pixels = allocate_memory(len(images), decoding)
    _fill(pixels, images, range(len(images)), decoding, bad)
    _judge(_name_bad(images, bad), len(images), "refuse")
    return pixels


def _name_bad(images: Sequence[ListedImage], bad: Mapping[int, Exception]) -> tuple[BadFile, ...]:
    return tuple(BadFile(images[row].image_id, reason_of(bad[row])) for row in sorted(bad))


class _Attempt:
    """Looks at the heads of all images, where size or channels follow from them, and decodes them on the way, as long as nothing
    speaks against what the first ones say: to open each file once takes three quarters of the time, of JPEGs of 64 x 64."""

    def __init__(self, images: Sequence[ListedImage], config: DataConfig, allocate: Allocate) -> None:
        self._images, self._config, self._allocate = images, config, allocate
        self.decoding: Decoding | None = None
        """That of `pixels`; None where there are none yet."""
        self.pixels: npt.NDArray[np.uint8] = np.zeros((0, 0, 0, 0), np.uint8)
        self.values = DeepValues()
        self.filled: set[int] = set()
        """Rows of `pixels` that are decoded."""

    def begin(self, decoding: Decoding) -> None:
        """Make room for all images of `decoding`; what was decoded otherwise is forgotten. Raises `DataError`."""
        self.filled, self.values = set(), DeepValues()
        self.pixels = np.zeros((0, 0, 0, 0), np.uint8)  # its memory goes before other is taken
        self.pixels, self.decoding = self._allocate(len(self._images), decoding), decoding

    def look(self, bad: dict[int, Exception]) -> dict[int, Head]:
        """The heads by row; rows whose head cannot be read are added to `bad`. Those that cannot be decoded are not: another attempt
        tells, or the same one once more."""
        first = range(min(LIKE_THE_FIRST, len(self._images)))
        done = _attempt(self._images, first, lambda row, content: read_head(content))
        _collect(done, bad)
        heads = {row: head for row, head in done.items() if isinstance(head, Head)}
        rest = range(len(first), len(self._images))
        if not rest:
            return heads
        sizes = {(head.height, head.width) for head in heads.values()}
        guess = _choose(self._config, heads, []) if heads else None
        if guess and guess.height * guess.width * guess.channels <= MOST_GUESSED_BYTES:
            with contextlib.suppress(DataError):  # others might need less
                self.begin(guess)
        odd: list[int] = []

        def is_odd(head: Head) -> bool:
            """Whether a head makes the guess wrong. One colour image is enough for colour, and two sizes for neither of them."""
            has_other_size = self._config.size is None and len(sizes) == 1 and (head.height, head.width) not in sizes
            return has_other_size or (self._config.channels is None and channels == 1 and not head.is_grey)

        channels = guess.channels if guess else 3

        def look_at(row: int, content: Content) -> Head:
            def choose(head: Head) -> Decoding | None:
                heads[row] = head
                if is_odd(head):
                    odd.append(row)
                return None if odd else self.decoding

            try:
                found = decode_if(content, choose, partial(self.values.add, row))
            except Exception:
                if row not in heads:
                    raise
            else:
                if found is not None:
                    self.pixels[row] = found
                    self.filled.add(row)
            return heads[row]

        _collect(_attempt(self._images, rest, look_at), bad)
        return heads


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


def allocate_memory(count: int, decoding: Decoding) -> npt.NDArray[np.uint8]:
    """Room for `count` decoded images in memory. Raises `DataError` where there is none."""
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
    bad: dict[int, Exception],
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


def _collect(done: Mapping[int, object], bad: dict[int, Exception]) -> None:
    for row, result in done.items():
        if isinstance(result, StoreError) and not isinstance(result, ObjectMissing):  # says nothing of the image
            raise DataError(f"data cannot be read: {result}") from None
        if isinstance(result, Exception):
            bad[row] = result


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
