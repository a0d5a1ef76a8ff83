"""What a sweep makes of pixels is checked before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from runner.config.sweep import SweepSpec
from runner.preflight.pixel_keys import check_pixels
from trainables.config.data import DataConfig
from trainables.errors import DataError, ModelUnusable


def parse(space: dict[str, Any] | None = None, **data: Any) -> SweepSpec:
    raw = {
        "name": "t",
        "data": {"name": "digits", **data},
        "model": {"name": "timm/resnet18"},
        "search": {"space": space or {}},
    }
    return SweepSpec.model_validate(raw)


def make_pixels(height: int, width: int, channels: int) -> npt.NDArray[np.uint8]:
    return np.zeros((3, height, width, channels), np.uint8)


def test_a_set_that_lies_on_the_disk_is_not_equalised_in_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", make_pixels(8, 8, 1))
    mapped = np.asarray(np.load(tmp_path / "pixels.npy", mmap_mode="r"))
    check_pixels(parse(), mapped)
    with pytest.raises(DataError, match=r"data\.equalise is histogram, which makes a copy of all images in memory"):
        check_pixels(parse({"data.equalise": {"choice": ["none", "histogram"]}}), mapped)


def test_what_suits_the_images_passes() -> None:
    check_pixels(parse(), make_pixels(1, 1, 1))
    check_pixels(parse({"data.equalise": {"choice": ["none", "clahe"]}}, normalise="model"), make_pixels(8, 8, 3))


@pytest.mark.parametrize("keys", [{"equalise": "clahe"}, {"space": {"data.equalise": {"choice": ["none", "clahe"]}}}])
def test_images_too_small_to_equalise_are_refused_set_or_searched(keys: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"data.equalise is clahe, but images are 1 x 8"):
        check_pixels(parse(**keys), make_pixels(1, 8, 1))


@pytest.mark.parametrize("keys", [{"normalise": "model"}, {"space": {"data.normalise": {"choice": ["data", "model"]}}}])
def test_grey_images_have_no_normalisation_of_a_pretrained_net(keys: dict[str, Any]) -> None:
    with pytest.raises(ModelUnusable, match=r"set data.channels=3"):
        check_pixels(parse(**keys), make_pixels(8, 8, 1))


def test_the_keys_are_those_of_data() -> None:
    assert DataConfig(name="digits", equalise="clahe", normalise="model").preparation.model_dump() == {
        "equalise": "clahe",
        "normalise": "model",
    }
