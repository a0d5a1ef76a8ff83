"""Random numbers that depend on seed, trial and key alone: the same on every machine."""

from __future__ import annotations

import hashlib


def share_of(seed: int, index: int, key: str) -> float:
    """The draw for `key` of trial `index`: a number from 0 to 1 that no other key, trial or machine changes.

    Each key has a stream of its own, so a key that is added to a space leaves the values of the others as they were.
    """
    digest = hashlib.sha256(f"{seed}/{index}/{key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
