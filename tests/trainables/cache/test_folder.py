"""The folder of the cache: which one it is, and that the oldest entries make room."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from trainables.cache import folder as module
from trainables.cache.entry import Draft, read_entry
from trainables.cache.folder import CEILING_VARIABLE, Cache, NoRoom, find_cache, make_room
from trainables.data.images import hash_images
from trainables.errors import DataError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setattr(module, "LEAST_FREE_BYTES", 0)
    return Cache(tmp_path / "pixels", keeps_all=True)


def keep(cache: Cache, key: str, last_used_s: float) -> None:
    """An entry of somewhat more than 100 kB."""
    pixels = np.zeros((100, 10, 100, 1), np.uint8)
    with Draft(cache, pixels.shape) as draft:
        draft.write(pixels)
        draft.keep(key, np.arange(100), hash_images(pixels), {})
    os.utime(cache.path / key / "entry.json", (last_used_s, last_used_s))


def held(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.path.iterdir())


@pytest.mark.parametrize(
    ("setting", "environment", "found"),
    [
        ("auto", {"XDG_CACHE_HOME": "/x"}, ("/x/caucus/pixels", False)),
        ("auto", {"XDG_CACHE_HOME": "relative", "HOME": "/h"}, ("/h/.cache/caucus/pixels", False)),
        ("auto", {"HOME": "/h"}, ("/h/.cache/caucus/pixels", False)),
        ("auto", {"CAUCUS_CACHE": "/fast", "XDG_CACHE_HOME": "/x"}, ("/fast/pixels", False)),
        ("auto", {"CAUCUS_CACHE": "off"}, None),
        ("off", {"CAUCUS_CACHE": "/fast"}, None),
        ("/mine", {"CAUCUS_CACHE": "off"}, ("/mine/pixels", True)),
    ],
    ids=str,
)
def test_the_folder_is_what_the_sweep_says_then_the_machine_then_the_users_cache(
    setting: str, environment: dict[str, str], found: tuple[str, bool] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", environment.get("HOME", "/nobody"))
    cache = find_cache(setting, environment)
    assert (cache and (str(cache.path), cache.keeps_all)) == found


def test_what_was_not_used_for_longest_makes_room(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, key in enumerate(("new", "middle", "old")):
        keep(cache, key, 1000.0 - age)
    monkeypatch.setenv(CEILING_VARIABLE, "0.00035")
    make_room(cache, 10_000)
    assert held(cache) == ["middle", "new", "old"]
    make_room(cache, 100_000)
    assert held(cache) == ["middle", "new"]
    make_room(cache, 300_000)
    assert held(cache) == []


def test_what_is_read_counts_as_used(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(cache, "a", 1.0)
    keep(cache, "b", 2.0)
    read_entry(cache, "a")
    monkeypatch.setenv(CEILING_VARIABLE, "0.00025")
    make_room(cache, 100_000)
    assert held(cache) == ["a"]


def test_what_is_in_use_stays_and_nothing_goes_where_that_would_not_help(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(cache, "used", 1.0)
    keep(cache, "idle", 2.0)
    entry = read_entry(cache, "used")
    monkeypatch.setenv(CEILING_VARIABLE, "0.0003")
    with pytest.raises(NoRoom, match=r"do not fit into .*may hold 0.0003 GB \(CAUCUS_CACHE_GB\)"):
        make_room(cache, 250_000)
    assert held(cache) == ["idle", "used"]
    make_room(cache, 150_000)
    assert held(cache) == ["used"]
    del entry


def test_a_disk_keeps_some_bytes_free(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_FREE_BYTES", 2**60)
    with pytest.raises(NoRoom, match="on a disk with 0 GB free"):
        make_room(cache, 1)


@pytest.mark.parametrize("wrong", ["20 GB", "-1", "nan", "inf"])
def test_a_ceiling_that_is_no_number_is_refused(wrong: str, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CEILING_VARIABLE, wrong)
    with pytest.raises(DataError, match=f"CAUCUS_CACHE_GB is '{wrong}': a number"):
        make_room(cache, 1)


def test_what_a_killed_writer_left_goes_and_what_another_writes_stays(cache: Cache) -> None:
    with Draft(cache, (1, 1, 1, 1)):
        (under_way,) = held(cache)
        dead = cache.path / ".part-dead"
        dead.mkdir()
        (dead / "pixels.npy").write_bytes(b"half")
        (cache.path / "a person's folder").mkdir()
        for path in cache.path.iterdir():
            os.utime(path, (1, 1))
        make_room(cache, 1)
        assert held(cache) == sorted([under_way, "a person's folder"])
