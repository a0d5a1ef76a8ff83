"""torchvision's classifiers, fitted to images and classes."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torchvision import models

from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import ModelUnusable
from trainables.models.build import build_model
from trainables.models.torchvision import _maker
from trainables.models.upsample import find_size

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ImageShape(28, 28, 1, 7)

ALL = models.list_models(module=models)
ONE_A_FAMILY = {re.split("[0-9_]", name)[0]: name for name in reversed(ALL)}.values()
"""The first of each family in the alphabet, as `resnet101` and `vit_b_16`."""


def build(name: str, shape: ImageShape = SMALL, seed: int = 0) -> nn.Module:
    return build_model(ModelConfig(name=f"torchvision/{name}"), shape, seed)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"])
@pytest.mark.parametrize("shape", [SMALL, ImageShape(32, 40, 3, 5)], ids=str)
def test_a_net_maps_the_images_to_logits_of_their_classes(name: str, shape: ImageShape) -> None:
    net = build(name, shape)
    assert net(torch.randn(2, shape.channels, shape.height, shape.width)).shape == (2, shape.classes)


def test_a_resnet_keeps_small_images_at_their_size_until_its_second_stage() -> None:
    net = build("resnet18")
    assert isinstance(net, models.ResNet)
    stem = net.conv1
    assert (stem.kernel_size, stem.stride, stem.padding, stem.in_channels) == ((3, 3), (1, 1), (1, 1), 1)
    assert isinstance(net.maxpool, nn.Identity)
    seen: list[tuple[int, ...]] = []
    net.layer2.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
    net(torch.randn(2, 1, 28, 28))
    assert seen == [(2, 64, 28, 28)]


def test_a_resnet_for_larger_images_is_torchvisions_own() -> None:
    shape = ImageShape(64, 64, 3, 1000)
    ours, theirs = build("resnet18", shape, seed=3), None
    torch.manual_seed(3)
    theirs = models.resnet18(weights=None)
    stored = theirs.state_dict()
    assert ours.state_dict().keys() == stored.keys()
    assert all(torch.equal(value, stored[name]) for name, value in ours.state_dict().items())


def test_the_first_weights_follow_from_the_seed_alone() -> None:
    first = build("mobilenet_v3_small", seed=1).state_dict()
    torch.rand(5)
    again, other = build("mobilenet_v3_small", seed=1).state_dict(), build("mobilenet_v3_small", seed=2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("name", "shape", "size"),
    [
        ("resnet18", ImageShape(8, 8, 1, 10), (8, 8)),
        ("alexnet", ImageShape(28, 28, 1, 10), (64, 64)),
        ("vgg11", ImageShape(28, 28, 1, 10), (32, 32)),
        ("vgg11", ImageShape(28, 56, 1, 10), (32, 64)),  # in proportion
        ("vit_b_32", ImageShape(28, 28, 1, 10), (224, 224)),
        ("regnet_x_400mf", ImageShape(28, 28, 1, 10), (28, 28)),
    ],
)
def test_images_are_enlarged_only_as_far_as_a_net_needs(name: str, shape: ImageShape, size: tuple[int, int]) -> None:
    torch.manual_seed(4)
    before = torch.random.get_rng_state()
    assert find_size(name, _maker(f"torchvision/{name}", shape), shape) == size
    assert torch.equal(torch.random.get_rng_state(), before)


def test_enlarging_leaves_the_names_of_weights_alone_and_is_linear_interpolation() -> None:
    net = build("squeezenet1_0", ImageShape(8, 8, 3, 5)).eval()
    assert net.state_dict().keys() == models.squeezenet1_0(num_classes=5).state_dict().keys()
    seen: list[torch.Tensor] = []
    next(layer for layer in net.modules() if isinstance(layer, nn.Conv2d)).register_forward_pre_hook(
        lambda _, given: seen.append(given[0])
    )
    images = torch.randn(2, 3, 8, 8)
    net(images)
    expected = nn.functional.interpolate(images, size=(32, 32), mode="bilinear", align_corners=False)
    assert torch.equal(seen[0], expected)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet81", "torchvision has no classifier of that name; did you mean resnet18"),
        ("ResNet18", "did you mean resnet18"),
        ("fcn_resnet50", "torchvision has no classifier"),  # segments
        ("zzz", "known are alexnet, "),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_ones(name: str, said: str) -> None:
    with pytest.raises(ModelUnusable, match=said):
        build(name)


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [name if name in ONE_A_FAMILY else pytest.param(name, marks=pytest.mark.extended) for name in ALL]
)
def test_every_classifier_of_torchvision_takes_small_grey_images(name: str) -> None:
    height, width = find_size(name, _maker(f"torchvision/{name}", SMALL), SMALL)
    assert min(height, width) >= 28
