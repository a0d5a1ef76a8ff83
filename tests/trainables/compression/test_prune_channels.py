"""Pruning by channel: what goes, and that the smaller net says what the larger one would without these channels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from trainables.compression.prune_channels import (
    check_channels,
    fit_channels,
    kept_channels,
    load_smaller,
    remove_channels,
)
from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import CheckpointMismatch, ModelUnusable
from trainables.models.cnn import build_cnn

SHAPE = ImageShape(height=10, width=8, channels=3, classes=4)

NETS: list[dict[str, Any]] = [
    {},
    {"batch_norm": False},
    {"convs": 3, "blocks": 3},
    {"dense": 2, "neurons": 10, "dropout": 0.3},
    {"dense": 1, "neurons": 7, "head": "average", "batch_norm": False},
    {"pooling": "stride", "activation": "gelu", "kernel": 5},
    {"pooling": "average", "activation": "silu"},
    {"activation": "leaky_relu", "blocks": 1, "convs": 2},
    {"activation": "elu", "blocks": 5, "width": 3, "growth": 1.0},
]


def make_net(keys: dict[str, Any]) -> nn.Sequential:
    """A net whose norms have seen images, and whose scales and shifts are no longer 1 and 0."""
    torch.manual_seed(1)
    net = build_cnn(ModelConfig(**{"width": 6, **keys}), SHAPE)
    assert isinstance(net, nn.Sequential)
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.copy_(torch.randn_like(layer.weight))
                layer.bias.copy_(torch.randn_like(layer.bias))
            elif isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                layer.bias.copy_(torch.randn_like(layer.bias))
        net.train()(torch.randn(32, 3, 10, 8))
    return net.eval()


def silence(net: nn.Sequential, share: float) -> None:
    """Give all zeros to the channels that should go, worked out here in another way: a channel then says exactly 0."""
    layers = list(net)
    weighted = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Conv2d | nn.Linear)]
    for place in weighted[:-1]:
        layer, after = layers[place], layers[place + 1]
        norm = after if isinstance(after, nn.BatchNorm2d) else None
        importance = norm.weight if norm else layer.weight
        sizes = [float(importance[channel].detach().abs().sum()) for channel in range(len(importance))]
        goes = sorted(range(len(sizes)), key=lambda channel: sizes[channel])[
            : len(sizes) - kept_channels(len(sizes), share)
        ]
        with torch.no_grad():
            for tensor in (layer.weight, layer.bias, *([norm.weight, norm.bias] if norm else [])):
                if tensor is not None:
                    tensor[goes] = 0


@pytest.mark.parametrize("keys", NETS, ids=str)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.95])
def test_removing_channels_gives_the_logits_of_silencing_them(keys: dict[str, Any], share: float) -> None:
    net = make_net(keys)
    smaller = remove_channels(net, share)
    silence(net, share)
    images = torch.randn(5, 3, 10, 8)
    with torch.no_grad():
        torch.testing.assert_close(smaller(images), net(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("keys", NETS, ids=str)
def test_every_layer_becomes_smaller_but_for_images_and_classes(keys: dict[str, Any]) -> None:
    net = make_net(keys)
    smaller = remove_channels(net, 0.5)
    pairs = [(old, new) for old, new in zip(net, smaller, strict=True) if isinstance(old, nn.Conv2d | nn.Linear)]
    for old, new in pairs[:-1]:
        assert new.weight.shape[0] == kept_channels(old.weight.shape[0], 0.5)
    assert pairs[0][1].weight.shape[1] == 3
    assert pairs[-1][1].weight.shape[0] == 4
    count = [sum(value.numel() for value in one.parameters()) for one in (net, smaller)]
    assert count[1] < 0.62 * count[0]


def test_the_net_itself_stays_as_it_is() -> None:
    net = make_net({})
    before = {name: value.clone() for name, value in net.state_dict().items()}
    smaller = remove_channels(net, 0.5)
    with torch.no_grad():
        for value in smaller.parameters():
            value.zero_()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def hand_made(scales: list[float] | None, filters: list[float]) -> nn.Sequential:
    """One convolution of four filters, each filled with a number, perhaps a norm with these scales, then 2 x 1 positions."""
    layers: list[nn.Module] = [
        nn.Conv2d(1, 4, 1),
        *([nn.BatchNorm2d(4)] if scales else []),
        nn.Flatten(),
        nn.Linear(8, 2),
    ]
    net = nn.Sequential(*layers)
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(filters).reshape(4, 1, 1, 1))
        net[-1].weight.copy_(torch.arange(16.0).reshape(2, 8))
        if scales:
            net[1].weight.copy_(torch.tensor(scales))
    return net


@pytest.mark.parametrize(
    ("scales", "filters", "kept"),
    [
        (None, [1.0, -5.0, 0.5, 3.0], [1, 3]),
        (None, [2.0, 2.0, 2.0, 2.0], [0, 1]),  # of equals the first
        ([0.1, 0.2, -0.9, 0.4], [1.0, -5.0, 0.5, 3.0], [2, 3]),
    ],
)
def test_the_filters_of_smallest_norm_go_or_those_of_smallest_scale(
    scales: list[float] | None, filters: list[float], kept: list[int]
) -> None:
    smaller = remove_channels(hand_made(scales, filters), 0.5)
    assert smaller[0].weight.flatten().tolist() == [filters[channel] for channel in kept]
    columns = [2 * channel + place for channel in kept for place in (0, 1)]
    assert smaller[-1].weight.tolist() == [columns, [8 + column for column in columns]]
    if scales:
        assert smaller[1].weight.tolist() == pytest.approx([scales[channel] for channel in kept])
        assert smaller[1].num_features == 2


def test_a_smaller_net_is_built_again_from_its_tensors_alone() -> None:
    keys = {"convs": 2, "dense": 1, "neurons": 9}
    smaller = remove_channels(make_net(keys), 0.6)
    state = torch.random.get_rng_state()
    again = load_smaller(ModelConfig(width=6, **keys), SHAPE, smaller.state_dict()).eval()
    assert torch.equal(torch.random.get_rng_state(), state)
    images = torch.randn(5, 3, 10, 8)
    assert torch.equal(again(images), smaller(images))


def test_tensors_of_another_net_are_refused() -> None:
    with pytest.raises(CheckpointMismatch, match="of another model"):
        fit_channels(make_net({}), remove_channels(make_net({"blocks": 3}), 0.5).state_dict())


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"residual": True}, "model.residual is true"),
        ({"group_norm": True}, "model.group_norm is true"),
        ({"name": "torchvision/resnet18"}, "model.name is torchvision/resnet18"),
        ({"name": "my_module:build"}, "model.name is my_module:build"),
    ],
)
def test_nets_whose_channels_hang_together_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelUnusable, match=f"{said}.*--method magnitude"):
        check_channels(ModelConfig(**keys))
    check_channels(ModelConfig())
