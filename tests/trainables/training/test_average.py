"""The averaged net predicts and is stored; the other one trains on."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.config.training import AverageConfig
from trainables.config.trial import ParentConfig
from trainables.models.build import build_model
from trainables.training import average as module
from trainables.training.average import Average, split_state
from trainables.training.memory import PredictionBatch
from trainables.training.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = place(make_images())


class Number(nn.Module):
    """A weight, a buffer that is a number and one that counts."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([value]))
        self.register_buffer("level", torch.tensor([value]))
        self.register_buffer("count", torch.tensor(0))

    def become(self, value: float, count: int = 0) -> None:
        with torch.no_grad():
            for tensor in (self.weight, self.get_buffer("level")):
                tensor.fill_(value)
            self.get_buffer("count").fill_(count)


def shown(average: Average, net: nn.Module) -> dict[str, float]:
    with average.shown():
        return {name: float(value) for name, value in net.state_dict().items()}


def stored_of(training: Training) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """What predicts, what is trained on, and the rest."""
    _, raw, rest = split_state(load_tensors(training.optimizer_state()))
    return load_tensors(training.weights()), raw, rest


def weights_of(training: Training) -> dict[str, Tensor]:
    """Of the net that trains, as they are now."""
    return {name: value.detach().clone() for name, value in training._net.state_dict().items()}


# By hand


def test_ema_follows_each_step_and_forgets_its_beginning_soon() -> None:
    net = Number(0.0)
    average = Average(AverageConfig(name="ema", decay=0.2), net)
    average.open_epoch(1)
    assert average.follows_steps
    for value in (1.0, 2.0, 3.0):
        net.become(value)
        average.after_step()
    # decay is (1 + steps) / (10 + steps) while that is lower: 2/11, then 0.2 twice
    first = 1 * 9 / 11
    third = 0.2 * (0.2 * first + 0.8 * 2) + 0.8 * 3
    assert shown(average, net) == pytest.approx({"weight": third, "level": third, "count": 0})
    assert net.weight.item() == 3.0


def test_swa_is_the_plain_mean_of_the_weights_at_the_end_of_epochs() -> None:
    net = Number(0.0)
    average = Average(AverageConfig(name="swa"), net)
    for epoch, value in enumerate((1.0, 2.0, 6.0), start=1):
        average.open_epoch(epoch)
        assert not average.follows_steps
        net.become(value, count=epoch)
        average.close_epoch(epoch)
    assert shown(average, net) == pytest.approx({"weight": 3.0, "level": 3.0, "count": 3})


@pytest.mark.parametrize("name", ["ema", "swa"])
def test_before_its_start_there_is_no_average(name: Any) -> None:
    net = Number(5.0)
    average = Average(AverageConfig(name=name, start=2), net)
    begun = []
    for epoch in (1, 2, 3):
        average.open_epoch(epoch)
        average.close_epoch(epoch)
        begun.append(average.begun)
    assert begun == [False, False, True]


@pytest.mark.parametrize("name", ["none", "ema", "swa"])
def test_without_an_average_nothing_is_stored_or_shown(name: Any) -> None:
    net = Number(5.0)
    average = Average(AverageConfig(name=name, start=9), net)
    average.open_epoch(1)
    average.close_epoch(1)
    assert (average.state(), average.follows_steps, average.wants_statistics) == ({}, False, False)
    assert shown(average, net)["weight"] == 5.0


def test_weights_change_places_without_a_copy_and_go_back_after_an_error() -> None:
    net = Number(1.0)
    average = Average(AverageConfig(name="swa"), net)
    average.close_epoch(1)
    net.become(2.0)
    place_before = net.weight.data_ptr()
    with contextlib.suppress(KeyError), average.shown():
        assert net.weight.item() == 1.0
        assert net.weight.data_ptr() != place_before
        raise KeyError
    assert (net.weight.item(), net.weight.data_ptr()) == (2.0, place_before)


# In training


@pytest.mark.parametrize("name", ["ema", "swa"])
def test_the_average_predicts_and_is_stored_and_the_net_trains_on_as_if_there_were_none(name: str) -> None:
    plain, averaged = Training(make_config(), TINY), Training(make_config(average={"name": name}), TINY)
    for epoch in range(3):
        assert averaged.train_epoch() == plain.train_epoch()
        averaged.evaluate("validation")
        predicts, raw, rest = stored_of(averaged)
        own = load_tensors(plain.weights())
        assert raw.keys() == own.keys() == predicts.keys()
        assert all(torch.equal(raw[key], own[key]) for key in own)
        assert rest.keys() == {f"average/{name}"}
        same = all(torch.equal(predicts[key], own[key]) for key in own if key.endswith(".weight"))
        assert same == (name == "swa" and epoch == 0)  # the mean of one
    averaged_predictions = averaged.evaluate("validation").probabilities
    assert not np.array_equal(averaged_predictions, plain.evaluate("validation").probabilities)
    # The stored weights alone give the stored predictions
    net = Training(make_config(), TINY)
    net._net.load_state_dict(predicts)
    assert np.array_equal(net.evaluate("validation").probabilities, averaged_predictions)


