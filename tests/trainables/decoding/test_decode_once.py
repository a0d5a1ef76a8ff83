"""A set is decoded once: when the cache is read, when it is not believed, and what happens where it, or the memory, has no room."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainables.cache import folder
from trainables.config.data import DataConfig
from trainables.data.describe import describe_images, describe_origin
from trainables.data.images import ImageSet, hash_images
from trainables.data.mapped import find_file
from trainables.datasets.load import load_images
from trainables.decoding import decode_listing, decode_once
from trainables.errors import DataError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes of 20 files of random bytes in the simplest format, all of one size."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for at in range(20):
            Image.fromarray(rng.integers(0, 256, (6, 5, 3), np.uint8)).save(tmp_path / "data" / name / f"{at:02}.ppm")
    return tmp_path / "data"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images of each decoding."""
    seen: list[int] = []
    real = decode_listing.decode_listing

    def count(images: Any, *rest: Any) -> Any:
        seen.append(len(images))
        return real(images, *rest)

    monkeypatch.setattr(decode_listing, "decode_listing", count)
    return seen


def load(tree: Path, cache: Path | str | None = None, **keys: Any) -> ImageSet:
    return load_images(DataConfig(path=str(tree), cache=str(cache or tree.parent / "cache"), **keys))


def assert_same(found: ImageSet, wanted: ImageSet) -> None:
    assert found.data_id == wanted.data_id
    assert np.array_equal(found.pixels, wanted.pixels)
    assert (found.image_ids, found.labels.tolist()) == (wanted.image_ids, wanted.labels.tolist())
    assert found.image_sha256 == wanted.image_sha256 == hash_images(found.pixels)


def test_a_second_time_nothing_is_decoded_and_that_is_said(tree: Path, decoded: list[int]) -> None:
    first, second = load(tree), load(tree)
    assert decoded == [40]
    assert_same(second, load(tree, "off"))
    (said,) = describe_origin(first)
    assert said.startswith("pixels: decoded 40 images in ")
    assert said.endswith(f"kept in {tree.parent}/cache/pixels")
    assert describe_origin(second) == [f"pixels: 40 images from the cache in {tree.parent}/cache/pixels"]
    assert describe_images(first) == describe_images(second)  # what the record holds


def rewrite(file: Path) -> None:
    """Other pixels, of the same size, and the old time of modification."""
    before = file.stat()
    time.sleep(0.05)  # the kernel's clock for files ticks every few milliseconds
    content = bytearray(file.read_bytes())
    content[-1] ^= 255
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap(file: Path) -> None:
    other, aside = file.with_name("01.ppm"), file.with_name("aside")
    file.rename(aside)
    other.rename(file)
    aside.rename(other)


