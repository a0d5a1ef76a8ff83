"""What makes an image set valid, and what its fingerprint depends on."""

import hashlib
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trainables.data.images import ImageArrays, ImageSet, channel_statistics, hash_labels, labels_sha256, split_rows
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


def drawn(*shape: int) -> ImageArrays:
    """Random images, two of three in train."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return ImageArrays(pixels, np.zeros(shape[0], np.int64), (np.arange(shape[0]) % 3 == 0).astype(np.int8), 2)


def at_once(images: ImageArrays) -> tuple[np.ndarray, np.ndarray]:
    """The statistics as older versions computed them, from a copy of all training pixels: data.json has them."""
    channels = images.pixels.shape[3]
    train = images.pixels[images.rows("train")].reshape(-1, channels)
    counts = np.stack([np.bincount(train[:, channel], minlength=256) for channel in range(channels)])
    levels = np.arange(256) / 255
    mean = counts @ levels / len(train)
    return mean, np.maximum(np.sqrt(counts @ levels**2 / len(train) - mean**2), 1e-3)


@pytest.mark.parametrize("shape", [(7, 5, 3, 1), (50, 9, 11, 3), (4000, 16, 24, 1), (5, 600, 600, 3)], ids=str)
def test_statistics_counted_in_blocks_are_those_of_all_pixels_at_once_to_the_bit(shape: tuple[int, ...]) -> None:
    images = drawn(*shape)
    for ours, before in zip(channel_statistics(images), at_once(images), strict=True):
        assert ours.tobytes() == before.tobytes()


@pytest.mark.parametrize("shape", [(30_000, 28, 28, 1), (2_000, 64, 64, 3)], ids=str)
def test_statistics_take_a_block_of_memory_whatever_the_size_of_the_set(shape: tuple[int, ...]) -> None:
    images = drawn(*shape)
    tracemalloc.start()
    try:
        channel_statistics(images)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20 < images.pixels.nbytes
    finally:
        tracemalloc.stop()


def test_rows_are_split_into_blocks_of_at_least_one_image() -> None:
    rows = np.arange(5)
    assert [block.tolist() for block in split_rows(rows, 10, 25)] == [[0, 1], [2, 3], [4]]
    assert [block.tolist() for block in split_rows(rows, 99, 25)] == [[0], [1], [2], [3], [4]]
