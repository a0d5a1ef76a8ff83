"""CIFAR-10 and CIFAR-100 in binary form, and the pickles that are refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.trainables.layouts.damage import CONFIG, pack, read_damaged, write
from trainables.errors import DataError
from trainables.layouts.arrays.cifar import matches_cifar, read_cifar
from trainables.layouts.detect import Layout
from trainables.places.folder import FolderPlace
from trainables.places.open import Source

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def row(*labels: int, first: int = 0) -> bytes:
    """One image: red begins with `first`, and green and blue are constant."""
    red = bytes([first, 7]) + bytes(1022)
    return bytes(labels) + red + bytes([100]) * 1024 + bytes([200]) * 1024


TEN = {
    "cifar-10-batches-bin/batches.meta.txt": ("\n".join(NAMES) + "\n\n").encode(),
    **{f"cifar-10-batches-bin/data_batch_{number}.bin": row(number, first=number) * 2 for number in range(1, 6)},
    "cifar-10-batches-bin/test_batch.bin": row(9),
}
FINE = [f"thing{number}" for number in range(100)]
HUNDRED = {
    "fine_label_names.txt": "\n".join(FINE).encode(),
    "coarse_label_names.txt": b"whatever",
    "train.bin": row(3, 99) + row(4, 0),
    "test.bin": row(5, 12),
}


@pytest.mark.parametrize("place", ["disk", "zip"])
def test_cifar_10_has_its_batches_one_after_the_other(tmp_path: Path, place: str) -> None:
    source = write(tmp_path, TEN) if place == "disk" else pack(TEN)
    assert matches_cifar(source)
    listing = read_cifar(source, CONFIG)
    assert (listing.name, listing.layout, listing.split_from) == ("CIFAR-10", "CIFAR-10 binary files", "the files")
    assert [image.label for image in listing.images] == [NAMES[number] for number in (1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 9)]
    assert [image.image_id for image in listing.images][-2:] == ["train/00009", "test/00000"]
    assert listing.class_names == tuple(NAMES)
    pixels = listing.images[4].open()
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (32, 32, 3)
    assert pixels[0, :2].tolist() == [[3, 100, 200], [7, 100, 200]]


def test_cifar_100_has_its_fine_classes(tmp_path: Path) -> None:
    listing = read_cifar(write(tmp_path, HUNDRED), CONFIG)
    assert [(image.label, image.split) for image in listing.images] == [
        ("thing99", "train"),
        ("thing0", "train"),
        ("thing12", "test"),
    ]
    assert listing.class_names == tuple(FINE)


def test_a_file_that_is_named_stands_for_its_set(tmp_path: Path) -> None:
    write(tmp_path, HUNDRED)
    source = Source(FolderPlace(tmp_path), "train.bin")
    assert matches_cifar(source)
    assert len(read_cifar(source, CONFIG).images) == 3


def test_the_test_batch_alone_has_no_split(tmp_path: Path) -> None:
    listing = read_cifar(write(tmp_path, {"test_batch.bin": row(9)}), CONFIG)
    assert [(image.label, image.split) for image in listing.images] == [("truck", "")]


def test_missing_batches_are_told(tmp_path: Path) -> None:
    files = {name: data for name, data in TEN.items() if "batch_3" not in name}
    assert (
        "data_batch_3.bin of CIFAR-10's five training files is missing"
        in read_cifar(write(tmp_path, files), CONFIG).notes
    )


@pytest.mark.parametrize(
    ("names", "archive"),
    [
        (["cifar-10-batches-py/data_batch_1", "cifar-10-batches-py/batches.meta"], "cifar-10-binary.tar.gz"),
        (["cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta"], "cifar-100-binary.tar.gz"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_a_pickle_is_never_read(tmp_path: Path, names: list[str], archive: str, named: bool) -> None:
    source = write(tmp_path, {name: pickle.dumps({"data": 1}) for name in names})
    if named:
        folder, _, name = names[0].partition("/")
        source = Source(FolderPlace(tmp_path / folder), name)
    assert matches_cifar(source)
    with pytest.raises(DataError, match=f"as a pickle, which is never read: take {archive}"):
        read_cifar(source, CONFIG)


@pytest.mark.parametrize(
    "files",
    [
        {"train.bin": b"x", "test.bin": b"y"},
        {"train": b"x", "test": b"y"},
        {"train/1.png": b"", "test/1.png": b"", "meta": b"text"},
        {"meta": b"text", "train": b"text"},
    ],
)
def test_other_files_with_common_names_are_not_taken_for_cifar(tmp_path: Path, files: dict[str, bytes]) -> None:
    assert not matches_cifar(write(tmp_path, files))


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("test_batch.bin", row(9)[:-1], "holds 3,072 bytes, no whole number of rows of 3,073 bytes"),
        ("test_batch.bin", row(10), "holds the label 10, but the 10 classes run from 0 to 9"),
        ("test_batch.bin", b"", "holds no image"),
        ("batches.meta.txt", b"one\ntwo", "names 2 classes, but 10"),
        ("batches.meta.txt", b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    files = {**TEN, f"cifar-10-batches-bin/{name}": content}
    with pytest.raises(DataError, match=f"{name}.*{complaint}"):
        read_cifar(write(tmp_path, files), CONFIG)


def test_no_damage_raises_anything_but_a_data_error() -> None:
    layout = Layout("cifar", matches_cifar, read_cifar)
    assert read_damaged(layout, TEN) > 10
    assert read_damaged(layout, HUNDRED) > 10


def test_a_file_with_fewer_images_than_were_published_is_told(tmp_path: Path) -> None:
    rows = bytes([1]) + bytes(3072) + bytes([2]) + bytes(3072)
    source = write(tmp_path, {"data_batch_1.bin": rows, "test_batch.bin": rows})
    assert read_cifar(source, CONFIG).notes[-1] == (
        "files do not hold all images that were published (data_batch_1.bin has 2 of 10,000, test_batch.bin has 2 of 10,000): fetch "
        "what is cut short"
    )
