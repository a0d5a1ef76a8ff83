"""STL-10 in binary form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.trainables.layouts.damage import CONFIG, pack, read_damaged, write
from trainables.errors import DataError
from trainables.layouts.arrays.stl10 import CLASS_NAMES, matches_stl10, read_stl10
from trainables.layouts.detect import Layout
from trainables.places.folder import FolderPlace
from trainables.places.open import Source


def image(first: int) -> bytes:
    """Red goes down the first column with `first`, 1, 2, …; green and blue are constant."""
    red = bytes([first]) + bytes(range(1, 96)) + bytes(95 * 96)
    return red + bytes([100]) * 96 * 96 + bytes([200]) * 96 * 96


FILES = {
    "stl10_binary/class_names.txt": "\n".join(CLASS_NAMES).encode(),
    "stl10_binary/train_X.bin": image(50) + image(60),
    "stl10_binary/train_y.bin": bytes([1, 10]),
    "stl10_binary/test_X.bin": image(70),
    "stl10_binary/test_y.bin": bytes([2]),
    "stl10_binary/unlabeled_X.bin": image(80),
    "stl10_binary/fold_indices.txt": b"0 1",
}


@pytest.mark.parametrize("place", ["disk", "zip"])
def test_images_are_read_column_by_column_and_labels_from_1(tmp_path: Path, place: str) -> None:
    source = write(tmp_path, FILES) if place == "disk" else pack(FILES)
    assert matches_stl10(source)
    listing = read_stl10(source, CONFIG)
    assert [(found.image_id, found.label, found.split) for found in listing.images] == [
        ("train/00000", "airplane", "train"),
        ("train/00001", "truck", "train"),
        ("test/00000", "bird", "test"),
    ]
    pixels = listing.images[1].open()
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (96, 96, 3)
    assert pixels[:3, 0].tolist() == [[60, 100, 200], [1, 100, 200], [2, 100, 200]]
    assert pixels[0, 1].tolist() == [0, 100, 200]
    assert [other.name for other in listing.passed_over] == ["unlabeled_X.bin"]
    assert listing.class_names == CLASS_NAMES


def test_a_file_that_is_named_stands_for_its_set(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    assert len(read_stl10(Source(FolderPlace(tmp_path / "stl10_binary"), "test_y.bin"), CONFIG).images) == 3


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("train_X.bin", image(0)[:-1], "holds 27,647 bytes, no whole number of images of 27,648 bytes"),
        ("train_y.bin", bytes([1, 0]), "holds the label 0, but the 10 classes run from 1 to 10"),
        ("train_y.bin", bytes([1]), "holds 1 labels, but train_X.bin 2 images"),
        ("class_names.txt", b"cat\ncat", "names 1 classes, but 10 are in the set"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=f"{name} {complaint}"):
        read_stl10(write(tmp_path, {**FILES, f"stl10_binary/{name}": content}), CONFIG)


def test_images_without_their_labels_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path, {"train_X.bin": image(0), "test_X.bin": image(0), "test_y.bin": b"\x01"})
    with pytest.raises(DataError, match=r"holds train_X.bin, but not train_y.bin: fetch it"):
        read_stl10(source, CONFIG)


def test_no_damage_raises_anything_but_a_data_error() -> None:
    assert read_damaged(Layout("stl10", matches_stl10, read_stl10), FILES) > 10
