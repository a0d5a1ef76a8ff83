"""timm's classifiers, where timm is installed; and what is said where it is not."""

from __future__ import annotations

import sys

import pytest
import torch

from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import ModelUnusable
from trainables.models.build import build_model

SHAPE = ImageShape(28, 28, 1, 7)


def test_without_timm_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        ModelUnusable, match=r"timm/resnet18, but timm is not installed: pip install --editable '.*\[timm\]'"
    ):
        build_model(ModelConfig(name="timm/resnet18"), SHAPE, 0)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_a_net_maps_the_images_to_logits_of_their_classes(name: str) -> None:
    pytest.importorskip("timm")
    first, again = (build_model(ModelConfig(name=f"timm/{name}"), SHAPE, 3).eval() for _ in range(2))
    images = torch.randn(2, 1, 28, 28)
    assert first(images).shape == (2, 7)
    assert torch.equal(first(images), again(images))


def test_an_unknown_name_is_refused_with_the_nearest_ones() -> None:
    pytest.importorskip("timm")
    with pytest.raises(ModelUnusable, match=r"timm has no classifier of that name; did you mean .*resnet18"):
        build_model(ModelConfig(name="timm/resnet81"), SHAPE, 0)
