"""What makes an image set valid, and what its fingerprint depends on."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trainables.data.images import ImageSet, hash_labels, labels_sha256
from trainables.errors import DataError


def tiny() -> ImageSet:
    return ImageSet(
        name="tiny",
        pixels=np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1),
        labels=np.array([0, 1, 1]),
        image_ids=("a", "b", "c"),
        class_names=("no", "yes"),
        splits=np.array([0, 1, 0], np.int8),
    )


def test_rows_of_a_split_rise() -> None:
    assert [tiny().rows(split).tolist() for split in ("train", "validation", "test")] == [[0, 2], [1], []]


def test_the_hash_of_an_image_is_that_of_its_pixels() -> None:
    assert tiny().image_sha256[0] == hashlib.sha256(bytes([0, 1, 2, 3])).hexdigest()


def test_the_hash_of_an_image_does_not_depend_on_how_pixels_lie_in_memory() -> None:
    strided = replace(tiny(), pixels=np.asfortranarray(tiny().pixels))
    assert strided.image_sha256 == tiny().image_sha256


def test_the_fingerprint_of_a_known_set_never_changes() -> None:
    # It is part of every trial's id: see test_config.py.
    assert replace(tiny(), splits=np.array([0, 1, 2], np.int8)).data_id == "30cf6da76c9db067"


@pytest.mark.parametrize("change", [{"name": "other"}, {"image_ids": ("a", "b", "d")}], ids=["set", "image"])
def test_names_are_not_part_of_the_fingerprint(change: dict[str, Any]) -> None:
    # Layouts call the same images by different names, or give them none.
    assert replace(tiny(), **change).data_id == tiny().data_id


@pytest.mark.parametrize(
    "change",
    [
        {"pixels": tiny().pixels + np.uint8(1)},
        {"pixels": tiny().pixels.reshape(3, 1, 4, 1)},
        {"labels": np.array([1, 0, 1])},
        {"groups": ("a", "b", "c")},
        {"sources": ("a", "b", "c")},
        {"class_names": ("no", "maybe")},
        {"splits": np.array([0, 2, 0], np.int8)},
    ],
    ids=["pixels", "shape", "labels", "groups", "sources", "classes", "split"],
)
def test_everything_else_is_part_of_the_fingerprint(change: dict[str, Any]) -> None:
    assert replace(tiny(), **change).data_id != tiny().data_id


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"pixels": tiny().pixels[..., 0]}, r"pixels are uint8\(3, 2, 2\), not uint8"),
        ({"pixels": tiny().pixels.astype(np.float32)}, "pixels are float32"),
        ({"labels": np.array([0, 1])}, "3 images, but 2 labels"),
        ({"image_ids": ("a", "b")}, "2 ids"),
        ({"groups": ("a", "b")}, "3 images, but 2 groups"),
        ({"image_ids": ("a", "b", "a")}, "same id"),
        ({"class_names": ("no",)}, "at least 2 are needed"),
        ({"labels": np.array([0, 1, 2])}, "labels run from 0 to 2, outside the 2 classes"),
        ({"labels": np.array([0, -1, 1])}, "labels run from -1"),
        ({"splits": np.array([0, 1, 3], np.int8)}, "splits run from 0 to 3"),
    ],
)
def test_an_image_set_that_does_not_hold_together_cannot_be_made(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        replace(tiny(), **change)


def test_the_hash_of_labels_depends_on_their_order_not_on_their_type() -> None:
    assert labels_sha256(np.array([1, 2])) != labels_sha256(np.array([2, 1]))
    assert labels_sha256(np.array([1, 2])) == hashlib.sha256(bytes([1, *[0] * 7, 2, *[0] * 7])).hexdigest()
    assert labels_sha256(np.array([1, 2], np.int32)) == labels_sha256(np.array([1, 2]))  # type: ignore[arg-type]


def test_each_split_has_the_hash_of_its_own_labels() -> None:
    images = tiny()
    expected = {"train": images.labels[[0, 2]], "validation": images.labels[[1]], "test": images.labels[[]]}
    assert hash_labels(images) == {split: labels_sha256(labels) for split, labels in expected.items()}
    assert hash_labels(images.arrays) == hash_labels(images)
