"""What one step of each optimizer does to a weight, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.training.tiny_trials import make_config
from trainables.config.training import OptimizerConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import CheckpointMismatch
from trainables.models.build import build_model
from trainables.optim.optimizer import BUFFERS, build_optimizer, check_tensors, optimizer_tensors, restore_tensors

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ("sgd", "adam", "adamw", "rmsprop")


class Point(nn.Module):
    """A weight of two dimensions and a bias."""

    def __init__(self, weight: list[float], bias: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight]))
        self.bias = nn.Parameter(torch.tensor(bias))


def step(
    weight: list[float],
    gradient: list[float],
    bias: tuple[float, float] = (0.0, 0.0),
    steps: int = 1,
    **config: Any,
) -> tuple[list[float], list[float]]:
    """Weight, and bias `bias[0]` with gradient `bias[1]`, after so many steps."""
    net = Point(weight, [bias[0]])
    optimizer = build_optimizer(OptimizerConfig(**config), net)
    for _ in range(steps):
        net.weight.grad, net.bias.grad = torch.tensor([gradient]), torch.tensor([bias[1]])
        optimizer.step()
    return net.weight[0].tolist(), net.bias.tolist()


# Each optimizer


def test_sgd_moves_by_rate_times_gradient_and_with_momentum_by_what_was_before_too() -> None:
    assert step([1.0], [2.0], lr=0.1, momentum=0.0)[0] == pytest.approx([0.8])
    # velocity 2, then 0.5 x 2 + 2 = 3
    heavy = step([1.0], [2.0], steps=2, lr=0.1, momentum=0.5, nesterov=False)[0]
    assert heavy == pytest.approx([1 - 0.1 * 2 - 0.1 * 3])
    # Nesterov looks one step ahead: gradient + 0.5 x velocity
    ahead = step([1.0], [2.0], steps=2, lr=0.1, momentum=0.5, nesterov=True)[0]
    assert ahead == pytest.approx([1 - 0.1 * (2 + 0.5 * 2) - 0.1 * (2 + 0.5 * 3)])


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_the_first_step_of_adam_is_the_rate_in_size_whatever_the_gradient(name: str) -> None:
    assert step([1.0, 1.0], [3.0, -0.2], name=name, lr=0.1)[0] == pytest.approx([0.9, 1.1], rel=1e-6)


def test_rmsprop_divides_by_the_root_of_its_mean_of_squares() -> None:
    # mean of squares 0.25 x 4 = 1 after the first step, 0.75 x 1 + 0.25 x 4 = 1.75 after the second
    after = step([1.0], [2.0], steps=2, name="rmsprop", lr=0.1, alpha=0.75)[0]
    assert after == pytest.approx([1 - 0.1 * 2 / 1 - 0.1 * 2 / 1.75**0.5], rel=1e-6)


def test_momentum_and_rate_reach_the_optimizer() -> None:
    net = build_model(make_config().model, ImageShape(8, 8, 1, 10), seed=0)
    for momentum, nesterov in [(0.8, True), (0.0, False)]:
        optimizer = build_optimizer(OptimizerConfig(lr=0.03, momentum=momentum), net)
        assert isinstance(optimizer, torch.optim.SGD)
        for group in optimizer.param_groups:
            assert (group["lr"], group["momentum"], group["nesterov"]) == (0.03, momentum, nesterov)
    optimizer = build_optimizer(OptimizerConfig(name="adamw", lr=0.03), net)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.9, 0.999)}
    optimizer = build_optimizer(OptimizerConfig(name="adamw", beta1=0.8, beta2=0.95), net)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.8, 0.95)}


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_weight_decay_shrinks_weights_and_spares_biases_and_norms(name: Any, batch_norm: bool) -> None:
    net = build_model(make_config(model={"batch_norm": batch_norm}).model, ImageShape(8, 8, 1, 10), seed=0)
    for parameter in net.parameters():
        nn.init.constant_(parameter, 2.0)
        parameter.grad = torch.zeros_like(parameter)
    optimizer = build_optimizer(OptimizerConfig(name=name, lr=0.5, momentum=0.0, weight_decay=0.1), net)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(net.parameters()))
    optimizer.step()
    for parameter in net.parameters():
        # Without a gradient both kinds of decay take away the same: lr x decay x weight.
        expected = 2.0 - 0.5 * 0.1 * 2.0 if parameter.ndim > 1 else 2.0
        torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, expected))


def test_alpha_and_rate_reach_rmsprop() -> None:
    optimizer = build_optimizer(OptimizerConfig(name="rmsprop", lr=0.03, alpha=0.7), Point([1.0], [1.0]))
    assert isinstance(optimizer, torch.optim.RMSprop)
    assert {(group["lr"], group["alpha"], group["momentum"]) for group in optimizer.param_groups} == {(0.03, 0.7, 0)}


# L1 and L2


@pytest.mark.parametrize("name", NAMES)
def test_decay_all_reaches_biases_and_norms(name: Any) -> None:
    for key in ("weight_decay", "l1"):
        spared = step([2.0], [0.0], (2.0, 0.0), name=name, lr=0.5, momentum=0.0, **{key: 0.1})
        reached = step([2.0], [0.0], (2.0, 0.0), name=name, lr=0.5, momentum=0.0, decay_all=True, **{key: 0.1})
        assert spared[1] == [2.0]
        assert reached[1] == reached[0] == spared[0] != [2.0]


@pytest.mark.parametrize("name", NAMES)
def test_decoupled_l2_takes_the_same_share_of_a_weight_with_every_optimizer_and_gradient(name: Any) -> None:
    keys: dict[str, Any] = {"name": name, "lr": 0.5, "momentum": 0.0, "decay": "decoupled"}
    for gradient in ([0.0], [3.0]):
        plain = step([2.0], gradient, **keys)[0][0]
        assert step([2.0], gradient, weight_decay=0.1, **keys)[0] == pytest.approx([plain - 0.5 * 0.1 * 2.0])


@pytest.mark.parametrize("name", NAMES)
def test_coupled_l1_and_l2_are_the_same_as_a_larger_gradient(name: Any) -> None:
    keys: dict[str, Any] = {"name": name, "lr": 0.5, "momentum": 0.0, "decay": "coupled"}
    l2 = step([2.0, -2.0], [3.0, 3.0], weight_decay=0.1, **keys)[0]
    assert l2 == pytest.approx(step([2.0, -2.0], [3.2, 2.8], **keys)[0])  # 3 + 0.1 x weight
    l1 = step([2.0, -2.0], [3.0, 3.0], l1=0.1, **keys)[0]
    assert l1 == pytest.approx(step([2.0, -2.0], [3.1, 2.9], **keys)[0])  # 3 + 0.1 x sign
    if name == "sgd":  # the others see no more than the sign in a first step
        assert len({tuple(weights) for weights in (l1, l2, step([2.0, -2.0], [3.0, 3.0], **keys)[0])}) == 3


def test_coupled_decay_of_adam_is_divided_by_the_root_of_squares_and_decoupled_is_not() -> None:
    # Over a first step Adam sees the sign of gradient and decay alone; over further ones their history.
    weights = {
        decay: step([2.0], [1.0], steps=3, name="adam", lr=0.1, weight_decay=0.5, decay=decay)[0][0]
        for decay in ("coupled", "decoupled")
    }
    assert weights["coupled"] == pytest.approx(2 - 0.3, abs=0.01)
    assert weights["decoupled"] == pytest.approx(((2 * 0.95 - 0.1) * 0.95 - 0.1) * 0.95 - 0.1, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "meant"), [("sgd", "coupled"), ("adam", "coupled"), ("rmsprop", "coupled"), ("adamw", "decoupled")]
)
def test_auto_is_decoupled_with_adamw_alone(name: Any, meant: Any) -> None:
    weights = {
        decay: step([2.0], [1.0], steps=3, name=name, lr=0.1, weight_decay=0.5, l1=0.1, decay=decay)[0]
        for decay in ("auto", "coupled", "decoupled")
    }
    assert weights["auto"] == weights[meant]
    assert weights["coupled"] != weights["decoupled"]


@pytest.mark.parametrize("name", NAMES)
def test_decoupled_l1_is_the_soft_threshold_and_makes_small_weights_exactly_zero(name: Any) -> None:
    after = step([2.0, -2.0, 0.04, -0.04], [0.0] * 4, name=name, lr=0.5, momentum=0.0, l1=0.1, decay="decoupled")[0]
    assert after == pytest.approx([1.95, -1.95, 0.0, 0.0])
    assert after[2:] == [0.0, 0.0]


def test_coupled_l1_leaves_small_weights_on_their_way_through_zero() -> None:
    assert step([0.04], [0.0], lr=0.5, momentum=0.0, l1=0.1)[0] == pytest.approx([0.04 - 0.05])
    assert step([0.0], [0.0], lr=0.5, momentum=0.0, l1=0.1)[0] == [0.0]  # zero has no sign


# Clipping


def test_a_gradient_longer_than_the_limit_is_shortened_over_all_parameters_and_a_shorter_one_left() -> None:
    # weight (3, 0) and bias 4: together 5 long
    weight, bias = step([0.0, 0.0], [3.0, 0.0], (0.0, 4.0), lr=1.0, momentum=0.0, clip=1.0)
    assert weight + bias == pytest.approx([-0.6, 0.0, -0.8], rel=1e-5)
    weight, bias = step([0.0, 0.0], [3.0, 0.0], (0.0, 4.0), lr=1.0, momentum=0.0, clip=6.0)
    assert weight + bias == [-3.0, 0.0, -4.0]


def test_the_gradient_of_the_loss_is_clipped_before_coupled_decay_is_added() -> None:
    keys: dict[str, Any] = {"lr": 1.0, "momentum": 0.0, "clip": 1.0, "decay": "coupled"}
    assert step([10.0], [5.0], weight_decay=0.3, **keys)[0] == pytest.approx([10 - (1 + 3)], rel=1e-5)
    assert step([10.0], [5.0], l1=0.3, **keys)[0] == pytest.approx([10 - (1 + 0.3)], rel=1e-5)


# On the way to a file and back


@pytest.mark.parametrize("name", NAMES)
def test_tensors_go_by_the_names_of_parameters_and_come_back_as_they_were(name: Any) -> None:
    config = OptimizerConfig(name=name)
    net = Point([1.0, 2.0], [3.0])
    optimizer = build_optimizer(config, net)
    net.weight.grad, net.bias.grad = torch.ones(1, 2), torch.ones(1)
    optimizer.step()
    tensors = optimizer_tensors(optimizer, net)
    assert set(tensors) == {f"{parameter}/{buffer}" for parameter in ("weight", "bias") for buffer in BUFFERS[name]}
    check_tensors(config, net, tensors, epoch=1)
    other = build_optimizer(config, net)
    restore_tensors(other, net, tensors)
    again = optimizer_tensors(other, net)
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[key], tensors[key]) for key in tensors)


@pytest.mark.parametrize("theirs", NAMES)
@pytest.mark.parametrize("ours", NAMES)
def test_tensors_of_another_optimizer_are_refused_but_adam_and_adamw_keep_the_same(theirs: Any, ours: Any) -> None:
    net = Point([1.0], [1.0])
    tensors: dict[str, Tensor] = {
        f"{name}/{buffer}": torch.zeros(1) for name in ("weight", "bias") for buffer in BUFFERS[theirs]
    }
    if BUFFERS[theirs] == BUFFERS[ours]:
        check_tensors(OptimizerConfig(name=ours), net, tensors, epoch=1)
        return
    with pytest.raises(CheckpointMismatch, match=f"its optimizer is another one: it keeps .*, {ours} keeps "):
        check_tensors(OptimizerConfig(name=ours), net, tensors, epoch=1)


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_part_is_left_alone_by_steps_and_decay_and_has_no_tensors(name: Any) -> None:
    net = nn.Sequential(Point([1.0, -2.0], [3.0]), Point([1.0, -2.0], [3.0]))
    net[0].requires_grad_(False)
    decay: dict[str, Any] = {"decay": "decoupled", "weight_decay": 0.1, "l1": 0.1, "decay_all": True}
    config = OptimizerConfig(name=name, **decay)
    optimizer = build_optimizer(config, net)
    for value in net[1].parameters():
        value.grad = torch.ones_like(value)
    optimizer.step()
    assert net[0].weight.tolist() == [[1.0, -2.0]]
    assert net[0].bias.tolist() == [3.0]
    assert net[1].weight.tolist() != [[1.0, -2.0]]
    tensors = optimizer_tensors(optimizer, net)
    assert {key.split(".")[0] for key in tensors} == {"1"}
    check_tensors(config, net, tensors, epoch=1)
    restore_tensors(build_optimizer(config, net), net, tensors)