CHANGES: dict[str, Callable[[Path], object]] = {
    "content alone": rewrite,
    "time": lambda file: os.utime(file, (1, 1)),
    "size": lambda file: Image.fromarray(np.zeros((7, 5, 3), np.uint8)).save(file),
    "name": lambda file: file.rename(file.with_name("99.ppm")),
    "fewer": Path.unlink,
    "more": lambda file: shutil.copy(file, file.with_name("99.ppm")),
    "two that change places": swap,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_is_noticed(change: str, tree: Path, decoded: list[int]) -> None:
    load(tree)
    CHANGES[change](tree / "cat" / "00.ppm")
    assert_same(load(tree, size=6), load(tree, "off", size=6))
    assert_same(load(tree, size=6), load(tree, "off", size=6))
    found = load(tree)
    assert len(decoded) == 5
    assert_same(found, load(tree, "off"))


KEYS: list[dict[str, Any]] = [
    {"size": 4},
    {"size": [4, 3]},
    {"channels": 1},
    {"background": "black"},
    {"fit": "pad"},
    {"bits": 12},
    {"unreadable": "skip"},
]


@pytest.mark.parametrize("keys", KEYS, ids=str)
def test_each_key_of_the_decoding_is_part_of_the_entrys_name(
    keys: dict[str, Any], tree: Path, decoded: list[int]
) -> None:
    load(tree)
    found = load(tree, **keys)
    assert decoded == [40, 40]
    assert_same(found, load(tree, "off", **keys))


def test_so_is_the_version_of_the_code(tree: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    load(tree)
    monkeypatch.setattr(decode_once, "_code_version", lambda: "another")
    load(tree)
    monkeypatch.setattr(decode_once, "_code_version", lambda: None)
    load(tree)
    assert decoded == [40, 40, 40]


def test_what_only_labels_and_splits_depend_on_is_not(tree: Path, decoded: list[int]) -> None:
    load(tree)
    keys: dict[str, Any] = {"rename": {"cat": "kitten"}, "group": r"/\d(\d)", "split_seed": 1, "train": 12}
    found = load(tree, **keys)
    assert decoded == [40]
    assert_same(found, load(tree, "off", **keys))


def test_images_that_are_left_out_are_not_decoded(tree: Path, decoded: list[int]) -> None:
    (tree / "owl").mkdir()
    shutil.copy(tree / "cat" / "00.ppm", tree / "owl")
    (tree.parent / "out.txt").write_text("cat/00.ppm\n")
    found = load(tree, classes=["cat", "dog"], leave_out=str(tree.parent / "out.txt"))
    assert (decoded, len(found.pixels)) == ([39], 39)
    assert_same(found, load(tree, "off", classes=["cat", "dog"], leave_out=str(tree.parent / "out.txt")))


def test_equal_images_with_different_labels_keep_their_labels(tree: Path) -> None:
    for at in range(20):
        shutil.copy(tree / "cat" / f"{at:02}.ppm", tree / "dog" / f"{at:02}.ppm")
    load(tree)
    assert_same(load(tree), load(tree, "off"))


def test_a_set_that_is_decoded_at_once_is_kept_only_where_the_sweep_names_a_folder(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUCUS_CACHE", str(tmp_path / "machine"))
    monkeypatch.setattr(decode_once, "WORTH_KEEPING_S", 1000.0)
    assert load(tree, "auto").reading.origin == ""
    assert not (tmp_path / "machine").exists()
    monkeypatch.setattr(decode_once, "WORTH_KEEPING_S", 0.0)
    load(tree, "auto")
    assert len(list((tmp_path / "machine" / "pixels").iterdir())) == 1


def test_a_damaged_entry_is_decoded_anew_and_replaced(tree: Path, decoded: list[int]) -> None:
    load(tree)
    (entry,) = (tree.parent / "cache" / "pixels").iterdir()
    os.truncate(entry / "pixels.npy", 200)
    assert_same(load(tree), load(tree, "off"))
    load(tree)
    assert decoded == [40, 40, 40]


def test_two_that_decode_the_same_set_at_the_same_time_both_have_it(tree: Path) -> None:
    found: list[ImageSet] = []
    both = threading.Barrier(2)

    def go() -> None:
        both.wait()
        found.append(load(tree))

    threads = [threading.Thread(target=go) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    for one in found:
        assert_same(one, load(tree, "off"))
    assert len(list((tree.parent / "cache" / "pixels").iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_lost_alone_and_that_is_said_once(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = load(tree, tmp_path / "file" / "cache")
    assert_same(found, load(tree, "off"))
    (said,) = describe_origin(found)
    assert said.endswith("; they are not kept: Not a directory")


def test_so_it_is_where_the_disk_is_full(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LEAST_FREE_BYTES", 2**60)
    found = load(tree)
    assert_same(found, load(tree, "off"))
    assert "they are not kept: 3.6e-06 GB do not fit into" in found.reading.origin or "GB free" in found.reading.origin


def test_an_unreadable_image_that_was_skipped_is_told_again(tree: Path, decoded: list[int]) -> None:
    (tree / "cat" / "bad.ppm").write_bytes(b"P6 no image")
    first, second = load(tree, unreadable="skip"), load(tree, unreadable="skip")
    assert decoded == [41]
    assert first.reading == second.reading
    assert "1 of 41 images cannot be decoded: cat/bad.ppm" in " ".join(second.reading.notes)
    assert_same(second, first)


def test_an_image_that_the_system_refused_is_tried_again(tree: Path, decoded: list[int]) -> None:
    (tree / "cat" / "bad.ppm").symlink_to("nowhere")
    assert load(tree, unreadable="skip").data_id == load(tree, unreadable="skip").data_id
    assert decoded == [41, 41]


def test_a_set_that_does_not_fit_into_memory_stays_on_the_disk_and_is_the_same(
    tree: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = load(tree, "off")
    monkeypatch.setenv(decode_once.LIMIT_VARIABLE, "3599")
    said: list[str] = []
    first = load_images(DataConfig(path=str(tree), cache=str(tree.parent / "cache")), said.append)
    second = load(tree)
    assert decoded == [40, 40]
    for found in (first, second):
        assert_same(found, wanted)
        file = find_file(found.pixels)
        assert file is not None
        assert file.path.startswith(str(tree.parent / "cache"))
        assert not found.pixels.flags.writeable
    assert said == [
        "40 images of 6 x 5 x 3 take 0.0 GiB; 0.0 GiB may lie in memory (CAUCUS_IMAGE_BYTES): they stay on the disk, in "
        f"{tree.parent}/cache/pixels"
    ]
    assert "stay on the disk" in first.reading.origin
    assert "stay there" in second.reading.origin
    monkeypatch.setenv(decode_once.LIMIT_VARIABLE, "3600")
    assert find_file(load(tree).pixels) is None


@pytest.mark.parametrize("has_room", [True, False])
def test_pixels_on_the_disk_come_into_their_order_in_another_file_or_where_they_are(
    has_room: bool, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv(decode_once.LIMIT_VARIABLE, "3599")
    if has_room:
        monkeypatch.setattr(decode_once, "reorder", refuse)
    else:
        monkeypatch.setattr(decode_once.Draft, "write_from", refuse)
    found = load(tree)
    assert len(list((tree.parent / "cache" / "pixels").iterdir())) == 1
    monkeypatch.undo()
    assert_same(found, load(tree, "off"))


def test_a_set_that_turns_out_to_be_in_colour_takes_another_file(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_listing, "LIKE_THE_FIRST", 2)
    for file in sorted(tree.rglob("*.ppm"))[:20]:
        Image.open(file).convert("L").save(file.with_suffix(".pgm"))
        file.unlink()
    monkeypatch.setenv(decode_once.LIMIT_VARIABLE, "1199")
    found = load(tree)
    assert find_file(found.pixels) is not None
    assert len(list((tree.parent / "cache" / "pixels").iterdir())) == 1
    monkeypatch.delenv(decode_once.LIMIT_VARIABLE)
    assert_same(found, load(tree, "off"))


def test_of_a_set_on_the_disk_fewer_training_images_are_taken_into_memory_where_they_fit(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = load(tree, "off", train=10)  # and 6 each in validation and test
    monkeypatch.setenv(decode_once.LIMIT_VARIABLE, str(22 * 90))
    found = load(tree, train=10)
    assert_same(found, wanted)
    assert find_file(found.pixels) is None
    with pytest.raises(DataError, match=r"data.train is 11: with those of validation and test 23 images take"):
        load(tree, train=11)


def test_a_set_that_fits_nowhere_is_one_sentence(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(decode_once.LIMIT_VARIABLE, "3599")
    with pytest.raises(DataError, match=r"40 images .*, and there is no cache \(data.cache is off\): lower data.size"):
        load(tree, "off")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/cache/pixels cannot hold them \(Not a directory\): lower data.size"):
        load(tree, tmp_path / "file" / "cache")


def test_a_large_set_that_may_change_unnoticed_is_mapped_and_decoded_each_time(
    tree: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode_once, "name_entry", lambda images, config: None)
    monkeypatch.setenv(decode_once.LIMIT_VARIABLE, "3599")
    for _ in range(2):
        assert find_file(load(tree).pixels) is not None
    assert decoded == [40, 40]


def test_images_that_change_while_they_are_decoded_are_not_kept(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = decode_listing.decode_listing

    def and_then_change(*arguments: Any) -> Any:
        found = real(*arguments)
        os.utime(tree / "cat" / "00.ppm", (1, 1))
        return found

    monkeypatch.setattr(decode_listing, "decode_listing", and_then_change)
    load(tree)
    assert not (tree.parent / "cache").exists()


def test_images_change_places_in_place() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 7, 100):
        pixels, order = rng.integers(0, 256, (count, 2, 2, 1), np.uint8), rng.permutation(count).tolist()
        wanted = pixels[order]
        decode_once.reorder(pixels, order)
        assert np.array_equal(pixels, wanted)


@pytest.mark.parametrize(("raw", "found"), [(False, "off"), (True, "auto"), ("off", "off"), ("~/x", "~/x")])
def test_the_key_is_auto_off_or_a_folder_and_no_record_has_it(raw: object, found: str) -> None:
    config = DataConfig.model_validate({"path": "p", "cache": raw})
    assert config.cache == found
    assert "cache" not in config.model_dump()
    for wrong in (" ", "a\0b"):
        with pytest.raises(ValueError, match="is no folder: name one, or auto or off"):
            DataConfig.model_validate({"path": "p", "cache": wrong})
