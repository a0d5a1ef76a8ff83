"""Finds images that look alike without comparing each with each: by parts of a perceptual hash."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FREQUENCIES = 8
"""Rows and columns of the cosine transform that enter the hash."""

BITS = FREQUENCIES**2

KEY_BITS = 16
"""Bits of a key: images with an equal key are compared."""

FARTHEST = 8
"""Bits of 64 in which the hashes of images that are compared differ at most."""

ROUNDS = 2
"""How often the bits are dealt into keys anew: two images that differ in six bits of 64 have an equal key in 19 of 20 cases."""

BLOCK = 4096
"""Images that are transformed at a time."""

NEIGHBOURS = 5
"""Images with an equal key are sorted by their other bits, and each is compared with so many after it: all, where few are equal."""


def hash_looks(small: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """The 64 bits of each image's perceptual hash, bool (images, bits): whether each of the lowest frequencies of its cosine
    transform is above their median (Zauner 2010). `small` (images, height, width)."""
    down, across = (_cosines(side) for side in small.shape[1:])
    found = np.zeros((len(small), BITS), np.bool_)
    if len(down) * len(across) == 1:
        return found
    for start in range(0, len(small), BLOCK):
        rows = slice(start, start + BLOCK)
        table = (down @ small[rows].astype(np.float32) @ across.T).reshape(-1, len(down) * len(across))
        found[rows, : table.shape[1]] = table > np.median(table[:, 1:], axis=1, keepdims=True)
    return found


def find_alike(bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Pairs of rows of `bits` that may be alike, int64 (pairs, 2), the lower row first, ascending: those that have an equal key.

    At most `NEIGHBOURS` x `ROUNDS` x 4 pairs a row, whatever the images: a set in which all are alike takes no more.
    """
    rng = np.random.default_rng(0)
    found = []
    for turn in range(ROUNDS):
        order = np.arange(BITS) if turn == 0 else rng.permutation(BITS)
        packed = np.packbits(bits[:, order], axis=1)
        for part in range(BITS // KEY_BITS):
            turned = np.roll(packed, -2 * part, axis=1).copy().view(">u8").ravel()
            found.append(_pair_equal(turned))
    pairs = np.unique(np.concatenate(found))
    return np.stack([pairs // len(bits), pairs % len(bits)], axis=1)


def _pair_equal(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Pairs, each as one number, of rows whose first `KEY_BITS` are equal, and that lie near each other in the order of `keys`."""
    order = np.argsort(keys)
    ranked = keys[order]
    first = ranked >> np.uint64(64 - KEY_BITS)
    found = []
    for apart in range(1, NEIGHBOURS + 1):
        equal = np.flatnonzero(first[:-apart] == first[apart:])
        if not len(equal):
            break
        equal = equal[np.bitwise_count(ranked[equal] ^ ranked[equal + apart]) <= FARTHEST]
        one, other = order[equal], order[equal + apart]
        found.append(np.minimum(one, other) * len(keys) + np.maximum(one, other))
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _cosines(side: int) -> npt.NDArray[np.float32]:
    """The first rows of the discrete cosine transform (type 2) of `side` values, float32 (frequencies, side)."""
    at = np.arange(side) + 0.5
    return np.cos(np.pi / side * np.outer(np.arange(min(FREQUENCIES, side)), at)).astype(np.float32)
