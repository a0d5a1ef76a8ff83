"""A pool lies in memory while it fits, else in a scratch file that leaves nothing behind."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from ensembles.pool import memory as pool_memory
from ensembles.pool.memory import LIMIT_VARIABLE, allocate
from trainables.errors import CaucusError, PoolTooLarge, SweepFileError


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def is_mapped(array: np.ndarray) -> bool:
    return isinstance(array.base, np.memmap)


@pytest.mark.parametrize(("limit_bytes", "mapped"), [(48, False), (47, True), (0, True)])
def test_only_what_is_above_the_limit_is_mapped(scratch: Path, limit_bytes: int, mapped: bool) -> None:
    allocated = allocate((2, 3, 2), limit_bytes)
    assert is_mapped(allocated) == mapped
    assert (allocated.shape, allocated.dtype, type(allocated)) == ((2, 3, 2), np.float32, np.ndarray)
    allocated[...] = np.arange(12).reshape(2, 3, 2)
    assert allocated[1, 2].tolist() == [10, 11]


def test_the_limit_is_half_of_the_free_memory(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_memory, "free_memory_bytes", lambda: 96)
    assert not is_mapped(allocate((2, 3, 2)))
    assert is_mapped(allocate((2, 3, 3)))


def test_the_environment_can_set_the_limit(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, "40")
    assert is_mapped(allocate((2, 3, 2)))
    assert not is_mapped(allocate((2, 3, 1)))
    monkeypatch.setenv(LIMIT_VARIABLE, "2 GB")
    with pytest.raises(SweepFileError, match="CAUCUS_POOL_BYTES is '2 GB': a whole number of bytes"):
        allocate((2, 3, 1))


def test_an_empty_pool_needs_no_file(scratch: Path) -> None:
    assert allocate((0, 3, 2), 0).shape == (0, 3, 2)


def test_no_space_at_all_is_an_error_that_says_what_to_do(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, start: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        PoolTooLarge, match=r"takes 4 MiB, more than the 1 MiB .* \(No space left on device\): set TMPDIR"
    ):
        allocate((2**20,), 2**20)
    assert issubclass(PoolTooLarge, CaucusError)
    assert issubclass(PoolTooLarge, MemoryError)
