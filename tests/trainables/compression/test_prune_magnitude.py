"""Magnitude pruning: which weights go, and that they stay away whatever the optimizer does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.trainables.training.tiny_trials import make_config
from trainables.compression.prune_magnitude import freeze_zeros, prunable_weights, prune_magnitude
from trainables.optim.optimizer import build_optimizer


def make_net() -> nn.Sequential:
    """Six weights: 1 and -4 in a convolution, 0.5, 3, -2 and 6 in a linear layer."""
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([1.0, -4.0]).reshape(2, 1, 1, 1))
        net[3].weight.copy_(torch.tensor([[0.5, 3.0], [-2.0, 6.0]]))
        net[0].bias.fill_(0.01)
        net[3].bias.fill_(0.01)
    return net


@pytest.mark.parametrize(
    ("sparsity", "conv", "linear"),
    [
        (0.0, [1, -4], [0.5, 3, -2, 6]),
        (1 / 6, [1, -4], [0, 3, -2, 6]),
        (0.3, [0, -4], [0, 3, -2, 6]),  # 1.8 weights, so 2
        (0.5, [0, -4], [0, 3, 0, 6]),
        (4 / 6, [0, -4], [0, 0, 0, 6]),
        (5 / 6, [0, 0], [0, 0, 0, 6]),  # a layer may lose all
    ],
)
def test_one_threshold_for_all_layers_takes_the_smallest(
    sparsity: float, conv: list[float], linear: list[float]
) -> None:
    net = make_net()
    prune_magnitude(net, sparsity)
    assert net[0].weight.flatten().tolist() == conv
    assert net[3].weight.flatten().tolist() == linear


def test_biases_and_norms_are_left_alone() -> None:
    net = make_net()
    prune_magnitude(net, 5 / 6)
    assert net[0].bias.tolist() == net[3].bias.tolist() == pytest.approx([0.01, 0.01])
    assert net[1].weight.tolist() == [1, 1]


def test_the_net_keeps_its_parameters_and_the_names_of_its_tensors() -> None:
    net = make_net()
    before = {name: id(value) for name, value in net.named_parameters()}
    state = list(net.state_dict())
    prune_magnitude(net, 0.5)
    assert {name: id(value) for name, value in net.named_parameters()} == before
    assert sorted(net.state_dict()) == sorted(state)


def test_a_weight_that_two_layers_share_counts_once() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    net = nn.Sequential(first, second)
    assert len(prunable_weights(net)) == 1
    prune_magnitude(net, 0.5)
    assert int((first.weight == 0).sum()) == 2
    assert second.weight is first.weight


OPTIMIZERS: list[dict[str, Any]] = [
    {"name": "sgd", "momentum": 0.9, "weight_decay": 0.1, "l1": 0.01},
    {"name": "sgd", "momentum": 0.0, "clip": 0.1},
    {"name": "sgd", "decay": "decoupled", "weight_decay": 0.1, "l1": 0.01},
    {"name": "adam", "weight_decay": 0.1},
    {"name": "adamw", "weight_decay": 0.1, "decay_all": True},
    {"name": "rmsprop", "l1": 0.01},
]


@pytest.mark.parametrize("keys", OPTIMIZERS, ids=lambda keys: "-".join(map(str, keys.values())))
def test_zeros_stay_zero_with_any_optimizer_and_the_others_move(keys: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    net = net.to(memory_format=torch.channels_last)
    prune_magnitude(net, 0.7)
    before = [weight.detach().clone() for weight in prunable_weights(net)]
    freeze_zeros(net)
    optimizer = build_optimizer(make_config(**keys).optimizer, net)
    for _ in range(5):
        optimizer.zero_grad()
        images = torch.randn(8, 3, 4, 4).to(memory_format=torch.channels_last)
        nn.functional.cross_entropy(net(images), torch.randint(0, 3, (8,))).backward()
        optimizer.step()
    for after, old in zip(prunable_weights(net), before, strict=True):
        assert (after[old == 0] == 0).all()
        assert (after[old != 0] != old[old != 0]).float().mean() > 0.5


def test_without_the_hold_zeros_would_come_back() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    prune_magnitude(net, 0.5)
    optimizer = build_optimizer(make_config().optimizer, net)
    nn.functional.cross_entropy(net(torch.randn(8, 1, 2, 2)), torch.randint(0, 3, (8,))).backward()
    optimizer.step()
    assert int((net[1].weight == 0).sum()) == 0


def test_clipping_sees_the_gradient_of_what_is_left_alone() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[0.0, 1.0]]))
    freeze_zeros(net)
    net(torch.tensor([[300.0, 4.0]])).sum().backward()
    assert net[1].weight.grad.tolist() == [[0, 4]]


def test_the_order_of_memory_changes_nothing_and_of_equals_the_first_go() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 8, 3)
    with torch.no_grad():
        plain.weight.copy_(plain.weight.sign() * torch.randint(1, 4, plain.weight.shape))
    last = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    last.load_state_dict(plain.state_dict())
    sizes = plain.weight.detach().abs().flatten().tolist()
    goes = sorted(range(len(sizes)), key=lambda place: sizes[place])[: len(sizes) // 2]
    for net in (plain, last):
        prune_magnitude(net, 0.5)
        assert [place for place, value in enumerate(net.weight.flatten().tolist()) if value == 0] == sorted(goes)
