"""What is seen of a net while it trains: against hand-made nets, whose units and steps are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.training.tiny_trials import make_config, make_images
from trainables.results.layer_statistics import EpochStatistics
from trainables.training import training as training_module
from trainables.training.device_images import place_images
from trainables.training.monitor import TrainingMonitor, highest_of, surge_of
from trainables.training.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")


def run_monitored(net: nn.Module, images: Tensor) -> EpochStatistics:
    monitor = TrainingMonitor(net)
    with torch.inference_mode(), monitor.recording_activations():
        logits = net(images)
    return monitor.close(logits, torch.zeros(len(logits), dtype=torch.int64), 0.1)


def test_a_unit_that_no_image_activates_is_dead():
    net = nn.Sequential(nn.Linear(1, 4, bias=False), nn.ReLU(inplace=True), nn.Linear(4, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0], [-1.0], [-2.0], [-3.0]]))
    statistics = run_monitored(net, torch.tensor([[1.0], [2.0]]))
    assert statistics.dead_share == 0.75
    assert [(layer.layer, layer.kind, layer.dead_share) for layer in statistics.layers] == [("1", "ReLU", 0.75)]


@pytest.mark.parametrize(
    ("activation", "entering", "share"),
    [
        (nn.LeakyReLU(), -9.0, 0.0),
        (nn.ELU(), -9.0, 0.0),
        (nn.GELU(), -3.0, 0.0),
        (nn.GELU(), -5.0, 1.0),
        (nn.SiLU(), -11.0, 1.0),
    ],
)
def test_where_the_slope_is_not_flat_a_unit_is_alive(activation, entering, share):
    statistics = run_monitored(nn.Sequential(activation, nn.Linear(2, 2)), torch.full((3, 2), entering))
    assert statistics.dead_share == share


def test_a_channel_is_a_unit_and_values_are_those_before_the_non_linearity():
    images = torch.tensor([[[[-1.0, -3.0]], [[-1.0, 5.0]]]]).contiguous(memory_format=torch.channels_last)
    statistics = run_monitored(nn.Sequential(nn.ReLU(inplace=True), nn.Flatten()), images)
    (layer,) = statistics.layers
    assert (layer.dead_share, layer.mean, layer.std) == (0.5, 0.0, pytest.approx(3.0))
    assert (layer.low, layer.high, sum(layer.histogram)) == (pytest.approx(-12), pytest.approx(12), 4)
    assert [at for at, count in enumerate(layer.histogram) if count] == [12, 14, 22]  # bins of 0.75 from -12


def test_a_module_that_is_passed_twice_is_seen_twice():
    activation = nn.ReLU()
    net = nn.Sequential(nn.Linear(1, 2), activation, nn.Linear(2, 2), activation)
    assert [layer.layer for layer in run_monitored(net, torch.ones(2, 1)).layers] == ["1", "1#2"]


def test_the_update_ratio_is_the_norm_of_the_step_over_that_of_the_weights():
    net = nn.Linear(2, 1)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[3.0, 4.0]]))
    monitor = TrainingMonitor(net)
    net.weight.grad, net.bias.grad = torch.tensor([[0.0, 12.0]]), torch.tensor([5.0])
    monitor.before_step()
    with torch.no_grad():
        net.weight.sub_(torch.tensor([[0.3, 0.4]]))
    monitor.after_step()
    statistics = monitor.close(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), 0.25)
    assert (statistics.update_ratio, statistics.grad_norm, statistics.rate) == (pytest.approx(0.1), 13.0, 0.25)
    assert (statistics.fit_loss, statistics.fit_accuracy) == (pytest.approx(math.log(2), rel=1e-5), 1.0)
    again = monitor.close(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), 0.25)
    assert (again.update_ratio, again.grad_norm) == (None, None)  # of the next epoch nothing was seen yet


def test_a_surge_is_the_worst_stretch_over_the_usual_one():
    losses = torch.cat([torch.full((8,), 2.0), torch.full((8,), 1.0), torch.full((8,), 6.0), torch.full((7,), 99.0)])
    assert surge_of(losses) == 3.0
    assert surge_of(losses[:15]) == 1.0


@pytest.mark.parametrize("steps", [1, 2, 39, 64, 130, 1000])
def test_at_most_four_steps_of_an_epoch_are_monitored_the_last_among_them(steps):
    monitor = TrainingMonitor(nn.Linear(1, 1))
    monitored = [step for step in range(steps) if monitor.should_monitor(step, steps)]
    assert monitored[-1] == steps - 1
    assert len(monitored) == min(4, 1 + steps // 64)


def test_each_epoch_samples_other_training_images_until_all_were_sampled():
    monitor = TrainingMonitor(nn.Linear(1, 1))
    rows = torch.arange(1000)
    parts = [monitor.sample(rows, epoch) for epoch in range(1, 26)]
    assert {len(part) for part in parts} == {40}
    assert sorted(torch.cat(parts).tolist()) == list(range(1000))
    assert monitor.sample(rows, 26).equal(parts[0])
    assert len(monitor.sample(torch.arange(7), 3)) == 7


class Blind(TrainingMonitor):
    """Sees nothing of the steps and the layers."""

    def should_monitor(self, step: int, steps: int) -> bool:
        return False

    def recording_activations(self):
        import contextlib

        return contextlib.nullcontext()


def test_monitoring_changes_no_bit(monkeypatch):
    images = make_images()
    config = make_config(images.data_id, seed=3, model={"dropout": 0.3})
    placed = place_images(images.arrays, torch.device("cpu"))
    seen = Training(config, placed)
    monkeypatch.setattr(training_module, "TrainingMonitor", Blind)
    blind = Training(config, placed)
    for _ in range(3):
        seen.train_epoch()
        blind.train_epoch()
    assert seen.weights() == blind.weights()
    assert seen.optimizer_state() == blind.optimizer_state()
    assert seen.statistics.update_ratio > 0
    assert blind.statistics.update_ratio is None


def test_training_images_are_scored_as_those_of_validation_are():
    images = make_images()
    training = Training(
        make_config(images.data_id, seed=3, model={"dropout": 0.5}), place_images(images.arrays, torch.device("cpu"))
    )
    training.train_epoch()
    rows = training._monitor.sample(training._rows, 1)
    training._net.eval()
    with torch.inference_mode():
        logits = training._logits(rows)
        wanted = float(nn.functional.cross_entropy(logits, training._images.labels[rows]))
    assert training.statistics.fit_loss == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("images", [1, 2, 3, 7, 35])
def test_the_highest_value_of_a_unit_is_found_in_any_number_of_images(images):
    values = torch.randn(images, 5, 3, 4, generator=torch.Generator().manual_seed(images))
    assert torch.equal(highest_of(values.contiguous(memory_format=torch.channels_last)), values.amax((0, 2, 3)))
    assert torch.equal(highest_of(values[:, :, 0, 0]), values[:, :, 0, 0].amax(0))
