"""What each key of the plain net changes: layers, shapes, first weights, logits."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.config.conditions import CNN_OR_CUSTOM, CONDITIONS
from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.models.cnn import ACTIVATIONS, LEAK, Residual, build_cnn
from trainables.training.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")

DIGIT = ImageShape(height=8, width=8, channels=1, classes=10)


def build(shape: ImageShape = DIGIT, **keys: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_cnn(ModelConfig(**{"width": 4, **keys}), shape)


def layers(net: nn.Module, kind: type[nn.Module]) -> list[Any]:
    return [layer for layer in net.modules() if isinstance(layer, kind)]


def images(count: int = 4, shape: ImageShape = DIGIT) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, shape.channels, shape.height, shape.width, generator=generator)


def count_parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


OTHERS: dict[str, Any] = {
    "blocks": 3,
    "convs": 2,
    "width": 6,
    "growth": 1.5,
    "widest": 1.0,
    "kernel": 5,
    "batch_norm": False,
    "group_norm": True,
    "activation": "elu",
    "residual": True,
    "pooling": "average",
    "head": "average",
    "dense": 1,
    "neurons": 7,
    "init": "orthogonal",
    "dropout": 0.3,
    "head_dropout": 0.3,
}


def test_there_is_another_value_of_every_key_here() -> None:
    assert OTHERS.keys() == ModelConfig.model_fields.keys() - {"name", "weights"}


@pytest.mark.parametrize("key", OTHERS)
def test_every_key_changes_what_is_trained_where_its_condition_holds_and_nowhere_else(key: str) -> None:
    tiny = place(make_images())

    def weights(**model: Any) -> bytes:
        training = Training(make_config(model=model), tiny)
        training.train_epoch()
        return training.weights()

    condition = CONDITIONS[f"model.{key}"]
    if condition is CNN_OR_CUSTOM:
        assert weights(**{key: OTHERS[key]}) != weights()
        return
    other = condition.key.removeprefix("model.")
    values = [False, True] if other == "group_norm" else [0, 1, 2] if other == "dense" else [1, 2, 3]
    for value in values:
        assert (weights(**{other: value}) != weights(**{other: value, key: OTHERS[key]})) == condition.holds(value)


def test_parameters_of_a_net_by_hand() -> None:
    # 3 x 3 x 1 x 4, its norm 2 x 4; 3 x 3 x 4 x 8, its norm 2 x 8; 2 x 2 positions x 8 channels x 10 classes + 10
    assert count_parameters(build()) == 36 + 8 + 288 + 16 + 320 + 10
    # in place of a norm a bias a channel
    assert count_parameters(build(batch_norm=False)) == 36 + 4 + 288 + 8 + 320 + 10
    # 5 x 5 kernels
    assert count_parameters(build(kernel=5)) == 100 + 8 + 800 + 16 + 320 + 10
    # two convolutions a block
    assert count_parameters(build(convs=2)) == 36 + 8 + 144 + 8 + 288 + 16 + 576 + 16 + 320 + 10
    # two dense layers of 5
    assert count_parameters(build(dense=2, neurons=5)) == 36 + 8 + 288 + 16 + (160 + 5) + (25 + 5) + (50 + 10)
    # one number a channel
    assert count_parameters(build(head="average")) == 36 + 8 + 288 + 16 + 80 + 10
    # the second block's shortcut fits 1 to 4, and 4 to 8 channels
    assert count_parameters(build(residual=True)) == count_parameters(build()) + 4 + 32


@pytest.mark.parametrize(
    ("growth", "widest", "channels"),
    [
        (2.0, 4.0, [4, 8, 16, 16, 16]),
        (1.0, 4.0, [4, 4, 4, 4, 4]),
        (1.5, 64.0, [4, 6, 9, 14, 20]),
        (3.0, 10.0, [4, 12, 36, 40, 40]),
    ],
)
def test_growth_and_widest_decide_the_channels(growth: float, widest: float, channels: list[int]) -> None:
    net = build(blocks=5, growth=growth, widest=widest)
    assert [layer.out_channels for layer in layers(net, nn.Conv2d)] == channels


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_the_one_that_it_is_called(activation: str) -> None:
    x = torch.tensor([-2.0, -0.5, 0.0, 3.0])
    by_hand = {
        "relu": [0.0, 0.0, 0.0, 3.0],
        "leaky_relu": [-2 * LEAK, -0.5 * LEAK, 0.0, 3.0],
        "elu": [math.exp(-2) - 1, math.exp(-0.5) - 1, 0.0, 3.0],
        "gelu": [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in (-2.0, -0.5, 0.0, 3.0)],
        "silu": [v / (1 + math.exp(-v)) for v in (-2.0, -0.5, 0.0, 3.0)],
    }[activation]
    net = build(activation=activation, dense=1)
    kind = type(ACTIVATIONS[activation]())
    found = layers(net, kind)
    assert len(found) == 3  # two blocks and a dense layer
    torch.testing.assert_close(found[0](x.clone()), torch.tensor(by_hand))
    others = {type(make()) for make in ACTIVATIONS.values()} - {kind}
    assert not any(layers(net, other) for other in others)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_max_pooling_stands_where_it_gives_the_same_numbers(activation: str) -> None:
    net = build(activation=activation, dropout=0.0)
    order = list(net.children())
    pools = [at for at, layer in enumerate(order) if isinstance(layer, nn.MaxPool2d)]
    kind = type(ACTIVATIONS[activation]())
    for at in pools:  # the activation first, whatever the net does
        if isinstance(order[at + 1], kind):
            order[at], order[at + 1] = order[at + 1], order[at]
    torch.testing.assert_close(net.eval()(images()), nn.Sequential(*order).eval()(images()), rtol=0, atol=0)


@pytest.mark.parametrize(("pooling", "kind"), [("max", nn.MaxPool2d), ("average", nn.AvgPool2d)])
def test_pooling_is_by_the_largest_or_the_mean(pooling: str, kind: type[nn.Module]) -> None:
    found = layers(build(pooling=pooling), kind)
    assert len(found) == 2
    square = torch.tensor([[[[1.0, 2.0], [3.0, 10.0]]]])
    assert float(found[0](square)) == (10 if pooling == "max" else 4)


def test_stride_halves_with_the_last_convolution_of_a_block_and_rounds_up() -> None:
    shape = ImageShape(7, 9, 1, 10)
    net = build(shape, pooling="stride", convs=2, blocks=2)
    assert [layer.stride for layer in layers(net, nn.Conv2d)] == [(1, 1), (2, 2), (1, 1), (2, 2)]
    assert not layers(net, nn.MaxPool2d) + layers(net, nn.AvgPool2d)
    assert layers(net, nn.Linear)[0].in_features == 8 * 2 * 3  # 7 x 9, 4 x 5, 2 x 3
    assert net(images(2, shape)).shape == (2, 10)


@pytest.mark.parametrize("side", [1, 2, 3, 8, 28])
@pytest.mark.parametrize("pooling", ["max", "average", "stride"])
@pytest.mark.parametrize("residual", [False, True])
def test_any_depth_takes_any_size(side: int, pooling: str, residual: bool) -> None:
    shape = ImageShape(side, side + 1, 3, 5)
    net = build(shape, blocks=5, pooling=pooling, residual=residual, convs=2, kernel=5)
    assert net(images(3, shape)).shape == (3, 5)


def test_group_norm_gives_the_same_logits_for_an_image_whatever_else_is_in_the_batch() -> None:
    batch = images(6)
    for keys, same in (({"group_norm": True}, True), ({"batch_norm": True}, False)):
        net = build(**keys).train()
        together, alone = net(batch), torch.cat([net(batch[:1]), net(batch[1:3]), net(batch[3:])][:1])
        assert torch.allclose(together[:1], alone, atol=1e-5) is same
    net = build(group_norm=True)
    assert not layers(net, nn.BatchNorm2d)
    assert [(layer.num_groups, layer.num_channels) for layer in layers(net, nn.GroupNorm)] == [(4, 4), (8, 8)]
    assert [layer.num_groups for layer in layers(build(group_norm=True, width=15), nn.GroupNorm)] == [5, 6]


def test_group_norm_leaves_mean_zero_and_variance_one_in_each_group() -> None:
    norm = layers(build(group_norm=True, width=16), nn.GroupNorm)[0]
    normalised = norm(5 + 3 * torch.randn(2, 16, 8, 8)).reshape(2, 8, -1)
    torch.testing.assert_close(normalised.mean(-1), torch.zeros(2, 8), rtol=0, atol=1e-5)
    torch.testing.assert_close(normalised.var(-1, correction=0), torch.ones(2, 8), rtol=0, atol=1e-3)


def test_a_residual_block_whose_convolutions_say_nothing_is_the_identity() -> None:
    net = build(residual=True, growth=1.0, blocks=2, convs=2)
    second = layers(net, Residual)[1]
    assert isinstance(second.fit, nn.Identity)  # the channels are the same already
    for norm in layers(second, nn.BatchNorm2d):
        nn.init.zeros_(norm.weight)
    before = torch.randn(2, 4, 4, 4)
    assert torch.equal(second(before.clone()), before)


def test_a_residual_block_adds_what_enters_to_what_it_makes_of_it() -> None:
    block = layers(build(residual=True), Residual)[1].eval()
    assert (block.fit.kernel_size, block.fit.in_channels, block.fit.out_channels) == ((1, 1), 4, 8)
    entering = torch.randn(2, 4, 4, 4)
    torch.testing.assert_close(block(entering), block.body(entering) + block.fit(entering))


def test_a_residual_net_has_gradients_where_a_plain_one_of_dead_units_has_none() -> None:
    def first_gradient(residual: bool) -> float:
        net = build(residual=residual, convs=2, batch_norm=False)
        for layer in layers(net, nn.Conv2d):
            if layer.kernel_size == (3, 3) and layer.bias is not None:
                nn.init.constant_(layer.bias, -1e6 if layer is layers(net, nn.Conv2d)[0] else 0.0)
        net(images()).square().sum().backward()
        return sum(float(p.grad.abs().sum()) for p in net.parameters() if p.grad is not None and p.ndim == 4)

    assert first_gradient(False) == 0  # no unit of the first convolution ever fires, so nothing of the images is left
    assert first_gradient(True) > 0


def test_the_average_head_is_the_mean_over_positions() -> None:
    net = build(head="average").eval()
    inner = nn.Sequential(*list(net.children())[:-3])
    found = inner(images())
    torch.testing.assert_close(net(images()), layers(net, nn.Linear)[0](found.mean((2, 3))))


def test_dropout_of_the_head_is_its_own_where_it_is_given() -> None:
    def dropouts(**keys: Any) -> tuple[list[float], list[float]]:
        net = build(dense=2, **keys)
        return [layer.p for layer in layers(net, nn.Dropout2d)], [layer.p for layer in layers(net, nn.Dropout)]

    assert dropouts(dropout=0.2) == ([0.2, 0.2], [0.2, 0.2, 0.2])
    assert dropouts(dropout=0.2, head_dropout=0.5) == ([0.2, 0.2], [0.5, 0.5, 0.5])
    assert dropouts(dropout=0.2, head_dropout=0.0) == ([0.2, 0.2], [])
    assert dropouts(head_dropout=0.5) == ([], [0.5, 0.5, 0.5])


@pytest.mark.parametrize("activation", get_args(ModelConfig.model_fields["activation"].annotation))
def test_first_weights_by_hand(activation: str) -> None:
    """Variances over many weights; fans of the second convolution are 9 x 64 in and 9 x 128 out."""
    shape = ImageShape(8, 8, 3, 10)
    gain = 2 / (1 + LEAK**2) if activation == "leaky_relu" else 2.0

    def second(init: str) -> Tensor:
        net = build(shape, width=64, init=init, activation=activation)
        return layers(net, nn.Conv2d)[1].weight.detach()  # type: ignore[no-any-return]

    assert float(second("he").var()) == pytest.approx(gain / (9 * 128), rel=0.02)
    xavier = second("xavier")
    assert float(xavier.var()) == pytest.approx(gain * 2 / (9 * 64 + 9 * 128), rel=0.02)
    assert float(xavier.abs().max()) <= math.sqrt(gain * 6 / (9 * 64 + 9 * 128))  # it is uniform
    rows = second("orthogonal").flatten(1)  # 128 rows of 576
    torch.testing.assert_close(rows @ rows.T, gain * torch.eye(128), rtol=0, atol=1e-4)


@pytest.mark.parametrize("init", ["xavier", "orthogonal"])
def test_the_last_layer_starts_without_the_gain_of_an_activation(init: str) -> None:
    net = build(ImageShape(8, 8, 3, 10), width=64, init=init, dense=1, neurons=500)
    dense, last = (layer.weight.detach() for layer in layers(net, nn.Linear))
    if init == "xavier":
        assert float(dense.var()) == pytest.approx(2 * 2 / (512 + 500), rel=0.02)
        assert float(last.var()) == pytest.approx(2 / (500 + 10), rel=0.05)
    else:
        torch.testing.assert_close(last @ last.T, torch.eye(10), rtol=0, atol=1e-4)
    assert not any(bool(value.any()) for name, value in net.named_parameters() if name.endswith("bias") and value.ndim)
