"""Training one trial: it learns, every key has its effect, and a resumed trial is the undisturbed one to the bit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn
from torch.nn import functional

from tests.trainables.training.tiny_trials import CPU, make_config, make_images, place
from trainables.config.conditions import CONDITIONS
from trainables.config.data import DataConfig
from trainables.config.trial import TrialConfig
from trainables.data.image_shape import ImageShape
from trainables.data.images import ImageArrays, hash_labels
from trainables.datasets.load import load_images
from trainables.errors import CheckpointMismatch, ModelMismatch, TrialDiverged
from trainables.optim.schedule import learning_rate
from trainables.results.predictions import Predictions, from_arrow, to_arrow
from trainables.training.device_images import DeviceImages, place_images
from trainables.training.training import (
    CHECK_EVERY,
    EVALUATION_BATCH,
    OutOfTime,
    Training,
    derive_seed,
    resolve_precision,
)

pytestmark = pytest.mark.usefixtures("one_thread")

EPOCHS = 3

Bits = tuple[bytes, bytes, bytes]
"""Weights, optimizer and validation probabilities of a training."""


@pytest.fixture(scope="module")
def tiny() -> DeviceImages:
    return place(make_images())


@pytest.fixture(scope="module")
def few() -> DeviceImages:
    """For two steps an epoch."""
    return place(make_images(train=32))


def bits(training: Training) -> Bits:
    return training.weights(), training.optimizer_state(), training.evaluate("validation").probabilities.tobytes()


def run(config: TrialConfig, images: DeviceImages, epochs: int = 1) -> Training:
    training = Training(config, images)
    for _ in range(epochs):
        training.train_epoch()
    return training


def net_of(training: Training) -> nn.Module:
    net: nn.Module = training._net
    return net


def optimizer_of(training: Training) -> torch.optim.Optimizer:
    return training._optimizer


class Steps:
    """The learning rate and the rows of every step of a training, as it goes; and the rows that it predicts."""

    def __init__(self, training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rates: list[float] = []
        self.batches: list[list[int]] = []
        self.predicted: list[list[int]] = []
        pixels = training._pixels

        def recorded(batch: Tensor) -> Tensor:
            (self.batches if net_of(training).training else self.predicted).append(batch.tolist())
            return pixels(batch)

        monkeypatch.setattr(training, "_pixels", recorded)
        optimizer_of(training).register_step_pre_hook(
            lambda optimizer, *_: self.rates.append(optimizer.param_groups[0]["lr"])
        )

    @property
    def rows(self) -> list[int]:
        return [row for batch in self.batches for row in batch]


# Learning


def test_it_learns_digits_in_a_few_epochs() -> None:
    images = place_images(load_images(DataConfig(name="digits")).arrays, CPU)
    training = Training(make_config(precision="auto", model={"width": 8}, batch_size=32), images)
    assert training.evaluate("validation").accuracy < 0.5
    measured = [training.train_epoch() for _ in range(4)]
    validation = training.evaluate("validation")
    assert validation.accuracy > 0.9
    assert validation.loss < 0.5
    assert measured[-1][0] < measured[0][0]  # loss
    assert measured[-1][1] > measured[0][1]  # accuracy


def test_loss_and_accuracy_of_an_epoch_are_means_over_its_steps(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With a rate that moves nothing and no dropout, the numbers of an epoch can be computed from outside.
    training = Training(make_config(lr=1e-30, momentum=0.0, model={"batch_norm": False}), tiny)
    steps = Steps(training, monkeypatch)
    loss, accuracy = training.train_epoch()
    losses, right = [], 0
    net_of(training).train()
    for batch in [torch.tensor(rows) for rows in list(steps.batches)]:
        logits = training._logits(batch).detach()
        losses.append(float(functional.cross_entropy(logits, tiny.labels[batch])))
        right += int((logits.argmax(1) == tiny.labels[batch]).sum())
    assert len(losses) == 4
    assert loss == pytest.approx(sum(losses) / 4, rel=1e-6)
    assert accuracy == right / 64


# Pure functions of their configuration


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_configuration_gives_the_same_bits_twice(tiny: DeviceImages, precision: str) -> None:
    config = make_config(precision=precision, model={"dropout": 0.2})
    first = bits(run(config, tiny, 2))
    torch.rand(13)  # what others draw in between changes nothing
    assert bits(run(config, tiny, 2)) == first


def test_predicting_between_two_epochs_changes_nothing(tiny: DeviceImages) -> None:
    config = make_config(model={"dropout": 0.2})
    looked_at = Training(config, tiny)
    for _ in range(2):
        looked_at.train_epoch()
        looked_at.evaluate("validation")
        looked_at.evaluate("test")
    assert bits(looked_at) == bits(run(config, tiny, 2))


RESUMED: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.0}),
    ("adamw", {"lr": 0.01}),
]

NETS: list[dict[str, Any]] = [
    {"blocks": 2, "width": 4, "dropout": 0.2},
    {"blocks": 3, "width": 6, "batch_norm": False},
    {"blocks": 1, "width": 4, "batch_norm": True, "dropout": 0.4},
]


@pytest.mark.parametrize("net", NETS, ids=["dropout-norm", "deep", "shallow"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "keys"), RESUMED, ids=["momentum", "plain", "adamw"])
def test_resumed_after_any_epoch_a_trial_is_the_undisturbed_one_to_the_bit(
    tiny: DeviceImages, name: str, keys: dict[str, Any], precision: str, net: dict[str, Any]
) -> None:
    config = make_config(
        precision=precision,
        model=net,
        schedule={"name": "one-cycle", "epochs": EPOCHS},
        name=name,
        weight_decay=0.01,
        **keys,
    )
    undisturbed = Training(config, tiny)
    after = [bits(undisturbed)]
    for _ in range(EPOCHS):
        undisturbed.train_epoch()
        after.append(bits(undisturbed))
    assert len({weights for weights, _, _ in after}) == EPOCHS + 1  # every epoch moved something
    for epoch in range(EPOCHS):
        weights, optimizer_state, _ = after[epoch]
        resumed = Training(config, tiny)
        resumed.restore(epoch, weights, optimizer_state)
        assert bits(resumed) == after[epoch]
        for later in range(epoch + 1, EPOCHS + 1):
            resumed.train_epoch()
            assert resumed.epoch == later
            assert bits(resumed) == after[later]


SCHEDULES: list[dict[str, Any]] = [
    {"name": "constant", "warm_up": 1.5},
    {"name": "step", "every": 1, "factor": 0.5},
    {"name": "exponential", "every": 1, "factor": 0.5},
    {"name": "cosine", "epochs": EPOCHS},
    {"name": "cyclic", "epochs": EPOCHS, "cycles": 2},
    {"name": "one-cycle", "epochs": EPOCHS},
    {"name": "plateau", "every": 1, "factor": 0.5},
]

AVERAGES: list[dict[str, Any]] = [
    {"name": "none"},
    {"name": "ema", "decay": 0.7},
    {"name": "ema", "decay": 0.7, "start": 1},
    {"name": "swa"},
    {"name": "swa", "start": 1},
]


def name_of(section: dict[str, Any]) -> str:
    return f"{section['name']}-{section.get('start', '')}".strip("-")


@pytest.mark.parametrize("average", AVERAGES, ids=name_of)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=name_of)
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_with_every_optimizer_schedule_and_average_a_resumed_trial_is_the_undisturbed_one_to_the_bit(
    few: DeviceImages, name: str, schedule: dict[str, Any], average: dict[str, Any]
) -> None:
    config = make_config(
        model={"dropout": 0.2},
        schedule=schedule,
        average=average,
        name=name,
        lr=0.02,
        weight_decay=0.01,
        l1=0.001,
        decay="decoupled",
        clip=0.5,
        label_smoothing=0.1,
        class_weights="balanced",
    )
    undisturbed = Training(config, few)
    after = [bits(undisturbed)]
    for _ in range(EPOCHS):
        undisturbed.train_epoch()
        after.append(bits(undisturbed))
    assert len({weights for weights, _, _ in after}) == EPOCHS + 1
    for epoch in range(EPOCHS):
        resumed = Training(config, few)
        resumed.restore(epoch, *after[epoch][:2])
        assert bits(resumed) == after[epoch]
        for later in range(epoch + 1, EPOCHS + 1):
            resumed.train_epoch()
            assert bits(resumed) == after[later]


@pytest.mark.parametrize(
    ("name", "buffers"),
    [
        ("sgd", {"momentum_buffer"}),
        ("adam", {"exp_avg", "exp_avg_sq", "step"}),
        ("adamw", {"exp_avg", "exp_avg_sq", "step"}),
        ("rmsprop", {"square_avg", "step"}),
    ],
)
def test_restored_buffers_lie_in_memory_as_their_parameters_do(
    tiny: DeviceImages, name: str, buffers: set[str]
) -> None:
    """The fused optimizers walk the memory of both: a plain buffer beside a channels_last weight is mixed up silently."""
    config = make_config(name=name)
    trained = run(config, tiny)
    resumed = Training(config, tiny)
    resumed.restore(1, trained.weights(), trained.optimizer_state())
    weight = next(parameter for parameter in net_of(resumed).parameters() if parameter.shape == (8, 4, 3, 3))
    assert not weight.is_contiguous()  # else this test could not tell
    for parameter in net_of(resumed).parameters():
        state = optimizer_of(resumed).state[parameter]
        assert set(state) == buffers
        assert all(state[buffer].stride() == parameter.stride() for buffer in buffers - {"step"})


def test_a_restored_training_shares_no_memory_with_the_bytes_it_came_from(tiny: DeviceImages) -> None:
    trained = run(make_config(), tiny)
    weights, optimizer_state = trained.weights(), trained.optimizer_state()
    kept = bytes(bytearray(weights)), bytes(bytearray(optimizer_state))
    resumed = Training(make_config(), tiny)
    resumed.restore(1, weights, optimizer_state)
    resumed.train_epoch()
    assert (weights, optimizer_state) == kept


def test_weights_are_a_safetensors_file_with_the_statistics_of_batch_norm(tiny: DeviceImages) -> None:
    stored = load_tensors(run(make_config(), tiny).weights())
    shapes = {name: tuple(value.shape) for name, value in stored.items()}
    assert shapes == {
        "0.weight": (4, 3, 3, 3),
        **{f"1.{part}": (4,) for part in ("weight", "bias", "running_mean", "running_var")},
        "1.num_batches_tracked": (),
        "4.weight": (8, 4, 3, 3),
        **{f"5.{part}": (8,) for part in ("weight", "bias", "running_mean", "running_var")},
        "5.num_batches_tracked": (),
        "9.weight": (3, 32),
        "9.bias": (3,),
    }
    assert int(stored["1.num_batches_tracked"]) == 4


def test_buffers_of_the_optimizer_go_by_the_names_of_their_parameters(tiny: DeviceImages) -> None:
    training = run(make_config(model={"batch_norm": False}), tiny)
    stored = load_tensors(training.optimizer_state())
    parameters = dict(net_of(training).named_parameters())
    assert set(stored) == {f"{name}/momentum_buffer" for name in parameters}
    for name, parameter in parameters.items():
        assert torch.equal(
            stored[f"{name}/momentum_buffer"], optimizer_of(training).state[parameter]["momentum_buffer"]
        )


# A checkpoint of another trial


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        (
            {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1},
            {"lr": 0.02, "momentum": 0.5, "weight_decay": 0.01},
        ),
        (
            {"name": "adamw", "lr": 0.05, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.1},
            {"name": "adamw", "lr": 0.02, "beta1": 0.8, "beta2": 0.99, "weight_decay": 0.01},
        ),
    ],
    ids=["sgd", "adamw"],
)
def test_a_restored_training_keeps_its_own_options_of_the_optimizer(
    tiny: DeviceImages, parent: dict[str, Any], child: dict[str, Any]
) -> None:
    def options(training: Training) -> list[dict[str, Any]]:
        groups = optimizer_of(training).param_groups
        return [{name: value for name, value in group.items() if name != "params"} for group in groups]

    trained = run(make_config(**parent), tiny)
    restored = Training(make_config(**child), tiny)
    before = options(restored)
    restored.restore(1, trained.weights(), trained.optimizer_state())
    assert options(restored) == before
    assert (restored.weights(), restored.optimizer_state()) == (trained.weights(), trained.optimizer_state())
    # and they are at work: every one of them moves the weights of the next epoch to another place
    seen = set()
    for key in [None, *child]:
        mixed = child | ({key: parent[key]} if key and key != "name" else {})
        other = Training(make_config(**mixed), tiny)
        other.restore(1, trained.weights(), trained.optimizer_state())
        other.train_epoch()
        seen.add(other.weights())
    assert len(seen) == len(child.keys() - {"name"}) + 1


def test_momentum_may_come_and_go_from_parent_to_child(tiny: DeviceImages) -> None:
    with_it, without = make_config(momentum=0.9), make_config(momentum=0.0)
    parent = run(with_it, tiny)
    child = Training(without, tiny)
    child.restore(1, parent.weights(), parent.optimizer_state())
    child.train_epoch()
    assert load_tensors(child.optimizer_state()) == {}
    # The next one begins with a momentum of its own making, not with one that is an epoch old.
    grandchild = Training(with_it, tiny)
    grandchild.restore(2, child.weights(), child.optimizer_state())
    grandchild.train_epoch()
    assert len(load_tensors(grandchild.optimizer_state())) == len(list(net_of(grandchild).parameters()))


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"model": {"width": 8}}, r"^its weights are of another model: 0.weight is \(8, 3, 3, 3\) there and \(4, 3, 3, 3\) here$"),
        ({"model": {"blocks": 1}}, r"another model: 4.weight is missing there and \(8, 4, 3, 3\) here$"),
        ({"model": {"batch_norm": False}}, r"another model: 1.weight is missing there and \(4,\) here$"),
        ({"name": "adamw"}, r"^its optimizer is another one: it keeps exp_avg, exp_avg_sq, step of a parameter, sgd keeps momentum_buffer$"),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_a_checkpoint_of_another_model_or_optimizer_is_refused_and_nothing_is_changed(
    tiny: DeviceImages, other: dict[str, Any], complaint: str, momentum: float
) -> None:
    trained = run(make_config(**other), tiny)
    training = Training(make_config(momentum=momentum), tiny)
    before = bits(training)
    with pytest.raises(CheckpointMismatch, match=complaint):
        training.restore(1, trained.weights(), trained.optimizer_state())
    assert (bits(training), training.epoch) == (before, 0)


@pytest.mark.parametrize(("momentum", "keeps"), [(0.9, "momentum_buffer"), (0.0, "nothing")])
def test_a_checkpoint_of_sgd_is_refused_by_adamw(tiny: DeviceImages, momentum: float, keeps: str) -> None:
    trained = run(make_config(momentum=momentum), tiny)
    with pytest.raises(CheckpointMismatch, match=f"it keeps {keeps} of a parameter, adamw keeps exp_avg, exp_avg_sq"):
        Training(make_config(name="adamw"), tiny).restore(1, trained.weights(), trained.optimizer_state())


# What each key does


@pytest.mark.parametrize("key", [key for key in CONDITIONS if not key.startswith(("model.", "bag.", "data."))])
def test_a_key_has_its_effect_under_its_condition_and_none_elsewhere(tiny: DeviceImages, key: str) -> None:
    others: dict[str, Any] = {
        "optimizer.momentum": 0.3,
        "optimizer.nesterov": False,
        "optimizer.beta1": 0.3,
        "optimizer.beta2": 0.3,
        "optimizer.alpha": 0.3,
        "schedule.epochs": 3,
        "schedule.cycles": 1,
        "schedule.every": 1,
        "schedule.factor": 0.5,
        "average.decay": 0.01,
        "average.start": 1,
    }
    condition = CONDITIONS[key]
    section, name = key.split(".")
    section_config: Any = TrialConfig.model_fields[section].annotation
    # Without batch norm, and at a rate of nothing, a plateau of two epochs is over.
    epochs = 4 if section == "schedule" else 2
    for value in get_args(section_config.model_fields["name"].annotation):
        sections: dict[str, dict[str, Any]] = {
            "optimizer": {"lr": 1e-30 if value == "plateau" else 0.05},  # at which nothing improves
            "schedule": {"epochs": 2, "every": 2},
            "average": {},
        }

        def weights(sections: dict[str, dict[str, Any]] = sections) -> tuple[list[float], bytes]:
            config = make_config(
                model={"batch_norm": section != "schedule"},
                schedule=sections["schedule"],
                average=sections["average"],
                **sections["optimizer"],
            )
            training = Training(config, tiny)
            rates: list[float] = []
            optimizer_of(training).register_step_pre_hook(
                lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"])
            )
            for _ in range(epochs):
                training.train_epoch()
            return rates, training.weights()

        sections[section]["name"] = value
        before = weights()
        sections[section][name] = others[key]
        assert (before != weights()) == (value in condition.values), value


@pytest.mark.parametrize(
    "changed",
    [
        {"lr": 0.1},
        {"momentum": 0.5},
        {"momentum": 0.0},
        {"weight_decay": 0.1},
        {"batch_size": 8},
        {"label_smoothing": 0.1},
        {"name": "adamw"},
        {"name": "adam"},
        {"name": "rmsprop"},
        {"nesterov": False},
        {"l1": 0.01},
        {"clip": 0.1},
        {"class_weights": "balanced"},
        {"average": {"name": "ema"}},
        {"average": {"name": "swa"}},
        {"train_share": 0.5},
        {"bag": {"kind": "bootstrap"}},
        {"bag": {"kind": "fold"}},
        {"model": {"dropout": 0.1}},
        {"seed": 1},
        {"precision": "bfloat16"},
        {"schedule": {"name": "cosine", "epochs": 2}},
        {"schedule": {"name": "cyclic", "epochs": 2, "cycles": 2}},
        {"schedule": {"name": "exponential", "every": 1}},
        {"schedule": {"warm_up": 1.0}},
        {"data": {"equalise": "histogram"}},
        {"data": {"equalise": "clahe"}},
    ],
    ids=str,
)
def test_every_key_changes_the_weights(tiny: DeviceImages, changed: dict[str, Any]) -> None:
    assert run(make_config(**changed), tiny).weights() != run(make_config(), tiny).weights()


def test_a_plain_sgd_step_goes_against_the_gradient_by_the_learning_rate(tiny: DeviceImages) -> None:
    # One step over all training images: the gradient can be taken from outside.
    config = make_config(lr=0.25, momentum=0.0, batch_size=70, model={"batch_norm": False})
    training = Training(config, tiny)
    before = {name: value.detach().clone() for name, value in net_of(training).named_parameters()}
    rows = tiny.rows["train"]
    functional.cross_entropy(training._logits(rows), tiny.labels[rows]).backward()  # type: ignore[no-untyped-call]
    gradients = {
        name: value.grad.clone() for name, value in net_of(training).named_parameters() if value.grad is not None
    }
    training.train_epoch()
    for name, value in net_of(training).named_parameters():
        assert float(gradients[name].abs().max()) > 1e-4
        torch.testing.assert_close(value.detach(), before[name] - 0.25 * gradients[name], rtol=1e-4, atol=1e-6)


def test_the_rate_of_every_step_follows_the_schedule_across_epochs(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(lr=0.08, schedule={"name": "one-cycle", "epochs": 2})
    training = Training(config, tiny)
    steps = Steps(training, monkeypatch)
    for _ in range(3):
        training.train_epoch()
    assert steps.rates == [learning_rate(config.schedule, 0.08, step, 4) for step in range(12)]
    assert len(set(steps.rates)) == 8  # the third epoch is past the end


def test_weight_decay_makes_smaller_weights(tiny: DeviceImages) -> None:
    def size(decay: float) -> float:
        net = net_of(run(make_config(weight_decay=decay), tiny, 2))
        return sum(float(value.detach().square().sum()) for value in net.parameters() if value.ndim > 1)

    assert size(1.0) < 0.8 * size(0.0)


def test_label_smoothing_raises_the_training_loss_and_leaves_the_validation_loss_its_meaning(
    tiny: DeviceImages,
) -> None:
    still: dict[str, Any] = {"lr": 1e-30, "momentum": 0.0}
    plain, smooth = Training(make_config(**still), tiny), Training(make_config(label_smoothing=0.3, **still), tiny)
    assert plain.train_epoch()[0] != pytest.approx(smooth.train_epoch()[0], rel=1e-3)
    assert plain.evaluate("validation").loss == smooth.evaluate("validation").loss


def test_the_seed_decides_first_weights_and_the_order_of_images(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[int, list[list[int]]] = {}
    for seed in (0, 1):
        training = Training(make_config(seed=seed), tiny)
        steps = Steps(training, monkeypatch)
        training.train_epoch()
        training.train_epoch()
        seen[seed] = steps.batches
    assert Training(make_config(seed=0), tiny).weights() != Training(make_config(seed=1), tiny).weights()
    assert seen[0] != seen[1]
    assert seen[0][:4] != seen[0][4:]  # every epoch has its own order


def test_dropout_is_at_work_in_training_alone(tiny: DeviceImages) -> None:
    training = run(make_config(model={"dropout": 0.5}), tiny)
    first, again = training.evaluate("validation"), training.evaluate("validation")
    assert np.array_equal(first.probabilities, again.probabilities)
    assert (first.loss, first.accuracy) == (again.loss, again.accuracy)
    drops: list[bool] = []
    net_of(training).register_forward_pre_hook(lambda net, _: drops.append(net.training))
    training.train_epoch()
    assert drops[:4] == [True] * 4  # the epoch after an evaluation drops again


def test_prediction_changes_no_statistics_of_batch_norm(tiny: DeviceImages) -> None:
    training = run(make_config(), tiny)
    before = training.weights()
    training.evaluate("validation")
    assert training.weights() == before


# Batches


@pytest.mark.parametrize(("train", "batch_size", "steps", "size"), [(70, 16, 4, 16), (70, 7, 10, 7), (70, 500, 1, 70)])
def test_an_epoch_has_whole_batches_only_and_one_of_all_images_where_there_are_fewer(
    monkeypatch: pytest.MonkeyPatch, train: int, batch_size: int, steps: int, size: int
) -> None:
    images = place(make_images(train))
    training = Training(make_config(batch_size=batch_size), images)
    seen = Steps(training, monkeypatch)
    training.train_epoch()
    assert [len(batch) for batch in seen.batches] == [size] * steps
    assert len(seen.rows) == len(set(seen.rows))  # no image twice
    assert set(seen.rows) <= set(images.rows["train"].tolist())


def test_every_image_of_training_has_its_turn_and_none_of_the_other_splits(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(make_config(batch_size=10), tiny)
    seen = Steps(training, monkeypatch)
    training.train_epoch()
    assert sorted(seen.rows) == tiny.rows["train"].tolist()


# Ends


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_loss_that_is_no_number_ends_the_epoch_and_is_named(tiny: DeviceImages, precision: str) -> None:
    config = make_config(
        precision=precision, lr=100, batch_size=8, model={"batch_norm": False, "blocks": 3, "width": 32}
    )
    with pytest.raises(TrialDiverged, match=r"^the training loss is (nan|inf) in epoch 1, step 8 of 8$"):
        Training(config, tiny).train_epoch()


def test_the_message_of_a_divergence_names_the_epoch_under_way(tiny: DeviceImages) -> None:
    training = run(make_config(), tiny, 2)
    with torch.no_grad():
        next(net_of(training).parameters()).fill_(float("nan"))
    with pytest.raises(TrialDiverged, match="in epoch 3, step 4 of 4"):
        training.train_epoch()
    assert training.epoch == 2
    with pytest.raises(TrialDiverged, match="a prediction on test is no finite number after epoch 2"):
        training.evaluate("test")


def test_an_infinite_loss_is_named_though_the_losses_after_it_are_numbers(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(make_config(), tiny)
    predict, steps = training._predict, Steps(training, monkeypatch)

    def overflowing(images: Tensor) -> Tensor:
        logits = predict(images)  # this far apart the loss is infinite, and the gradient is not
        return logits + torch.tensor([3e38, -3e38, 0.0]) if len(steps.batches) == 2 else logits

    monkeypatch.setattr(training, "_predict", overflowing)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TrialDiverged, match=r"^the training loss is inf in epoch 1, step 4 of 4$"):
            training.train_epoch()
    assert all(bool(value.isfinite().all()) for value in net_of(training).parameters())


def test_a_divergence_is_noticed_long_before_a_long_epoch_ends() -> None:
    training = Training(make_config(batch_size=1), place(make_images(train=70)))
    with torch.no_grad():
        next(net_of(training).parameters()).fill_(float("nan"))
    with pytest.raises(TrialDiverged, match=f"step {CHECK_EVERY} of 70"):
        training.train_epoch()


def make_exploding(training: Training, monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> None:
    """Let every step of `training` tell the next of `losses`, in place of its own."""
    remaining = iter(losses)
    train_batch = training.train_batch

    def exploding(batch: Tensor, rate: float, is_monitored: bool = False) -> tuple[Tensor, Tensor]:
        _, right = train_batch(batch, rate)
        return torch.tensor(next(remaining)), right

    monkeypatch.setattr(training, "train_batch", exploding)


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ([1.0] * 16 + [11.0] * 16, "the training loss is 11 in epoch 1, step 32 of 70: "),
        ([1.0] * 32 + [0.0, 200.0] * 8, "the training loss is 100 in epoch 1, step 48 of 70: "),
        ([1.0] * 64 + [12.34567] * 6, "the training loss is 12.35 in epoch 1, step 70 of 70: "),
        ([10.99] * 70, "the training loss is 10.99 in epoch 1, step 16 of 70: "),
    ],
    ids=["second-look", "mean", "last-look", "first-look"],
)
def test_an_exploding_loss_ends_the_trial_at_the_next_check(
    monkeypatch: pytest.MonkeyPatch, losses: list[float], reason: str
) -> None:
    training = Training(make_config(batch_size=1), place(make_images(train=70)))
    make_exploding(training, monkeypatch, losses)
    with pytest.raises(TrialDiverged) as raised:
        training.train_epoch()
    assert str(raised.value) == f"{reason}more than 10 times that of guessing, 1.099"  # ln 3
    assert training.epoch == 0


@pytest.mark.parametrize(
    "losses",
    [
        [10.98] * 70,  # ten times ln 3 is 10.986
        [1.0] * 16 + [0.0] * 15 + [175.0] + [1.0] * 38,  # one bad step among sixteen
        [10.0] * 16 + [5.0] * 54,
    ],
    ids=["just-below", "one-outlier", "recovering"],
)
def test_a_loss_that_is_high_but_not_ten_times_that_of_guessing_goes_on(
    monkeypatch: pytest.MonkeyPatch, losses: list[float]
) -> None:
    training = Training(make_config(batch_size=1), place(make_images(train=70)))
    make_exploding(training, monkeypatch, losses)
    loss, _ = training.train_epoch()
    assert loss == pytest.approx(sum(losses) / 70, rel=1e-6)
    assert training.epoch == 1


def test_a_rate_that_is_far_too_high_explodes_while_its_loss_is_still_a_number() -> None:
    config = make_config(lr=3, batch_size=1, momentum=0.0, model={"batch_norm": False})
    with pytest.raises(TrialDiverged, match=r"^the training loss is [\d.e+]+ in epoch 1, step 16 of 70: more than 10"):
        Training(config, place(make_images(train=70))).train_epoch()


def test_an_epoch_waits_for_the_device_once_a_check_and_twice_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(make_config(batch_size=1), place(make_images(train=70)))
    waits: list[str] = []
    for name in ("__float__", "__bool__", "__int__", "item", "tolist", "cpu", "numpy"):
        whole = getattr(Tensor, name)

        def recorded(tensor: Tensor, *given: Any, name: str = name, whole: Any = whole) -> Any:
            waits.append(name)
            return whole(tensor, *given)

        monkeypatch.setattr(Tensor, name, recorded)
    monkeypatch.setattr(training, "_close_epoch", lambda rate: None)  # what it asks is for test_watch.py
    training.train_epoch()
    assert waits == ["__float__"] * (5 + 2)  # looks after steps 16, 32, 48, 64 and 70; then loss and accuracy


@pytest.mark.parametrize(("asks_left", "steps"), [(0, CHECK_EVERY), (2, 3 * CHECK_EVERY), (4, 70)])
def test_a_trial_that_must_stop_gives_up_the_epoch_at_the_next_check_of_the_clock(
    monkeypatch: pytest.MonkeyPatch, asks_left: int, steps: int
) -> None:
    training = Training(make_config(batch_size=1), place(make_images(train=70)))
    seen = Steps(training, monkeypatch)
    answers: Iterator[bool] = iter([False] * asks_left + [True])
    with pytest.raises(OutOfTime):
        training.train_epoch(lambda: next(answers))
    assert len(seen.batches) == steps
    assert training.epoch == 0


# Prediction


def test_prediction_goes_over_a_split_in_the_order_of_its_rows(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = run(make_config(), tiny)
    seen = Steps(training, monkeypatch)
    for split in ("validation", "test"):
        seen.predicted.clear()
        evaluation = training.evaluate(split)
        rows = tiny.rows[split]
        assert seen.predicted == [rows.tolist()] == [sorted(rows.tolist())]
        assert evaluation.accuracy == float((evaluation.probabilities.argmax(1) == tiny.labels[rows].numpy()).mean())
        true_class = evaluation.probabilities[np.arange(len(rows)), tiny.labels[rows].numpy()]
        assert evaluation.loss == pytest.approx(float(-np.log(true_class).mean()), rel=1e-5)


def test_a_split_larger_than_a_batch_of_prediction_is_predicted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    images = make_images(train=EVALUATION_BATCH["cpu"] + 3)
    training = Training(make_config(), place(images))
    seen = Steps(training, monkeypatch)
    evaluation = training.evaluate("train")
    assert [len(batch) for batch in seen.predicted] == [EVALUATION_BATCH["cpu"], 3]
    assert evaluation.probabilities.shape == (EVALUATION_BATCH["cpu"] + 3, 3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_probabilities_make_predictions_that_survive_the_trip_through_arrow(precision: str) -> None:
    images = make_images()
    training = run(make_config(precision=precision), place(images), 2)
    for split in ("validation", "test"):
        probabilities = training.evaluate(split).probabilities
        rows = images.rows(split).astype(np.int32)
        predictions = Predictions(images.data_id, split, hash_labels(images)[split], rows, probabilities)
        assert probabilities.shape == (20, 3)
        assert np.array_equal(from_arrow(to_arrow(predictions)).probabilities, probabilities)


# Images on the device


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_spread_are_those_of_the_training_images_channel_by_channel(channels: int) -> None:
    images = make_images(channels=channels)
    placed = place(images)
    train = images.pixels[images.rows("train")].reshape(-1, channels).astype(np.float64) / 255
    np.testing.assert_allclose(placed.mean.numpy(), train.mean(0), rtol=1e-6)
    np.testing.assert_allclose(placed.std.numpy(), train.std(0), rtol=1e-6)
    everything = images.pixels.reshape(-1, channels) / 255
    assert not np.allclose(placed.mean.numpy(), everything.mean(0), rtol=1e-6)


def test_the_net_sees_pixels_of_mean_zero_and_spread_one(tiny: DeviceImages) -> None:
    training = Training(make_config(), tiny)
    seen: list[Tensor] = []
    net_of(training).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    training.evaluate("train")
    (batch,) = seen
    assert batch.shape == (70, 3, 8, 8)
    assert batch.mean((0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-5)
    assert batch.std((0, 2, 3), correction=0).tolist() == pytest.approx([1] * 3, abs=1e-5)


def test_images_without_any_contrast_can_be_trained_on() -> None:
    images = make_images()
    flat = place(replace(images, pixels=np.full_like(images.pixels, 77)))
    assert float(flat.std.min()) > 0
    assert np.isfinite(run(make_config(), flat).evaluate("validation").probabilities).all()


def test_arrays_that_may_not_be_written_are_taken_without_a_copy_and_without_a_warning() -> None:
    images = make_images()
    for array in (images.pixels, images.labels, images.splits):
        array.setflags(write=False)
    torch.set_warn_always(True)  # else torch warns of such arrays only once a process, maybe long before this test
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            placed = place(images)
    finally:
        torch.set_warn_always(False)
    run(make_config(), placed).evaluate("test")
    assert placed.pixels.data_ptr() == images.pixels.ctypes.data


def test_splits_become_rows_and_the_shape_that_of_the_images() -> None:
    images = make_images()
    placed = place(images)
    assert placed.shape == ImageShape(8, 8, 3, 3)
    assert {split: rows.tolist() for split, rows in placed.rows.items()} == {
        split: np.flatnonzero(images.splits == number).tolist()
        for number, split in enumerate(("train", "validation", "test"))
    }


def test_training_changes_no_images() -> None:
    images = make_images()
    before: ImageArrays = replace(images.arrays, pixels=images.pixels.copy(), labels=images.labels.copy())
    run(make_config(), place(images)).evaluate("test")
    assert np.array_equal(images.pixels, before.pixels)
    assert np.array_equal(images.labels, before.labels)


# Precision and seeds


@pytest.mark.parametrize(("has_units", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_bfloat16_where_the_cpu_has_units_for_it(
    monkeypatch: pytest.MonkeyPatch, has_units: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_units)
    assert resolve_precision("auto", CPU) == expected
    assert resolve_precision("float32", CPU) == "float32"
    assert resolve_precision("bfloat16", CPU) == "bfloat16"


@pytest.mark.parametrize(("precision", "inner"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_precision_is_that_of_the_convolutions_while_logits_and_weights_stay_float32(
    tiny: DeviceImages, precision: str, inner: torch.dtype
) -> None:
    training = Training(make_config(precision=precision), tiny)
    assert training.circumstances() == {"precision": precision, "device": "cpu", "torch": torch.__version__}
    seen: list[torch.dtype] = []
    convolution = next(layer for layer in net_of(training).modules() if isinstance(layer, nn.Conv2d))
    convolution.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    assert training._logits(tiny.rows["test"]).dtype == torch.float32
    assert seen == [inner]
    assert {parameter.dtype for parameter in net_of(training).parameters()} == {torch.float32}


def test_seeds_for_different_purposes_differ_and_fit_into_63_bits() -> None:
    purposes: list[tuple[object, ...]] = [("weights",), *(("epoch", epoch) for epoch in range(1, 200))]
    seeds = {derive_seed(seed, *purpose) for seed in (0, 1, 2**63 - 1) for purpose in purposes}
    assert len(seeds) == 3 * len(purposes)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, "weights") == derive_seed(0, "weights")


def test_a_model_whose_answers_do_not_fit_the_classes_is_named_before_the_loss_is_asked(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "trainables.training.training.build_net", lambda *_: nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    )
    with pytest.raises(ModelMismatch, match=r"^the model gives \(16, 2\) for 16 images of 3 classes, not logits"):
        Training(make_config(), tiny).train_epoch()


# Shares of the training images


def test_a_share_of_the_training_images_is_trained_on_and_all_others_are_as_before(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[float, set[int]] = {}
    for share in (0.25, 0.5, 1.0):
        training = Training(make_config(train_share=share, batch_size=4), tiny)
        steps = Steps(training, monkeypatch)
        for _ in range(6):  # each leaves out what does not fill a batch
            training.train_epoch()
        seen[share] = set(steps.rows)
        assert len(training.evaluate("validation").probabilities) == 20
    assert seen[0.25] < seen[0.5] < seen[1.0] == set(tiny.rows["train"].tolist())
    counts = {share: torch.bincount(tiny.labels[sorted(rows)]).tolist() for share, rows in seen.items()}
    assert counts[0.5] == [int(count / 2 + 0.5) for count in counts[1.0]]
