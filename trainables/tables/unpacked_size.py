"""A limit on the unpacked size of a compressed file, checked beforehand, so that a small file cannot fill the memory."""

from __future__ import annotations

MOST_TIMES = 200
SURELY_FINE_BYTES = 64 * 2**20
"""A file may unpack to `MOST_TIMES` its size plus `SURELY_FINE_BYTES`. Blank images compress some 50-fold with the codecs of
Parquet, and 1,000-fold with that of zip and gzip, which no real data set reaches."""


class DecompressionBomb(ValueError):
    """A file that would unpack to far more than its size."""


def check_unpacked(packed_bytes: int, unpacked_bytes: int) -> None:
    """Raise `DecompressionBomb` where `unpacked_bytes` is beyond the limit for a file of `packed_bytes`.

    >>> check_unpacked(1_000_000, 200_000_000)
    >>> check_unpacked(1_000_000, 1_000_000_000)
    Traceback (most recent call last):
    ...
    trainables.tables.unpacked_size.DecompressionBomb: 1,000,000 bytes that would unpack to 1,000,000,000: a decompression bomb
    """
    if unpacked_bytes > MOST_TIMES * packed_bytes + SURELY_FINE_BYTES:
        raise DecompressionBomb(f"{packed_bytes:,} bytes that would unpack to {unpacked_bytes:,}: a decompression bomb")
