"""How large a net is when zeros are counted."""

from __future__ import annotations

import torch
from safetensors.torch import save
from torch import nn

from tests.trainables.training.tiny_trials import make_config
from trainables.compression.prune_magnitude import prune_magnitude
from trainables.compression.pruned_size import count_nonzero_flops, measure_size
from trainables.data.image_shape import ImageShape
from trainables.models.build import build_model
from trainables.models.cost import trace

SHAPE = ImageShape(height=4, width=6, channels=1, classes=3)


def make_net() -> nn.Sequential:
    """A convolution of 2 x 9 weights over 24 places, a linear layer of 3 x 48 weights."""
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(48, 3)).eval()


def test_operations_are_counted_by_hand() -> None:
    net = make_net()
    assert count_nonzero_flops(net, SHAPE) == trace(net, SHAPE)[0] == 2 * (18 * 24 + 144)
    with torch.no_grad():
        net[0].weight[0, 0, 0] = 0  # three weights, each at 24 places
        net[2].weight[:, :5] = 0  # fifteen, each at one
    assert count_nonzero_flops(net, SHAPE) == 2 * (15 * 24 + 129)
    assert trace(net, SHAPE)[0] == 2 * (18 * 24 + 144)


def test_without_zeros_both_counts_agree_for_any_net() -> None:
    shape = ImageShape(8, 8, 3, 3)
    net = build_model(make_config(model={"blocks": 2, "convs": 2, "residual": True, "dense": 1}).model, shape, 0).eval()
    assert count_nonzero_flops(net, shape) == trace(net, shape)[0]


def test_weights_zeros_and_bytes_are_counted() -> None:
    net = make_net()
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn_like(value))
    file = save(net.state_dict())
    size = measure_size(net, SHAPE, file)
    assert (size.weights, size.nonzero, size.size_bytes) == (167, 167, len(file))
    prune_magnitude(net, 0.5)
    pruned = measure_size(net, SHAPE, save(net.state_dict()))
    assert (pruned.weights, pruned.nonzero, pruned.size_bytes) == (167, 167 - 81, len(file))
    assert pruned.compressed_bytes < 0.8 * size.compressed_bytes
    assert pruned.flops == size.flops
