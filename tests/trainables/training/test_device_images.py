"""What would go wrong on a device without a word is refused before it gets there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.trainables.training.tiny_trials import CPU, make_images
from trainables.config.preparation import Equalise
from trainables.data.equalise import equalise_pixels
from trainables.data.images import ImageArrays
from trainables.errors import DataError
from trainables.training.device_images import add_pseudo_labelled, equalise_images, place_images, show_as_validation

WHOLE = make_images().arrays


def with_label(row: int, label: int) -> ImageArrays:
    labels = WHOLE.labels.copy()
    labels[row] = label
    return replace(WHOLE, labels=labels)


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (
            with_label(17, 3),
            r"^wrong label: that of image 17 is 3, and 1 of 110 are outside the 3 classes \(0 to 2\): ",
        ),
        (with_label(4, -100), r"^wrong label: that of image 4 is -100"),  # which torch would ignore without a word
        (replace(WHOLE, labels=WHOLE.labels[:-1]), r"^corrupt images: 110 images, but 109 labels and 110 splits$"),
        (replace(WHOLE, pixels=WHOLE.pixels[:50]), r"^corrupt images: 50 images, but 110 labels and 110 splits$"),
        (replace(WHOLE, pixels=WHOLE.pixels[..., 0]), r"pixels are uint8\(110, 8, 8\), not uint8 \(images, height, "),
        (replace(WHOLE, pixels=np.full(WHOLE.pixels.shape, np.nan)), r"^corrupt images: pixels are float64"),  # type: ignore[arg-type]
        (replace(WHOLE, labels=WHOLE.labels.astype(np.float64)), r"^corrupt labels: they are float64, not int64$"),  # type: ignore[arg-type]
        (replace(WHOLE, splits=np.ones_like(WHOLE.splits)), "none of the 110 is there to be trained on"),
    ],
    ids=["above", "below", "labels", "pixels", "grey", "nan", "float-labels", "no-training"],
)
def test_corrupt_images_and_wrong_labels_are_named(images: ImageArrays, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        place_images(images, CPU)


@pytest.mark.parametrize("kind", ["histogram", "clahe"])
def test_equalised_images_have_statistics_of_their_own_and_are_held(kind: Equalise) -> None:
    placed = place_images(WHOLE, CPU)
    before = placed.pixels.clone()
    equalised = equalise_images(placed, kind)
    assert torch.equal(equalised.pixels.float(), equalise_pixels(placed.pixels, kind))
    train = equalised.pixels[placed.rows["train"]].double() / 255
    assert torch.allclose(equalised.mean.double(), train.mean((0, 1, 2)))
    assert torch.allclose(equalised.std.double(), train.std((0, 1, 2), correction=0))
    assert equalise_images(placed, kind) is equalised is equalise_images(equalised, kind)
    assert torch.equal(placed.pixels, before)
    assert equalise_images(placed, "none") is placed


def test_of_a_large_set_one_equalised_copy_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.training.device_images.MOST_HELD_BYTES", 0)
    placed = place_images(WHOLE, CPU)
    first = equalise_images(placed, "clahe")
    equalise_images(placed, "histogram")
    assert equalise_images(placed, "clahe") is not first


def test_images_that_are_added_are_equalised_as_the_others() -> None:
    placed = equalise_images(place_images(WHOLE, CPU), "clahe")
    for more in (
        add_pseudo_labelled(placed, WHOLE.pixels[:5], WHOLE.labels[:5]),
        show_as_validation(placed, WHOLE.pixels[:5]),
    ):
        assert torch.equal(more.pixels[-5:], placed.pixels[:5])
        assert torch.equal(more.mean, placed.mean)


def test_whole_images_are_placed() -> None:
    assert torch.equal(place_images(WHOLE, CPU).labels, torch.from_numpy(WHOLE.labels))
