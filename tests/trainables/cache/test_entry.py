"""An entry of the cache is what was written, or it is not there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainables.cache.entry import Draft, Entry, read_entry
from trainables.cache.folder import Cache, is_used
from trainables.data.images import hash_images
from trainables.store.json_records import seal_json, unseal_json

KEY = "0" * 64
DETAILS = {"notes": ["a word"]}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "pixels", keeps_all=True)


def drawn(images: int = 50) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (images, 6, 5, 3), dtype=np.uint8)
    return pixels[np.argsort(hash_images(pixels))]


def keep(cache: Cache, pixels: np.ndarray, key: str = KEY) -> Entry | None:
    with Draft(cache, pixels.shape) as draft:
        draft.write(pixels)
        return draft.keep(key, np.arange(len(pixels))[::-1], hash_images(pixels), DETAILS)


def assert_is(entry: Entry | None, pixels: np.ndarray) -> None:
    assert entry is not None
    assert np.array_equal(entry.pixels, pixels)
    assert np.array_equal(entry.load(), pixels)
    assert entry.rows.tolist() == list(range(len(pixels)))[::-1]
    assert entry.image_sha256 == hash_images(pixels)
    assert entry.details == DETAILS


def test_an_entry_is_read_as_it_was_written_and_nothing_else_is_left(cache: Cache) -> None:
    pixels = drawn()
    assert_is(keep(cache, pixels), pixels)
    assert_is(read_entry(cache, KEY), pixels)
    assert read_entry(cache, "1" * 64) is None
    assert [path.name for path in cache.path.iterdir()] == [KEY]
    assert np.array_equal(np.load(cache.path / KEY / "pixels.npy"), pixels)


def test_its_pixels_are_mapped_and_nobody_can_write_to_them(cache: Cache) -> None:
    entry = keep(cache, drawn())
    assert entry is not None
    assert type(entry.pixels) is np.ndarray
    assert isinstance(entry.pixels.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        entry.pixels[0] = 0


def test_pixels_may_be_filled_in_place_and_be_fewer_in_the_end(cache: Cache) -> None:
    pixels = drawn(12)
    with Draft(cache, (1000, *pixels.shape[1:])) as draft:
        draft.map()[:12] = pixels
        entry = draft.keep(KEY, np.arange(12)[::-1], hash_images(pixels), DETAILS)
    assert_is(entry, pixels)
    assert_is(read_entry(cache, KEY), pixels)
    assert (cache.path / KEY / "pixels.npy").stat().st_size < 12 * pixels[0].size + 1000


def test_a_draft_that_is_not_kept_leaves_nothing(cache: Cache) -> None:
    with Draft(cache, (4, 2, 2, 1)) as draft:
        draft.map()[0] = 1
        assert len(list(cache.path.iterdir())) == 1
    assert list(cache.path.iterdir()) == []


def flip(place: int) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[place] ^= 1
        file.write_bytes(content)

    return damage


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


DAMAGE = [
    (name, damage)
    for name in ("pixels.npy", "rows.npy", "sha256.npy", "entry.json")
    for damage in (flip(0), flip(-3), cut, lengthen, Path.unlink, lambda file: file.write_bytes(b""))
]


@pytest.mark.parametrize(("name", "damage"), DAMAGE)
def test_a_damaged_entry_is_not_read_and_the_next_one_takes_its_place(
    name: str, damage: Callable[[Path], None], cache: Cache
) -> None:
    pixels = drawn()
    keep(cache, pixels)
    damage(cache.path / KEY / name)
    assert read_entry(cache, KEY) is None
    assert not (cache.path / KEY).exists()
    assert_is(keep(cache, pixels), pixels)


def test_a_flipped_bit_is_found_even_where_the_time_of_modification_was_set_back(cache: Cache) -> None:
    keep(cache, drawn(500))
    file = cache.path / KEY / "pixels.npy"
    before = file.stat()
    time.sleep(0.05)  # the kernel's clock for files ticks every few milliseconds
    flip(128 + 7 * 90 + 4)(file)  # image 7, which is none of the sample
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_entry(cache, KEY) is None


def test_an_array_of_objects_is_never_unpickled(cache: Cache, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    for name in ("pixels.npy", "rows.npy", "sha256.npy"):
        keep(cache, drawn())
        np.save(cache.path / KEY / name, np.array([Trap()] * 50, object), allow_pickle=True)
        record = unseal_json((cache.path / KEY / "entry.json").read_bytes(), "")
        files: dict[str, str] = record["files"]  # type: ignore[assignment]
        if name in files:
            files[name] = hashlib.sha256((cache.path / KEY / name).read_bytes()).hexdigest()
        (cache.path / KEY / "entry.json").write_bytes(seal_json(record))
        assert read_entry(cache, KEY) is None
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "change",
    [{"format": 2}, {"key": "1" * 64}, {"shape": [50, 6, 15, 1]}, {"shape": [-1]}, {"shape": None}, {"details": []}],
    ids=str,
)
def test_the_record_of_another_entry_is_not_believed(change: dict[str, object], cache: Cache) -> None:
    keep(cache, drawn())
    file = cache.path / KEY / "entry.json"
    file.write_bytes(seal_json({**unseal_json(file.read_bytes(), ""), **change}))
    assert read_entry(cache, KEY) is None


def test_a_record_without_its_seal_is_not_believed(cache: Cache) -> None:
    keep(cache, drawn())
    file = cache.path / KEY / "entry.json"
    file.write_text(json.dumps(unseal_json(file.read_bytes(), "")))
    assert read_entry(cache, KEY) is None


def test_an_entry_that_was_copied_is_checked_as_a_whole_and_then_is_one_again(cache: Cache, tmp_path: Path) -> None:
    pixels = drawn(500)
    keep(cache, pixels)
    other = Cache(tmp_path / "other", keeps_all=True)
    shutil.copytree(cache.path, other.path)
    before = (other.path / KEY / "entry.json").read_bytes()
    assert_is_same = read_entry(other, KEY)
    assert assert_is_same is not None
    assert np.array_equal(assert_is_same.pixels, pixels)
    assert (other.path / KEY / "entry.json").read_bytes() != before  # it has the new file's stamp
    flip(128 + 7 * 90 + 4)(other.path / KEY / "pixels.npy")
    assert read_entry(other, KEY) is None


def test_of_two_writers_of_one_set_both_have_its_entry(cache: Cache) -> None:
    pixels = drawn()
    with Draft(cache, pixels.shape) as first, Draft(cache, pixels.shape) as second:
        for draft in (first, second):
            draft.write(pixels)
        found = [draft.keep(KEY, np.arange(50)[::-1], hash_images(pixels), DETAILS) for draft in (first, second)]
    for entry in found:
        assert_is(entry, pixels)
    assert [path.name for path in cache.path.iterdir()] == [KEY]


def test_a_writer_replaces_a_damaged_entry_that_it_meets(cache: Cache) -> None:
    pixels = drawn()
    with Draft(cache, pixels.shape) as draft:
        draft.write(pixels)
        keep(cache, pixels)
        cut(cache.path / KEY / "pixels.npy")
        assert_is(draft.keep(KEY, np.arange(50)[::-1], hash_images(pixels), DETAILS), pixels)


def test_an_entry_is_in_use_as_long_as_its_pixels_are(cache: Cache) -> None:
    entry = keep(cache, drawn())
    assert entry is not None
    pixels = entry.pixels
    del entry
    assert is_used(cache.path / KEY)
    del pixels
    assert not is_used(cache.path / KEY)