def test_swa_is_the_mean_of_what_the_net_was_after_each_epoch() -> None:
    training = Training(make_config(average={"name": "swa", "start": 1}), TINY)
    seen = []
    for _ in range(4):
        training.train_epoch()
        seen.append(weights_of(training))
    predicts, _, rest = stored_of(training)
    assert int(rest["average/swa"]) == 3
    for name in ("0.weight", "9.weight", "9.bias", "1.bias"):
        mean = torch.stack([weights[name] for weights in seen[1:]]).mean(0)
        torch.testing.assert_close(predicts[name], mean)


def test_ema_is_the_sum_over_steps_and_takes_the_statistics_of_batch_norm_with_it() -> None:
    training = Training(make_config(average={"name": "ema", "decay": 0.15}), TINY)
    seen = [weights_of(training)]
    training._optimizer.register_step_post_hook(lambda *_: seen.append(weights_of(training)))
    training.train_epoch()
    predicts, raw, rest = stored_of(training)
    assert (len(seen), int(rest["average/ema"])) == (5, 4)
    for name in ("0.weight", "9.bias", "1.running_mean", "1.running_var"):
        expected = seen[0][name]
        for now in seen[1:]:
            expected = 0.15 * expected + 0.85 * now[name]  # 2/11 and all after it are above 0.15
        torch.testing.assert_close(predicts[name], expected)
    assert int(predicts["1.num_batches_tracked"]) == int(raw["1.num_batches_tracked"]) == 4


def test_statistics_of_swa_are_those_of_its_own_activations() -> None:
    training = Training(make_config(model={"dropout": 0.5}, average={"name": "swa"}), TINY)
    for _ in range(3):
        training.train_epoch()
    predicts, raw, _ = stored_of(training)
    assert not torch.equal(predicts["1.running_mean"], raw["1.running_mean"])
    # All 70 training images are one batch, so the first norm's statistics are those of the first convolution over them.
    net = build_model(training.config.model, TINY.shape, 0)
    net.load_state_dict(predicts)
    first = next(net.children())
    with torch.no_grad():
        seen = first(training._normalise(training._pixels(TINY.rows["train"])))
    torch.testing.assert_close(predicts["1.running_mean"], seen.mean((0, 2, 3)))
    torch.testing.assert_close(predicts["1.running_var"], seen.var((0, 2, 3)))
    assert int(predicts["1.num_batches_tracked"]) == 1


def test_statistics_come_from_a_bounded_number_of_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STATISTICS_IMAGES", 20)
    net = nn.BatchNorm1d(1)
    average = Average(AverageConfig(name="swa"), net)
    average.close_epoch(1)
    seen: list[list[int]] = []

    def predict(rows: Tensor) -> Tensor:
        seen.append(rows.tolist())
        output: Tensor = net(rows.float()[:, None])
        return output

    average.measure_statistics(torch.arange(100, 200), 7, PredictionBatch(8), predict)
    assert [len(batch) for batch in seen] == [8, 8]
    assert len({row for batch in seen for row in batch}) == 16
    means = torch.tensor(seen).float().mean(1)
    assert shown(average, net)["running_mean"] == pytest.approx(float(means.mean()))
    assert (net.momentum, net.training) == (0.1, False)
    assert net.running_mean is not None
    assert float(net.running_mean) == 0.0  # of the net that trains
    again: list[list[int]] = seen.copy()
    seen.clear()
    average.measure_statistics(torch.arange(100, 200), 7, PredictionBatch(8), predict)
    assert seen == again


def test_a_net_without_batch_norm_needs_no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(make_config(model={"batch_norm": False}, average={"name": "swa"}), TINY)
    monkeypatch.setattr(training._average, "measure_statistics", lambda *_: pytest.fail("statistics were measured"))
    training.train_epoch()
    assert training._average.begun


# From parent to child


def child(name: str, parent: Training, **average: Any) -> Training:
    started = Training(
        make_config(average={"name": name, **average}, parent=ParentConfig(trial_id="0" * 12, epoch=2)), TINY
    )
    started.restore(2, parent.weights(), parent.optimizer_state())
    return started


@pytest.fixture(scope="module")
def parents(one_thread: None) -> dict[str, Training]:
    trained = {name: Training(make_config(average={"name": name}), TINY) for name in ("none", "ema", "swa")}
    for training in trained.values():
        training.train_epoch()
        training.train_epoch()
    return trained


@pytest.mark.parametrize("theirs", ["none", "ema", "swa"])
@pytest.mark.parametrize("ours", ["none", "ema", "swa"])
def test_a_child_goes_on_from_the_weights_that_were_trained_and_from_an_average_of_its_own_kind_alone(
    parents: dict[str, Training], theirs: str, ours: str
) -> None:
    started = child(ours, parents[theirs])
    raw = weights_of(parents["none"])  # the same for all: an average changes nothing of what is trained on
    assert all(torch.equal(value, raw[name]) for name, value in weights_of(started).items())
    goes_on = ours == theirs != "none"
    assert started._average.begun == goes_on
    if goes_on:
        assert started.weights() == parents[theirs].weights()
        assert started.optimizer_state() == parents[theirs].optimizer_state()


def test_an_average_that_begins_later_than_its_parents_starts_again(parents: dict[str, Training]) -> None:
    started = child("ema", parents["ema"], start=3)
    assert not started._average.begun
    started.train_epoch()
    assert not started._average.begun
    started.train_epoch()
    assert started._average.begun
