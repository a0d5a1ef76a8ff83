"""IDX files of the MNIST family: small files of the true form, and the real sets where they are installed."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from tests.trainables.layouts.damage import CONFIG, pack, read_damaged, write
from trainables.datasets.fashion_mnist import DEBIAN, load_fashion_mnist
from trainables.errors import DataError
from trainables.layouts.arrays import mnist_family
from trainables.layouts.arrays.idx import matches_idx, read_idx_files
from trainables.layouts.base.listing import Listing
from trainables.layouts.detect import Layout
from trainables.places.folder import FolderPlace
from trainables.places.open import Source


def idx(values: np.ndarray, kind: int = 8) -> bytes:
    sizes = b"".join(length.to_bytes(4, "big") for length in values.shape)
    return bytes([0, 0, kind, values.ndim]) + sizes + values.astype({8: ">u1", 12: ">i4"}[kind]).tobytes()


IMAGES = idx(np.arange(24).reshape(4, 2, 3))
LABELS = idx(np.array([9, 0, 1, 1]))
TEST_IMAGES = idx(np.arange(100, 112).reshape(2, 2, 3))
TEST_LABELS = idx(np.array([10, 9]))
FILES = {
    "train-images-idx3-ubyte": IMAGES,
    "train-labels-idx1-ubyte": LABELS,
    "t10k-images-idx3-ubyte": TEST_IMAGES,
    "t10k-labels-idx1-ubyte": TEST_LABELS,
}


def told(listing: Listing) -> list[tuple[str, str | None, str]]:
    return [(image.image_id, image.label, image.split) for image in listing.images]


def pixels(listing: Listing, image_id: str) -> list[list[int]]:
    found = next(image for image in listing.images if image.image_id == image_id).open()
    assert isinstance(found, np.ndarray)
    return found.tolist()


def recognise_all(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Small files stand in for the published ones."""
    monkeypatch.setattr(mnist_family, "recognise", lambda *_: name)


EXPECTED = [
    ("train/00000", "9", "train"),
    ("train/00001", "0", "train"),
    ("train/00002", "1", "train"),
    ("train/00003", "1", "train"),
    ("test/00000", "10", "test"),
    ("test/00001", "9", "test"),
]


@pytest.mark.parametrize("gzipped", [True, False])
@pytest.mark.parametrize("folder", ["", "MNIST/raw/"])
@pytest.mark.parametrize("place", ["disk", "zip"])
def test_unknown_files_have_the_published_split_and_numbers_for_names(
    tmp_path: Path, gzipped: bool, folder: str, place: str
) -> None:
    files = {
        f"{folder}{name}{'.gz' * gzipped}": gzip.compress(data) if gzipped else data for name, data in FILES.items()
    }
    source = write(tmp_path, files) if place == "disk" else pack(files)
    assert matches_idx(source)
    listing = read_idx_files(source, CONFIG)
    assert told(listing) == EXPECTED
    assert listing.class_names == ("0", "1", "9", "10")  # in the order of numbers, not of letters
    assert (listing.layout, listing.split_from) == ("IDX files", "the files")
    assert pixels(listing, "test/00000") == [[100, 101, 102], [103, 104, 105]]
    assert any("deeper" in note for note in listing.notes) == bool(folder)


@pytest.mark.parametrize(
    "names",
    [
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("train_images.idx", "train_labels.idx"),
        ("images-ubyte", "labels-ubyte"),
    ],
)
def test_other_spellings_are_read_and_a_part_that_is_alone_has_no_split(tmp_path: Path, names: tuple[str, str]) -> None:
    listing = read_idx_files(write(tmp_path, dict(zip(names, (IMAGES, LABELS), strict=True))), CONFIG)
    assert [(image.label, image.split) for image in listing.images] == [("9", ""), ("0", ""), ("1", ""), ("1", "")]
    assert listing.split_from == ""


def test_a_file_that_is_named_stands_for_its_set(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    listing = read_idx_files(Source(FolderPlace(tmp_path), "t10k-labels-idx1-ubyte"), CONFIG)
    assert told(listing) == EXPECTED


@pytest.mark.parametrize(("name", "first"), [("KMNIST", "wo"), ("MNIST", "9"), ("Fashion-MNIST", "Ankle boot")])
def test_a_known_set_has_its_published_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, first: str
) -> None:
    recognise_all(monkeypatch, name)
    files = {**FILES, "t10k-labels-idx1-ubyte": idx(np.array([3, 9]))}
    listing = read_idx_files(write(tmp_path, files), CONFIG)
    assert listing.layout == f"IDX files ({name})"
    assert listing.images[0].label == first
    assert len(listing.class_names) == 10


def test_letters_of_emnist_are_turned_upright_and_counted_from_1(tmp_path: Path) -> None:
    files = {
        "emnist-letters-train-images-idx3-ubyte.gz": gzip.compress(IMAGES),
        "emnist-letters-train-labels-idx1-ubyte.gz": gzip.compress(idx(np.array([1, 2, 26, 3]))),
        "emnist-letters-test-images-idx3-ubyte.gz": gzip.compress(TEST_IMAGES),
        "emnist-letters-test-labels-idx1-ubyte.gz": gzip.compress(idx(np.array([1, 1]))),
    }
    listing = read_idx_files(write(tmp_path, files), CONFIG)
    assert [image.label for image in listing.images] == ["a", "b", "z", "c", "a", "a"]
    assert [image.split for image in listing.images] == ["train"] * 4 + ["test"] * 2
    assert pixels(listing, "train/00000") == [[0, 3], [1, 4], [2, 5]]
    assert listing.name == "EMNIST letters"


