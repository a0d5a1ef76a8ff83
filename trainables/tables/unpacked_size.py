"""How much a packed file may unpack to: told beforehand, so that a small file cannot fill the memory."""

from __future__ import annotations

MOST_TIMES = 200
SURELY_FINE_BYTES = 64 * 2**20
"""This many times the file, and this much more. Images that are all blank come to some 50 times with the packers of Parquet,
and to 1,000 times with the one of zip and gzip, which a real data set does not."""


class DecompressionBomb(ValueError):
    """A file that would unpack to far more than it holds."""


def check_unpacked(packed_bytes: int, unpacked_bytes: int) -> None:
    """Raise `DecompressionBomb` where a file of so many bytes declares so many more.

    >>> check_unpacked(1_000_000, 200_000_000)
    >>> check_unpacked(1_000_000, 1_000_000_000)
    Traceback (most recent call last):
    ...
    trainables.tables.unpacked_size.DecompressionBomb: 1,000,000 bytes that would unpack to 1,000,000,000: a decompression bomb
    """
    if unpacked_bytes > MOST_TIMES * packed_bytes + SURELY_FINE_BYTES:
        raise DecompressionBomb(f"{packed_bytes:,} bytes that would unpack to {unpacked_bytes:,}: a decompression bomb")
