"""The depth of images whose 16 bits a sensor does not fill: found from all values of a set."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from trainables.data.decoding import FULL_SCALE

SENSOR_BITS = (8, 10, 12, 14, 16)
"""Depths of sensors whose values are stored with 16 bits."""

FEW_LEVELS = 64
"""Grey levels of 256 below which a person is told how few are left of 16-bit images."""

_TAIL = 0.005
"""Share of the 16-bit values at each end that the note on few levels passes over: dead and hot pixels, a burnt-in scale."""

_BLOCK = 2**20
"""16-bit values that are counted at a time."""


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