@pytest.mark.parametrize(
    ("split", "classes"),
    [("byclass", 62), ("bymerge", 47), ("balanced", 47), ("letters", 26), ("digits", 10), ("mnist", 10)],
)
def test_every_split_of_emnist_has_the_published_number_of_classes(split: str, classes: int) -> None:
    assert len(mnist_family.CLASS_NAMES[f"EMNIST {split}"]) == classes


def test_several_splits_of_emnist_in_one_folder_are_named(tmp_path: Path) -> None:
    files = {
        f"emnist-{split}-train-{what}": data
        for split in ("letters", "digits")
        for what, data in (("images-idx3-ubyte", IMAGES), ("labels-idx1-ubyte", LABELS))
    }
    source = write(tmp_path, files)
    with pytest.raises(
        DataError, match="2 sets, 'emnist-digits', 'emnist-letters': put the files of one into a folder"
    ):
        read_idx_files(source, CONFIG)
    one = Source(FolderPlace(tmp_path), "emnist-digits-train-images-idx3-ubyte")
    assert len(read_idx_files(one, CONFIG).images) == 4


def test_the_first_column_of_qmnist_is_the_class(tmp_path: Path) -> None:
    table = np.array([[7, 0, 99], [2, 0, 98], [1, 4, 97], [0, 4, 96]])
    files = {"qmnist-train-images-idx3-ubyte": IMAGES, "qmnist-train-labels-idx2-int": idx(table, kind=12)}
    listing = read_idx_files(write(tmp_path, files), CONFIG)
    assert [image.label for image in listing.images] == ["7", "2", "1", "0"]
    assert listing.name == "QMNIST"


def test_two_folders_of_sets_are_named(tmp_path: Path) -> None:
    files = {f"{folder}/raw/{name}": data for folder in ("MNIST", "KMNIST") for name, data in FILES.items()}
    with pytest.raises(DataError, match="in 2 folders, KMNIST/raw/, MNIST/raw/: name one"):
        read_idx_files(write(tmp_path, files), CONFIG)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("train-images-idx3-ubyte", b"", "starts with nothing"),
        ("train-images-idx3-ubyte", IMAGES[:-1], "promises 24 bytes of .*, but holds 23"),
        ("train-images-idx3-ubyte", IMAGES + b"x", "promises 24 bytes of .*, but holds 25"),
        ("train-labels-idx1-ubyte", idx(np.zeros(5)), "train-labels-idx1-ubyte holds 5 labels, but train-images"),
        ("train-images-idx3-ubyte", idx(np.zeros((4, 0, 3))), r"images of \(0, 3\) pixels"),
        ("train-images-idx3-ubyte", idx(np.zeros((4, 2, 3, 2))), "1 or 3 channels last"),
        ("train-labels-idx1-ubyte", idx(np.zeros((4, 0))), "no column of labels"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read_idx_files(write(tmp_path, {**FILES, name: content}), CONFIG)


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [("train-labels-idx1-ubyte", "no labels for these images"), ("t10k-images-idx3-ubyte", "not the images")],
)
def test_a_missing_file_is_told_by_its_pair(tmp_path: Path, missing: str, complaint: str) -> None:
    files = {name: data for name, data in FILES.items() if name != missing}
    with pytest.raises(DataError, match=complaint):
        read_idx_files(write(tmp_path, files), CONFIG)


def test_files_of_two_sets_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_family, "recognise", lambda name, *_: "MNIST" if "train" in name else "KMNIST")
    with pytest.raises(DataError, match=r"mixes two sets, KMNIST .* and MNIST"):
        read_idx_files(write(tmp_path, FILES), CONFIG)


def test_a_gzip_file_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    with pytest.raises(DataError, match="decompression bomb"):
        read_idx_files(write(tmp_path, {**FILES, "train-images-idx3-ubyte.gz": bomb}), CONFIG)


def test_files_of_another_set_are_not_read_as_fashion_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, FILES)
    recognise_all(monkeypatch, "MNIST")
    with pytest.raises(
        DataError, match=rf"is a file of MNIST, not of Fashion-MNIST: .*data.path={re.escape(str(tmp_path))}"
    ):
        load_fashion_mnist(tmp_path)


def test_no_damage_raises_anything_but_a_data_error() -> None:
    layout = Layout("idx", matches_idx, read_idx_files)
    assert read_damaged(layout, FILES, within=16) > 20
    gzipped = {f"{name}.gz": gzip.compress(data) for name, data in FILES.items()}
    assert read_damaged(layout, gzipped) > 20


@pytest.mark.skipif(not DEBIAN.is_dir(), reason=f"no {DEBIAN}: apt-get install dataset-fashion-mnist")
def test_the_real_fashion_mnist_is_recognised_by_its_unpacked_content() -> None:
    listing = read_idx_files(Source(FolderPlace(DEBIAN)), CONFIG)
    assert listing.name == "Fashion-MNIST"
    assert len(listing.images) == 70_000
    assert [image.label for image in listing.images[:3]] == ["Ankle boot", "T-shirt/top", "T-shirt/top"]
