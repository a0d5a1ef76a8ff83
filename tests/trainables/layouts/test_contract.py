"""The contract of all layouts: the same images are the same data, wherever they lie and however they are kept."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.services.servers import S3Server
from tests.trainables.layouts.written import LAYOUTS, PLAIN, Pictures, draw, put, write_folders, zip_of
from trainables.config.data import DataConfig
from trainables.data.images import ImageSet, hash_images
from trainables.datasets.load import load_images
from trainables.decoding import decode_once
from trainables.errors import DataError

EVERY_LAYOUT = pytest.mark.parametrize("name", LAYOUTS)


def load(where: Path | str, **keys: object) -> ImageSet:
    return load_images(DataConfig(path=str(where), **keys))  # type: ignore[arg-type]


def write(name: str, folder: Path) -> Path:
    """Write a layout into `folder`; what `data.path` names."""
    folder.mkdir(exist_ok=True)
    layout = LAYOUTS[name]
    file = layout.write(folder, layout.pictures)
    return folder / file if file else folder


def compared_with(pictures: Pictures) -> ImageSet:
    """The same pictures in class folders, or in split folders."""
    return _compared_with(next(name for name, layout in LAYOUTS.items() if layout.pictures is pictures))


@functools.cache
def _compared_with(name: str) -> ImageSet:
    with tempfile.TemporaryDirectory() as folder:
        write_folders(Path(folder), LAYOUTS[name].pictures)
        return load(folder)


def assert_same(found: ImageSet, name: str) -> None:
    wanted = compared_with(LAYOUTS[name].pictures)
    assert found.class_names == wanted.class_names
    assert np.array_equal(found.pixels, wanted.pixels)
    assert found.labels.tolist() == wanted.labels.tolist()
    assert found.splits.tolist() == wanted.splits.tolist()
    assert found.data_id == wanted.data_id


def test_the_pictures_that_are_compared_with_are_those_that_were_drawn(tmp_path: Path) -> None:
    pictures = draw(splits=("train", "val", "test"))
    write_folders(tmp_path, pictures)
    found = load(tmp_path)
    drawn = {pixels.tobytes(): row for row, pixels in enumerate(pictures.pixels)}
    called = {"train": "train", "val": "validation", "test": "test"}
    for row, pixels in enumerate(found.pixels):
        at = drawn[pixels.tobytes()]
        assert found.class_names[found.labels[row]] == pictures.labels[at]
        assert row in found.rows(called[pictures.splits[at]])


@EVERY_LAYOUT
def test_every_layout_is_the_same_data_as_class_folders(name: str, tmp_path: Path) -> None:
    found = load(write(name, tmp_path), **LAYOUTS[name].keys)
    assert_same(found, name)
    assert bool(found.reading.split_from) == any(LAYOUTS[name].pictures.splits)
    assert found.reading.layout
    if LAYOUTS[name].says_nothing:
        assert found.reading.notes == ()


@pytest.mark.parametrize("name", [name for name in LAYOUTS if not name.startswith(("zip", "tar", "WebDataset shard"))])
def test_every_layout_is_the_same_data_in_a_zip_archive(name: str, tmp_path: Path) -> None:
    write(name, tmp_path / "data")
    put(tmp_path, "data.zip", zip_of(tmp_path / "data"))
    assert_same(load(tmp_path / "data.zip", **LAYOUTS[name].keys), name)


@pytest.fixture(scope="module")
def upload(moto_s3: S3Server) -> Callable[[Path, str], str]:
    """Copies a folder to a bucket under a name; returns its address."""
    bucket, client = moto_s3.new_bucket(), moto_s3.client()

    def copy(folder: Path, name: str) -> str:
        for path in folder.rglob("*"):
            if path.is_file():
                client.put_object(Bucket=bucket, Key=f"{name}/{path.relative_to(folder)}", Body=path.read_bytes())
        return f"s3://{bucket}/{name}"

    return copy


@EVERY_LAYOUT
def test_every_layout_is_the_same_data_in_a_bucket(
    name: str,
    tmp_path: Path,
    upload: Callable[[Path, str], str],
    moto_s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moto_s3.login(monkeypatch)
    meant = write(name, tmp_path)
    address = upload(tmp_path, name)
    file = "" if meant == tmp_path else f"/{meant.relative_to(tmp_path)}"
    assert_same(load(address + file, **LAYOUTS[name].keys), name)


def refuse_decoding(*_: object) -> None:
    raise AssertionError("decoded again")


@pytest.mark.parametrize(
    "name",
    [
        *("class folders", "split folders", "CSV", "JSON lines", "Parquet with images", "save_to_disk with splits"),
        *("WebDataset", "WebDataset shard", "zip of class folders", "tar of class folders", "tar.gz of split folders"),
        *("npz", "IDX with splits, packed", "CIFAR-10"),
    ],
)
def test_a_layout_is_the_same_data_from_the_cache_and_nothing_is_decoded_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meant, cache = write(name, tmp_path / "data"), str(tmp_path / "cache")
    first = load(meant, cache=cache, **LAYOUTS[name].keys)
    assert_same(first, name)
    monkeypatch.setattr(decode_once.decode_listing, "decode_listing", refuse_decoding)
    monkeypatch.setattr(decode_once, "hash_images", refuse_decoding)
    again = load(meant, cache=cache, **LAYOUTS[name].keys)
    assert_same(again, name)
    assert again.image_ids == first.image_ids
    assert again.reading == first.reading
    assert again.decoding == first.decoding
    assert again.image_sha256 == hash_images(again.pixels)


@pytest.mark.parametrize("name", ["WebDataset shard", "npz", "zip of class folders"])
def test_what_a_bucket_holds_is_in_the_cache_as_well(
    name: str,
    tmp_path: Path,
    upload: Callable[[Path, str], str],
    moto_s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moto_s3.login(monkeypatch)
    meant = write(name, tmp_path / "data")
    address = f"{upload(tmp_path / 'data', f'cached {name}')}/{meant.name}"
    cache = str(tmp_path / "cache")
    assert_same(load(address, cache=cache), name)
    monkeypatch.setattr(decode_once.decode_listing, "decode_listing", refuse_decoding)
    assert_same(load(address, cache=cache), name)


def test_objects_of_a_bucket_are_in_the_cache_until_one_changes(
    tmp_path: Path, upload: Callable[[Path, str], str], moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto_s3.login(monkeypatch)
    cache, data = str(tmp_path / "cache"), tmp_path / "data"
    write("class folders", data)
    address = upload(data, "objects")
    assert_same(load(address, cache=cache), "class folders")
    with monkeypatch.context() as refusing:
        refusing.setattr(decode_once.decode_listing, "decode_listing", refuse_decoding)
        assert_same(load(address, cache=cache), "class folders")
    first, second = sorted(data.rglob("*.png"))[:2]
    put(tmp_path / "change", str(first.relative_to(data)), second.read_bytes())
    upload(tmp_path / "change", "objects")
    put(data, str(first.relative_to(data)), second.read_bytes())
    assert load(address, cache=cache).data_id == load(data).data_id != compared_with(PLAIN).data_id


def test_a_zip_archive_in_a_bucket_is_the_same_data(
    tmp_path: Path, upload: Callable[[Path, str], str], moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto_s3.login(monkeypatch)
    write("split folders", tmp_path / "data")
    put(tmp_path / "packed", "data.zip", zip_of(tmp_path / "data"))
    assert_same(load(f"{upload(tmp_path / 'packed', 'packed')}/data.zip"), "split folders")


def test_no_layout_needs_a_key_beside_the_path_but_where_names_hold_the_label() -> None:
    assert {key for layout in LAYOUTS.values() for key in layout.keys} == {"label_regex"}


@EVERY_LAYOUT
def test_reading_changes_nothing_and_gives_the_same_again(name: str, tmp_path: Path) -> None:
    meant = write(name, tmp_path)

    def state() -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in tmp_path.rglob("*")
        }

    before = state()
    first, second = load(meant, **LAYOUTS[name].keys), load(meant, **LAYOUTS[name].keys)
    assert first.data_id == second.data_id
    assert first.image_ids == second.image_ids
    assert first.reading == second.reading
    assert state() == before


_ONE_OF_A_KIND = (".png", ".jpg", ".parquet", ".arrow", ".tar", ".csv", ".jsonl")
"""Endings of files of which one stands for all of a layout."""


def _kinds_of_files(folder: Path) -> list[Path]:
    """The first file of each kind."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.setdefault(path.suffix if path.suffix in _ONE_OF_A_KIND else path.name, path)
    return list(found.values())


def _try(where: Path, **keys: object) -> ImageSet | str:
    """The images, or the sentence in which they are refused."""
    try:
        return load(where, **keys)
    except DataError as error:
        return str(error)


def _told(images: ImageSet) -> tuple[object, ...]:
    return images.reading.notes, images.reading.passed_over


@pytest.mark.parametrize("cut", ["in half", "by its last byte", "to nothing"])
@EVERY_LAYOUT
def test_a_file_that_is_cut_is_told(name: str, cut: str, tmp_path: Path) -> None:
    meant = write(name, tmp_path)
    whole = load(meant, **LAYOUTS[name].keys)
    for path in _kinds_of_files(tmp_path):
        content = path.read_bytes()
        kept = {"in half": content[: len(content) // 2], "by its last byte": content[:-1], "to nothing": b""}[cut]
        path.write_bytes(kept)
        found = _try(meant, **LAYOUTS[name].keys)
        if isinstance(found, str):
            assert "\n" not in found
            assert len(found) > 40
        else:
            # a list with fewer images, or a file that the reader does not need
            assert found.data_id == whole.data_id or _told(found) != _told(whole), path.name
        path.write_bytes(content)
