"""SVHN and Flowers-102, from small MATLAB files that SciPy writes."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from tests.trainables.layouts.damage import CONFIG, pack, read_damaged, write
from trainables.errors import DataError
from trainables.layouts.arrays.mat import matches_flowers, matches_svhn, read_flowers, read_svhn
from trainables.layouts.arrays.mat_file import read_mat
from trainables.layouts.detect import Layout
from trainables.places.folder import FolderPlace
from trainables.places.open import Source


def mat(compressed: bool = True, **arrays: Any) -> bytes:
    data = io.BytesIO()
    savemat(data, arrays, do_compression=compressed)
    return data.getvalue()


def digits(*labels: float) -> bytes:
    """Images of which the first pixel tells the position, and its place in the file the axes."""
    pixels = np.zeros((32, 32, 3, len(labels)), np.uint8)
    for position in range(len(labels)):
        pixels[0, 1, :, position] = [position + 1, 20, 30]
    return mat(X=pixels, y=np.array(labels, np.uint8).reshape(-1, 1))


SVHN = {"train_32x32.mat": digits(1, 10, 9), "test_32x32.mat": digits(5, 10), "extra_32x32.mat": b"not read"}

FLOWERS = {
    "flowers-102/imagelabels.mat": mat(labels=np.array([[77, 3, 3, 12, 77]], np.uint8)),
    "flowers-102/setid.mat": mat(
        trnid=np.array([[5, 2]], np.uint16), valid=np.array([[1]], np.uint16), tstid=np.array([[4, 3]], np.uint16)
    ),
    **{f"flowers-102/jpg/image_0000{number}.jpg": f"jpeg {number}".encode() for number in range(1, 6)},
}


@pytest.mark.parametrize("place", ["disk", "zip"])
def test_svhn_has_label_10_for_the_digit_0(tmp_path: Path, place: str) -> None:
    source = write(tmp_path, SVHN) if place == "disk" else pack(SVHN)
    assert matches_svhn(source)
    listing = read_svhn(source, CONFIG)
    assert [(image.image_id, image.label, image.split) for image in listing.images] == [
        ("train/00000", "1", "train"),
        ("train/00001", "0", "train"),
        ("train/00002", "9", "train"),
        ("test/00000", "5", "test"),
        ("test/00001", "0", "test"),
    ]
    pixels = listing.images[2].open()
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (32, 32, 3)
    assert pixels[0, 1].tolist() == [3, 20, 30]
    assert listing.class_names == tuple("0123456789")
    assert listing.notes == ["the further training digits in extra_32x32.mat are not read"]


def test_a_single_digit_and_a_named_file_are_read(tmp_path: Path) -> None:
    write(tmp_path, {"train_32x32.mat": digits(4)})
    listing = read_svhn(Source(FolderPlace(tmp_path), "train_32x32.mat"), CONFIG)
    assert [(image.label, image.split) for image in listing.images] == [("4", "")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "starts with b''"),
        (b"MATLAB 7.3 MAT-file, Platform", "version 7.3, which is not read: save it with `save -v7`"),
        (SVHN["train_32x32.mat"][:180], "cannot be read as a MATLAB file"),
        (mat(X=np.zeros((32, 32, 3, 2), np.uint8)), "holds no array called 'y'"),
        (mat(X=np.zeros((32, 32, 3, 2), np.uint8), y=np.array([1])), "holds 1 labels, but X 2 images"),
        (mat(X=np.zeros((32, 32, 3, 1), np.uint8), y=np.array([11])), "holds the label 11"),
        (mat(X=np.zeros((32, 32, 3, 1), np.uint8), y=np.array([1.5])), "no whole numbers"),
        (mat(X=np.zeros((3, 32, 32, 1), np.uint8), y=np.array([1])), r"must be uint8\(32, 32, 3, images\)"),
        (mat(X=np.zeros((32, 32, 3, 1)), y=np.array([1])), "holds X as float64"),
        (mat(X=np.array([{"a": 1}], object), y=np.array([1])), "'X' is no array of real numbers"),
        (mat(X=np.zeros((32, 32, 3, 30_000), np.uint8), y=np.array([1])), "decompression bomb"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=f"train_32x32.mat.*({complaint})"):
        read_svhn(write(tmp_path, {"train_32x32.mat": content}), CONFIG)


def test_the_extra_digits_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"extra_32x32.mat alone: fetch train_32x32.mat and test_32x32.mat"):
        read_svhn(write(tmp_path, {"extra_32x32.mat": b""}), CONFIG)


@pytest.mark.parametrize("place", ["disk", "zip"])
def test_flowers_have_the_published_split_and_their_numbers_as_classes(tmp_path: Path, place: str) -> None:
    source = write(tmp_path, FLOWERS) if place == "disk" else pack(FLOWERS)
    assert matches_flowers(source)
    listing = read_flowers(source, CONFIG)
    assert [(image.image_id[-9:], image.label, image.split) for image in listing.images] == [
        ("00001.jpg", "77", "validation"),
        ("00002.jpg", "3", "train"),
        ("00003.jpg", "3", "test"),
        ("00004.jpg", "12", "test"),
        ("00005.jpg", "77", "train"),
    ]
    assert listing.class_names == ("3", "12", "77")
    opened = listing.images[3].open()
    assert not isinstance(opened, np.ndarray)
    with opened:
        assert opened.read() == b"jpeg 4"


def test_missing_images_and_a_missing_split_are_told(tmp_path: Path) -> None:
    left_out = ("setid.mat", "00002.jpg")
    listing = read_flowers(
        write(tmp_path, {name: data for name, data in FLOWERS.items() if not name.endswith(left_out)}), CONFIG
    )
    assert [image.split for image in listing.images] == [""] * 4
    assert "setid.mat is missing: the published split is not known" in listing.notes
    assert "1 of 5 images are missing in jpg/" in listing.notes


def test_labels_without_any_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no jpg/image_00001.jpg: unpack 102flowers.tgz"):
        read_flowers(write(tmp_path, {"imagelabels.mat": FLOWERS["flowers-102/imagelabels.mat"]}), CONFIG)


def test_an_image_in_two_splits_is_refused(tmp_path: Path) -> None:
    twice = mat(trnid=np.array([[1, 2]]), valid=np.array([[3]]), tstid=np.array([[2]]))
    with pytest.raises(DataError, match="image 2 in train and in test"):
        read_flowers(write(tmp_path, {**FLOWERS, "flowers-102/setid.mat": twice}), CONFIG)


@pytest.mark.parametrize("endian", ["<", ">"])
def test_an_array_is_read_in_either_order_of_bytes_and_column_by_column(tmp_path: Path, endian: str) -> None:
    """2 x 3 doubles, which are stored as bytes in the tag's own element, as MATLAB stores small whole numbers."""

    def element(kind: int, content: bytes) -> bytes:
        return struct.pack(f"{endian}II", kind, len(content)) + content + bytes(-len(content) % 8)

    matrix = (
        element(6, struct.pack(f"{endian}II", 6, 0))
        + element(5, struct.pack(f"{endian}ii", 2, 3))
        + struct.pack(f"{endian}I4s", (1 << 16) + 1, b"a")
        + element(2, bytes([1, 2, 3, 4, 5, 6]))
    )
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{endian}HH", 0x0100, 0x4D49)
    write(tmp_path, {"a.mat": head + element(14, matrix)})
    found = read_mat(FolderPlace(tmp_path), "a.mat", ["a"])["a"]
    assert found.tolist() == [[1, 3, 5], [2, 4, 6]]
    assert found.dtype == np.float64


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"])
def test_every_kind_of_number_is_read_as_scipy_reads_it(tmp_path: Path, kind: str) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(kind)
    write(tmp_path, {"a.mat": mat(other=["x"], a=values, one=values[:1, :1, 0])})
    found = read_mat(FolderPlace(tmp_path), "a.mat", ["a", "one"])
    assert np.array_equal(found["a"], values)
    assert found["a"].dtype == values.dtype
    assert found["one"].tolist() == [[0]]


@pytest.mark.parametrize("compressed", [True, False])
def test_no_damage_raises_anything_but_a_data_error(compressed: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 2), dtype=np.uint8)
    svhn = {"train_32x32.mat": mat(compressed, X=pixels, y=np.array([[1], [2]], np.uint8))}
    assert read_damaged(Layout("svhn", matches_svhn, read_svhn), svhn) > 20
    assert read_damaged(Layout("flowers", matches_flowers, read_flowers), FLOWERS) > 5
