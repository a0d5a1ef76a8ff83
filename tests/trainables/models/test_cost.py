"""What a net costs: parameters and operations by hand, and that measuring changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.data.images import hash_labels
from trainables.models import cost
from trainables.models.build import build_model
from trainables.models.cost import estimate_step_bytes, measure_cost, measure_once, trace
from trainables.results.committer import Committer
from trainables.store.folder import Folder
from trainables.training.training import Training
from trainables.training.trial import Trial

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = ImageShape(8, 8, 1, 10)


def build(**keys: object) -> nn.Module:
    return build_model(ModelConfig.model_validate({"width": 4, **keys}), SHAPE, 0).eval()


def test_operations_by_hand() -> None:
    # a multiplication and an addition for each of 9 taps, 8 x 8 places, 1 x 4 channels; 4 x 4 places, 4 x 8 channels;
    # 32 features by 10 classes
    flops, _ = trace(build(), SHAPE)
    assert flops == 2 * (9 * 64 * 4 + 9 * 16 * 4 * 8 + 32 * 10)


def test_operations_of_attention_are_counted() -> None:
    class Attention(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = images.reshape(len(images), 1, 8, 8)
            return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens).flatten(1)

    net = nn.Sequential(Attention(), nn.Linear(64, 10))
    # every token with every token, twice: 8 x 8 x 8 each; and the last layer
    assert trace(net.eval(), SHAPE)[0] == 2 * (2 * 8 * 8 * 8 + 64 * 10)


def test_bytes_that_are_kept_of_an_image_by_hand() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))
    # the image, and what the activation makes: it is its own memory; weights are no part of it
    assert trace(net.eval(), SHAPE)[1] == 4 * 64 + 4 * 20
    assert trace(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval(), SHAPE)[1] == 4 * 64


def test_memory_of_a_step_by_hand() -> None:
    net = nn.Linear(64, 10)
    # weights and gradients of 650, what the optimizer has; a batch of 32 images, of each the pixels and 100 bytes
    assert estimate_step_bytes(net, SHAPE, 32, optimizer_bytes=1000, saved_bytes=100) == 2 * 4 * 650 + 1000 + 32 * 356


def test_memory_grows_with_the_batch_and_a_measured_peak_takes_its_place() -> None:
    net = build()
    small, large = (measure_cost(net, SHAPE, size, 0).step_bytes for size in (8, 80))
    assert large > 5 * small / 2
    cost = measure_cost(net, SHAPE, 8, 0, measured_bytes=12345)
    assert (cost.step_bytes, cost.step_bytes_measured) == (12345, True)


def test_times_are_of_predictions_and_larger_nets_take_longer() -> None:
    small = measure_cost(build(), SHAPE, 8, 0)
    shape = ImageShape(64, 64, 3, 10)
    large = measure_cost(build_model(ModelConfig(width=64), shape, 0), shape, 8, 0)
    assert 0 < small.latency_s < large.latency_s
    assert small.batch_latency_s / small.batch < large.batch_latency_s / large.batch
    assert large.parameters > small.parameters == sum(parameter.numel() for parameter in build().parameters())


def test_measuring_changes_no_bit_and_no_mode() -> None:
    tiny = place(make_images())
    config = make_config(model={"dropout": 0.3}, name="adamw")
    measured, undisturbed = Training(config, tiny), Training(config, tiny)
    for _ in range(2):
        for training in (measured, undisturbed):
            training.train_epoch()
        cost._known.clear()
        measured.cost()
    assert measured.weights() == undisturbed.weights()
    assert measured.optimizer_state() == undisturbed.optimizer_state()
    net = build().train()
    net[0].eval()  # type: ignore[index]
    state = torch.random.get_rng_state()
    measure_cost(net, SHAPE, 8, 0)
    assert [module.training for module in net.children()] == [False] + [True] * (len(list(net.children())) - 1)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_the_optimizer_keeps_counts() -> None:
    tiny = place(make_images())

    def step_bytes(**optimizer: object) -> int:
        training = Training(make_config(**optimizer), tiny)
        training.train_epoch()
        return training.cost().step_bytes

    parameters = sum(p.numel() for p in Training(make_config(), tiny)._net.parameters())
    plain = step_bytes(momentum=0.0)
    assert step_bytes(momentum=0.9) - plain == 4 * parameters
    assert step_bytes(name="adamw") - plain == pytest.approx(8 * parameters, abs=64)  # and a count of steps each


def test_an_architecture_is_measured_once_in_a_process() -> None:
    calls: list[int] = []

    def measure() -> cost.TrialCost:
        calls.append(1)
        return measure_cost(build(), SHAPE, 8, 0)

    first = measure_once(("once", 1), measure)
    assert measure_once(("once", 1), measure) is first
    measure_once(("once", 2), measure)
    assert len(calls) == 2


def test_a_trial_reports_its_cost_with_its_first_epoch_and_finds_it_again_in_the_store(tmp_path: Path) -> None:
    images, config = make_images(), make_config()

    def begin() -> Trial:
        committer = Committer(Folder(tmp_path))
        trial = Trial(config, place(images), hash_labels(images), Folder(tmp_path), committer)
        assert trial.cost is None
        trial.advance()
        committer.close()
        return trial

    trained = begin()
    assert trained.cost
    assert trained.cost.parameters == 3 * 4 * 9 + 8 + 4 * 8 * 9 + 16 + 32 * 3 + 3
    cost._known.clear()
    assert begin().cost == trained.cost  # of the store: a time is never measured the same twice
    assert replace(trained.cost, flops=0) != trained.cost
