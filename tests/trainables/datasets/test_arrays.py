"""Images that a program has in memory become an `ImageSet`, or are refused with what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from trainables.config.data import DataConfig
from trainables.datasets.arrays import images_from_arrays, images_from_dataset
from trainables.datasets.load import load_images
from trainables.errors import DataError

GREY = np.random.default_rng(0).integers(0, 256, (60, 4, 5), dtype=np.uint8)
LABELS = np.arange(60) % 3


def test_grey_and_coloured_arrays_are_taken_as_they_are() -> None:
    grey = images_from_arrays(GREY, LABELS)
    np.testing.assert_array_equal(grey.pixels[..., 0], GREY)
    assert grey.class_names == ("0", "1", "2")
    coloured = images_from_arrays(np.repeat(GREY[..., None], 3, 3), LABELS, ["a", "b", "c"])
    assert coloured.pixels.shape == (60, 4, 5, 3)
    assert coloured.class_names == ("a", "b", "c")


def test_floats_from_0_to_1_are_the_same_images_as_bytes() -> None:
    assert images_from_arrays(GREY / 255, LABELS).data_id == images_from_arrays(GREY, LABELS).data_id
    tensor = torch.from_numpy(GREY)
    assert images_from_arrays(tensor, torch.from_numpy(LABELS)).data_id == images_from_arrays(GREY, LABELS).data_id


def test_labels_may_be_names() -> None:
    images = images_from_arrays(GREY, [("cat", "dog", "fox")[label] for label in LABELS])
    assert images.class_names == ("cat", "dog", "fox")
    assert images.labels.tolist() == LABELS.tolist()


def test_splits_follow_from_the_pixels_whatever_their_order() -> None:
    images = images_from_arrays(GREY, LABELS, validation=0.2, test=0.2)
    turned = images_from_arrays(GREY[::-1], LABELS[::-1], validation=0.2, test=0.2)
    assert images.splits.tolist() == turned.splits[::-1].tolist()


class Pairs(torch.utils.data.Dataset[Any]):
    classes = ("a", "b", "c")

    def __init__(self, make: Any) -> None:
        self._make = make

    def __len__(self) -> int:
        return len(GREY)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        return self._make(GREY[place]), int(LABELS[place])


@pytest.mark.parametrize(
    "make",
    [
        lambda image: image,
        Image.fromarray,
        lambda image: torch.from_numpy(image).float().div(255)[None],
    ],
    ids=["arrays", "pictures", "tensors"],
)
def test_a_dataset_of_torch_is_read_whole(make: Any) -> None:
    images = images_from_dataset(Pairs(make))
    np.testing.assert_array_equal(images.pixels[..., 0], GREY)
    assert images.class_names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("pixels", "labels", "reason"),
    [
        (GREY[0], LABELS, "shape"),
        (np.zeros((3, 4, 4, 2), np.uint8), [0, 1, 2], "shape"),
        (GREY * 2.0, LABELS, "floats run from 0 to 1"),
        (GREY.astype(np.int64) - 1, LABELS, "outside 0 to 255"),
        (GREY, LABELS[:5], "60 images and 5 labels"),
        (GREY, LABELS - 1, "start from 0"),
        (GREY, LABELS / 2, "numbers of classes"),
        (GREY, [[0]], "labels of shape"),
    ],
)
def test_what_is_no_set_of_images_is_refused(pixels: Any, labels: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        images_from_arrays(pixels, labels)


def test_a_label_that_class_names_lacks_is_named() -> None:
    with pytest.raises(DataError, match="'fox', which class_names does not name"):
        images_from_arrays(GREY[:3], ["cat", "dog", "fox"], ["cat", "dog"])


def test_images_that_a_program_had_cannot_be_loaded_by_the_command() -> None:
    with pytest.raises(DataError, match="hand them over again"):
        load_images(DataConfig(name="arrays"))
