"""The networks: their layers, their shapes and their first weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.models.build import build_model

pytestmark = pytest.mark.usefixtures("one_thread")

DIGIT = ImageShape(height=8, width=8, channels=1, classes=10)


def build(shape: ImageShape = DIGIT, seed: int = 0, **keys: Any) -> nn.Sequential:
    net = build_model(ModelConfig(**{"width": 4, **keys}), shape, seed)
    assert isinstance(net, nn.Sequential)
    return net


def layers(net: nn.Module, kind: type[nn.Module]) -> list[Any]:
    return [layer for layer in net.modules() if isinstance(layer, kind)]


def images(shape: ImageShape, count: int = 2, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, shape.channels, shape.height, shape.width, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("blocks", "side", "left"),
    # pixels a side that are left before the linear layer: halved and rounded down, never below 1
    [
        (1, 8, 4),
        (2, 8, 2),
        (3, 8, 1),
        (4, 8, 1),
        (5, 8, 1),
        (1, 28, 14),
        (2, 28, 7),
        (3, 28, 3),
        (4, 28, 1),
        (5, 28, 1),
    ],
)
def test_every_depth_turns_images_into_logits(channels: int, blocks: int, side: int, left: int) -> None:
    shape = ImageShape(side, side, channels, classes=7)
    net = build(shape, blocks=blocks)
    assert net(images(shape)).shape == (2, 7)
    assert layers(net, nn.Linear)[0].in_features == 4 * min(2 ** (blocks - 1), 4) * left**2
    assert len(layers(net, nn.Conv2d)) == len(layers(net, nn.ReLU)) == blocks


def test_width_doubles_with_each_block_up_to_four_times_the_first() -> None:
    convolutions = layers(build(ImageShape(28, 28, 3, 10), blocks=5, width=6), nn.Conv2d)
    assert [layer.in_channels for layer in convolutions] == [3, 6, 12, 24, 24]
    assert [layer.out_channels for layer in convolutions] == [6, 12, 24, 24, 24]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}


@pytest.mark.parametrize(("side", "pools"), [(1, 0), (2, 1), (3, 1), (4, 2), (8, 3), (28, 4)])
def test_pooling_stops_when_one_pixel_is_left(side: int, pools: int) -> None:
    shape = ImageShape(side, side, 1, 10)
    net = build(shape, blocks=5)
    assert len(layers(net, nn.MaxPool2d)) == pools
    assert net.eval()(images(shape)).shape == (2, 10)


def test_pooling_stops_at_the_shorter_side_of_a_strip() -> None:
    strip = ImageShape(height=2, width=12, channels=1, classes=10)
    net = build(strip, blocks=3)
    assert len(layers(net, nn.MaxPool2d)) == 1
    assert layers(net, nn.Linear)[0].in_features == 16 * 1 * 6
    assert net(images(strip)).shape == (2, 10)


def test_batch_norm_takes_the_place_of_the_convolutions_bias() -> None:
    with_norm, without = build(blocks=3, batch_norm=True), build(blocks=3, batch_norm=False)
    assert [layer.num_features for layer in layers(with_norm, nn.BatchNorm2d)] == [4, 8, 16]
    assert layers(without, nn.BatchNorm2d) == []
    assert all(layer.bias is None for layer in layers(with_norm, nn.Conv2d))
    assert all(layer.bias is not None for layer in layers(without, nn.Conv2d))
    assert all(layers(net, nn.Linear)[0].bias is not None for net in (with_norm, without))


def test_dropout_follows_each_block_by_channel_and_precedes_the_last_layer_by_feature() -> None:
    net = build(blocks=3, dropout=0.3)
    assert [layer.p for layer in layers(net, nn.Dropout2d)] == [0.3] * 3
    assert [layer.p for layer in layers(net, nn.Dropout)] == [0.3]
    assert [type(layer) for layer in list(net)[-3:]] == [nn.Flatten, nn.Dropout, nn.Linear]


def test_without_dropout_there_are_no_such_layers() -> None:
    net = build(blocks=3, dropout=0.0)
    assert layers(net, nn.Dropout2d) == layers(net, nn.Dropout) == []


def test_dropout_changes_what_a_net_says_while_training_and_not_afterwards() -> None:
    net, batch = build(dropout=0.5, batch_norm=False), images(DIGIT)
    torch.manual_seed(0)
    assert not torch.equal(net.train()(batch), net(batch))
    net.eval()
    assert torch.equal(net(batch), net(batch))


def test_equal_seeds_give_equal_weights_whatever_was_drawn_before() -> None:
    first = build(seed=5).state_dict()
    torch.rand(17)
    again = build(seed=5).state_dict()
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_another_seed_gives_other_weights() -> None:
    first, other = build(seed=5), build(seed=6)
    for kind in (nn.Conv2d, nn.Linear):
        for one, two in zip(layers(first, kind), layers(other, kind), strict=True):
            assert not torch.equal(one.weight, two.weight)


def test_convolutions_start_with_the_spread_that_he_proposed_and_biases_at_zero() -> None:
    net = build(ImageShape(8, 8, 3, 10), width=128, blocks=2, batch_norm=False)
    # variance 2 / (9 pixels of the kernel x channels that come out)
    assert [float(layer.weight.detach().std()) for layer in layers(net, nn.Conv2d)] == pytest.approx(
        [(2 / (9 * 128)) ** 0.5, (2 / (9 * 256)) ** 0.5], rel=0.05
    )
    assert not any(bool(value.any()) for name, value in net.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize("batch_norm", [True, False])
def test_pooling_before_the_relu_gives_the_same_numbers_as_after_it(batch_norm: bool) -> None:
    shape = ImageShape(28, 28, 3, 10)
    net = build(shape, blocks=5, batch_norm=batch_norm)
    order = list(net)
    pools = [at for at, layer in enumerate(order) if isinstance(layer, nn.MaxPool2d)]
    assert len(pools) == 4
    for at in pools:
        assert isinstance(order[at + 1], nn.ReLU)
        order[at], order[at + 1] = order[at + 1], order[at]
    swapped = nn.Sequential(*order)
    batch = images(shape, count=8)
    assert torch.equal(net(batch), swapped(batch))
