"""Seeds for single purposes, derived from the seed of a trial."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *parts: object) -> int:
    """A seed of 63 bits for the purpose that `parts` name, practically independent of the seeds for other purposes."""
    digest = hashlib.sha256("/".join(str(part) for part in (seed, *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
