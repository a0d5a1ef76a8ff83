"""Arrays in `.npz` and `.npy` files: names, shapes, kinds of pixels and labels, and what is refused."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainables.layouts.damage import CONFIG, pack, read_damaged, write
from trainables.errors import DataError
from trainables.layouts.arrays.arrays_file import matches_arrays, read_arrays_file
from trainables.layouts.base.listing import Listing
from trainables.layouts.detect import Layout
from trainables.places.folder import FolderPlace
from trainables.places.open import Source

GREY = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)
LABELS = np.array([2, 0, 10, 2])


def npz(**arrays: Any) -> bytes:
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    return data.getvalue()


def npy(array: Any) -> bytes:
    data = io.BytesIO()
    np.save(data, np.asarray(array))
    return data.getvalue()


def read(tmp_path: Path, **arrays: Any) -> Listing:
    write(tmp_path, {"set.npz": npz(**arrays)})
    source = Source(FolderPlace(tmp_path), "set.npz")
    assert matches_arrays(source)
    return read_arrays_file(source, CONFIG)


def told(listing: Listing) -> list[tuple[str, str | None, str]]:
    return [(image.image_id, image.label, image.split) for image in listing.images]


def pixels(listing: Listing, position: int = 0) -> np.ndarray:
    found = listing.images[position].open()
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.uint8
    return found


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),  # Keras
        ("train_images", "train_labels", "test_images", "test_labels"),  # MedMNIST
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("trainX", "trainY", "testX", "testY"),
        ("Xtr", "ytr", "Xte", "yte"),
        ("x", "y", "x_test", "y_test"),
    ],
)
def test_splits_are_told_by_the_names_of_arrays(tmp_path: Path, names: tuple[str, ...]) -> None:
    listing = read(tmp_path, **dict(zip(names, (GREY, LABELS, GREY[:1], LABELS[:1]), strict=True)))
    assert told(listing) == [
        ("train/00000", "2", "train"),
        ("train/00001", "0", "train"),
        ("train/00002", "10", "train"),
        ("train/00003", "2", "train"),
        ("test/00000", "2", "test"),
    ]
    assert listing.class_names == ("0", "2", "10")
    assert listing.split_from == "the arrays' names"
    assert pixels(listing, 1).tolist() == GREY[1].tolist()


@pytest.mark.parametrize(
    "names",
    [("x", "y"), ("X", "y"), ("images", "labels"), ("data", "target"), ("data", "targets"), ("arr_0", "arr_1")],
)
def test_arrays_without_a_split_have_none(tmp_path: Path, names: tuple[str, str]) -> None:
    listing = read(tmp_path, **dict(zip(names, (GREY, LABELS), strict=True)))
    assert told(listing)[0] == ("00000", "2", "")
    assert listing.split_from == ""


@pytest.mark.parametrize(
    ("array", "first"),
    [
        (np.array([[[0, 0.5, 1]]]), [[0, 128, 255]]),
        (np.array([[[0, 128.0, 255]]], np.float32), [[0, 128, 255]]),
        (np.array([[[0, 7, 255]]], np.int64), [[0, 7, 255]]),
        (np.array([[[True, False, True]]]), [[255, 0, 255]]),
        (np.zeros((1, 2, 2, 1), np.uint8), [[[0], [0]]] * 2),
        (np.arange(4, dtype=np.uint8).reshape(1, 1, 1, 4), [[[0, 1, 2, 3]]]),
    ],
)
def test_pixels_become_whole_numbers_to_255(tmp_path: Path, array: np.ndarray, first: list[Any]) -> None:
    assert pixels(read(tmp_path, x=array, y=[1])).tolist() == first


def test_channels_that_come_first_are_moved_and_told(tmp_path: Path) -> None:
    listing = read(tmp_path, x=np.arange(3 * 2 * 5, dtype=np.uint8).reshape(1, 3, 2, 5), y=[1])
    assert pixels(listing).shape == (2, 5, 3)
    assert pixels(listing)[0, 1].tolist() == [1, 11, 21]
    assert "is taken for (images, channels, height, width)" in listing.notes[0]


def test_floats_are_converted_alike_in_all_blocks(tmp_path: Path) -> None:
    array = np.linspace(0, 1, 1200).reshape(1200, 1, 1)
    listing = read(tmp_path, x=array, y=np.zeros(1200, int))
    assert [int(pixels(listing, row)[0, 0]) for row in (0, 511, 512, 1199)] == [0, 109, 109, 255]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([[1], [0]]), ["1", "0"]),
        (np.array([[0, 0, 1], [1, 0, 0]]), ["2", "0"]),
        (np.array([[0, 1.0], [1, 0]], np.float32), ["1", "0"]),
        (np.array([3.0, 1.0]), ["3", "1"]),
        (np.array(["cat ", "dog"]), ["cat", "dog"]),
        (np.array([b"cat", b"dog"]), ["cat", "dog"]),
        (np.array([True, False]), ["1", "0"]),
    ],
)
def test_labels_are_read_in_every_usual_form(tmp_path: Path, labels: np.ndarray, expected: list[str]) -> None:
    assert [image.label for image in read(tmp_path, x=GREY[:2], y=labels).images] == expected


@pytest.mark.parametrize("labels", [np.array([1, 0]), np.array(["dog", "cat"])])
def test_class_names_keep_their_order(tmp_path: Path, labels: np.ndarray) -> None:
    listing = read(tmp_path, x=GREY[:2], y=labels, class_names=np.array(["cat", "dog"]))
    assert [image.label for image in listing.images] == ["dog", "cat"]
    assert listing.class_names == ("cat", "dog")


def test_images_without_labels_are_listed_without_a_class(tmp_path: Path) -> None:
    listing = read(tmp_path, x_train=GREY, y_train=LABELS, x_test=GREY[:1], ids=[1])
    assert told(listing)[-1] == ("test/00000", None, "")
    assert "1 images in x_test have no label" in listing.notes
    assert [other.name for other in listing.passed_over] == ["ids"]


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"x": GREY, "y": [1]}, "holds 1 labels, but x 4 images"),
        ({"x": GREY}, "holds the arrays x, none called as labels are: call them x_train and y_train"),
        ({"y": LABELS}, "holds the arrays y, none called as images are"),
        ({"foo": GREY, "bar": LABELS}, "holds the arrays foo, bar, none called as images are"),
        ({"x": GREY, "y": LABELS, "y_val": LABELS}, "holds y_val, but no images"),
        ({"x": GREY, "images": GREY, "y": LABELS}, "holds x and images, which mean the same"),
        ({"x": GREY.reshape(4, 6), "y": LABELS}, r"shape \(4, 6\): .*reshape rows of pixels"),
        ({"x": np.zeros((4, 2, 3, 2)), "y": LABELS}, r"shape \(4, 2, 3, 2\)"),
        ({"x": np.full((4, 2, 3), 4095, np.uint16), "y": LABELS}, "holds uint16 from 4095 to 4095"),
        ({"x": np.full((4, 2, 3), np.nan), "y": LABELS}, "holds float64 from nan to nan"),
        ({"x": np.full((4, 2, 3), -1.0), "y": LABELS}, "holds float64 from -1 to -1"),
        (
            {"x": GREY, "y": np.array([[1, 1], [0, 1], [1, 0], [1, 0]])},
            r"several labels a picture or none \(row 0 has 2",
        ),
        ({"x": GREY, "y": np.array([[0.9, 0.1]] * 4)}, "more than zeros and ones"),
        ({"x": GREY, "y": [0.5, 1, 1, 1]}, "no whole numbers"),
        ({"x": GREY, "y": np.zeros((4, 2, 2))}, r"shape \(4, 2, 2\)"),
        ({"x": GREY, "y": LABELS, "class_names": ["a", "b", "c"]}, "label 10, but the 3 classes run from 0 to 2"),
        ({"x": GREY, "y": LABELS, "class_names": ["a", "a"]}, "names a class twice"),
        (
            {"x": GREY, "y": np.array(["a", 1, 2, 3], object)},
            "y of .* holds Python objects, that is pickle, which is never",
        ),
        ({"x": np.array([GREY, 1], object), "y": LABELS}, "x of .* holds Python objects"),
        ({"x": GREY * 1j, "y": LABELS}, "an array of complex128"),
        ({"x": GREY[:0], "y": LABELS[:0]}, "holds no image"),
        (
            {"x_train": GREY, "y_train": LABELS, "x_test": GREY, "y_test": ["a"] * 4},
            "numbers, and labels that are text",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, arrays: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read(tmp_path, **arrays)


@pytest.mark.parametrize(
    "names",
    [
        ("images.npy", "labels.npy"),
        ("x.npy", "y.npy"),
        ("digits_x.npy", "digits_y.npy"),
        ("train-images.npy", "train-labels.npy"),
        ("Xtrain.npy", "ytrain.npy"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_npy_files_are_read_side_by_side(tmp_path: Path, names: tuple[str, str], named: bool) -> None:
    source = write(tmp_path, dict(zip(names, map(npy, (GREY, LABELS)), strict=True)))
    assert matches_arrays(source)
    if named:
        source = Source(FolderPlace(tmp_path), names[1])
    listing = read_arrays_file(source, CONFIG)
    assert [(image.label, image.split) for image in listing.images][:3] == [("2", ""), ("0", ""), ("10", "")]


def test_npy_files_keep_their_splits_in_a_zip_archive() -> None:
    files = {
        f"deeper/{name}_{split}.npy": npy(array)
        for split in ("train", "val", "test")
        for name, array in (("X", GREY), ("y", LABELS))
    }
    source = pack({**files, "deeper/submission.csv": b"id,label"})
    assert matches_arrays(source)
    assert {image.split for image in read_arrays_file(source, CONFIG).images} == {"train", "validation", "test"}


@pytest.mark.parametrize("name", ["images.npy", "pictures_of_cats.npy"])
def test_a_lone_array_says_what_it_needs(tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: npy(GREY)})
    with pytest.raises(DataError, match=r"none called as (labels|images) are: call them x_train and y_train"):
        read_arrays_file(Source(FolderPlace(tmp_path), name), CONFIG)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cat/1.png": b"", "features.npz": npz(x=GREY, y=LABELS)}, False),
        ({"labels.csv": b"", "features.npy": b""}, False),
        ({"labels.csv": b"", "x.npy": b"", "y.npy": b""}, True),
        ({"set.npz": b""}, True),
        ({"notes.txt": b""}, False),
    ],
)
def test_arrays_beside_images_or_tables_are_not_taken_for_the_set(
    tmp_path: Path, files: dict[str, bytes], expected: bool
) -> None:
    assert matches_arrays(write(tmp_path, files)) == expected


def test_several_files_of_arrays_are_named(tmp_path: Path) -> None:
    source = write(tmp_path, {"a.npz": npz(x=GREY), "b.npz": npz(x=GREY)})
    with pytest.raises(DataError, match=r"holds 2 .npz files, a.npz, b.npz: name one"):
        read_arrays_file(source, CONFIG)


def test_a_header_that_declares_too_much_allocates_nothing(tmp_path: Path) -> None:
    head = repr({"descr": "|u1", "fortran_order": False, "shape": (2**40, 28, 28)}).encode().ljust(117) + b"\n"
    huge = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(100)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("x.npy", huge)
        archive.writestr("y.npy", npy(LABELS))
    for files in ({"set.npz": data.getvalue()}, {"x.npy": huge, "y.npy": npy(LABELS)}):
        with pytest.raises(
            DataError, match=r"declares the shape \(1099511627776, 28, 28\) of uint8, and holds 100 bytes"
        ):
            read_arrays_file(pack(files), CONFIG)


def test_an_archive_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="decompression bomb"):
        read(tmp_path, x=np.zeros((150_000, 28, 28), np.uint8), y=np.zeros(150_000, np.uint8))


def test_no_damage_raises_anything_but_a_data_error() -> None:
    layout = Layout("arrays", matches_arrays, read_arrays_file)
    texts = np.array(["cat", "dog", "cat", "owl"])
    assert read_damaged(layout, {"set.npz": npz(x=GREY, y=texts)}) > 20
    assert read_damaged(layout, {"x.npy": npy(GREY / 255), "y.npy": npy(texts)}, tries=150) > 40
