"""The mean and deviation that pretrained nets expect."""

from __future__ import annotations

import pytest

from trainables.config.model import ModelConfig
from trainables.errors import ModelUnusable
from trainables.models.normalisation import IMAGENET, own_normalisation


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("torchvision/resnet18", IMAGENET.mean, IMAGENET.std),
        ("torchvision/vit_b_16", IMAGENET.mean, IMAGENET.std),
        ("timm/resnet18", IMAGENET.mean, IMAGENET.std),
        ("timm/vit_base_patch16_224", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        (
            "timm/vit_base_patch16_clip_224.openai",
            (0.48145466, 0.4578275, 0.40821073),
            (0.26862954, 0.26130258, 0.27577711),
        ),
    ],
)
def test_published_weights_say_what_they_were_trained_with(
    name: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    assert own_normalisation(ModelConfig(name=name), 3) == (mean, std)


def test_a_file_for_a_net_that_nobody_published_counts_as_trained_on_imagenet() -> None:
    known = ModelConfig(name="torchvision/unheard_of", weights="sha256:0")
    assert own_normalisation(known, 3) == IMAGENET
    with pytest.raises(ModelUnusable, match=r"which has no normalisation of its own: take data.normalise=data"):
        own_normalisation(known.model_copy(update={"weights": ""}), 3)


def test_a_plain_net_and_grey_images_are_refused() -> None:
    with pytest.raises(ModelUnusable, match=r"^data.normalise is model, but model.name is cnn, which has no"):
        own_normalisation(ModelConfig(), 3)
    with pytest.raises(ModelUnusable, match=r"these have 1 channel: set data.channels=3, or take data.normalise=data$"):
        own_normalisation(ModelConfig(name="timm/resnet18"), 1)
