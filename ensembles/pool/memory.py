"""Allocates a pool: in memory, or if that is too small in a memory-mapped scratch file."""

from __future__ import annotations

import math
import os
import shutil
import tempfile

import numpy as np
import numpy.typing as npt

from trainables.errors import PoolTooLarge, SweepFileError
from trainables.hardware.free_memory import free_memory_bytes

SHARE_OF_FREE = 0.5
"""Share of the free memory that a pool may take: selection from it needs memory, too."""

LIMIT_VARIABLE = "CAUCUS_POOL_BYTES"
"""Environment variable that limits the bytes of a pool, for a machine that has other work to do."""


def pool_limit_bytes() -> int:
    """Bytes that a pool may take: `LIMIT_VARIABLE`, else half of the free memory. Raises `SweepFileError` if it is no number."""
    raw = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not raw:
        return int(SHARE_OF_FREE * free_memory_bytes())
    if not raw.isdecimal():
        raise SweepFileError(f"{LIMIT_VARIABLE} is {raw!r}: a whole number of bytes, such as 2000000000, or nothing")
    return int(raw)


def allocate(shape: tuple[int, ...], limit_bytes: int | None = None) -> npt.NDArray[np.float32]:
    """An uninitialised array of float32. Above `limit_bytes` (left out: `pool_limit_bytes`) it is a memory-mapped scratch file
    in the folder for temporary files (TMPDIR): the system keeps in memory what is in use, and the file disappears with the
    array. Raises `PoolTooLarge` if there is no space for that either.
    """
    size_bytes = 4 * math.prod(shape)
    limit_bytes = pool_limit_bytes() if limit_bytes is None else limit_bytes
    if size_bytes <= limit_bytes or size_bytes == 0:
        return np.empty(shape, np.float32)
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            # A full disk under a mapped file kills the process: reserve the space first.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size_bytes)
            elif shutil.disk_usage(folder).free < size_bytes:
                raise OSError("no space left on device")
            return np.asarray(
                np.memmap(file, np.float32, "r+" if hasattr(os, "posix_fallocate") else "w+", shape=shape)
            )
    except OSError as error:
        raise PoolTooLarge(
            f"the pool takes {size_bytes / 2**20:,.0f} MiB, more than the {limit_bytes / 2**20:,.0f} MiB of memory it may, "
            f"and {folder} cannot hold it either ({error.strerror or error}): set TMPDIR to a larger disk, or take fewer "
            "candidates (ensemble.pool: best)"
        ) from None
