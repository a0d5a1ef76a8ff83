"""The learning-rate range test: a ramp of rates, what is read from its losses, and whether that is of use."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.trainables.training.tiny_trials import CPU, make_config, make_images, place
from trainables.config.data import DataConfig
from trainables.config.trial import ParentConfig, TrialConfig
from trainables.datasets.load import load_images
from trainables.errors import TrialDiverged
from trainables.training import lr_range_test as module
from trainables.training.device_images import DeviceImages, place_images
from trainables.training.lr_range_test import RangeTest, RangeTestFailed, range_test, read_bounds, running_mean
from trainables.training.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny() -> DeviceImages:
    return place(make_images())


@pytest.fixture
def unsmoothed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds are read from the losses as they are."""
    monkeypatch.setattr(module, "DECAY", 0.0)


def same(one: RangeTest, other: RangeTest) -> bool:
    return one.to_json() == other.to_json()


class Ramp:
    """The rates and batches of a range test, as it goes; `losses_at` replaces the losses of some steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, losses_at: dict[int, float] | None = None) -> None:
        self.rates: list[float] = []
        self.batches: list[list[int]] = []
        train_batch = Training.train_batch

        def recorded(training: Training, batch: Tensor, rate: float) -> tuple[Tensor, Tensor]:
            self.rates.append(rate)
            self.batches.append(batch.tolist())
            loss, right = train_batch(training, batch, rate)
            return torch.tensor((losses_at or {}).get(len(self.rates), float(loss))), right

        monkeypatch.setattr(Training, "train_batch", recorded)


# The ramp


def test_rates_climb_by_the_same_factor_and_each_trains_one_batch(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp = Ramp(monkeypatch)
    found = range_test(make_config(), tiny, lowest=1e-4, highest=0.1, steps=31)
    assert ramp.rates == found.rates.tolist()
    assert found.rates.tolist() == pytest.approx([10 ** (-4 + step / 10) for step in range(31)])
    # 70 images make four batches of 16: after them the next epoch begins, in another order
    epochs = [ramp.batches[at : at + 4] for at in range(0, 28, 4)]
    assert all(len({row for batch in epoch for row in batch}) == 64 for epoch in epochs)
    assert all(set(batch) <= set(tiny.rows["train"].tolist()) for batch in ramp.batches)
    assert epochs[0] != epochs[1]


def test_the_first_loss_is_that_of_fresh_weights_and_the_next_that_after_one_step(tiny: DeviceImages) -> None:
    config = make_config(momentum=0.0, label_smoothing=0.2)
    found = range_test(config, tiny, lowest=1e-3, highest=1.0, steps=20)
    training = Training(config, tiny)
    batches = training.open_epoch(1)
    for step in range(2):
        logits = training._logits(batches[step])
        loss = functional.cross_entropy(logits, tiny.labels[batches[step]], label_smoothing=0.2)
        assert found.losses[step] == pytest.approx(float(loss.detach()), rel=1e-5)
        training.train_batch(batches[step], float(found.rates[step]))


@pytest.mark.parametrize(
    "keys",
    [{"name": "rmsprop"}, {"name": "adam"}, {"l1": 0.05}, {"l1": 0.05, "decay": "decoupled"}, {"clip": 0.5}, {"class_weights": "balanced"}],
    ids=str,
)  # fmt: skip
def test_what_else_decides_a_step_decides_the_test_too(tiny: DeviceImages, keys: dict[str, Any]) -> None:
    plain = range_test(make_config(), tiny, lowest=1e-3, highest=0.3, steps=60)
    assert not same(range_test(make_config(**keys), tiny, lowest=1e-3, highest=0.3, steps=60), plain)


def test_a_batch_that_does_not_fit_is_taken_in_parts_from_the_first_rate_on(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    descend, steps = Training._descend, itertools.count()

    def descending(training: Training, batch: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        if len(batch) > 32 and next(steps) == 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return descend(training, batch, share)

    monkeypatch.setattr(Training, "_descend", descending)
    ramp = Ramp(monkeypatch)
    found = range_test(make_config(batch_size=64), tiny, steps=40)
    assert ramp.rates[:7] == [*found.rates[:6].tolist(), float(found.rates[0])]  # in the sixth step it started again
    assert len(found.rates) == len(ramp.rates) - 6


def test_what_it_returns_lines_up(tiny: DeviceImages) -> None:
    found = range_test(make_config(), tiny, steps=50)
    count = len(found.rates)
    assert 2 < count <= 50
    assert len(found.losses) == len(found.smoothed) == count
    assert {found.rates.dtype, found.losses.dtype, found.smoothed.dtype} == {np.dtype(np.float64)}
    assert found.smoothed[-1] == running_mean(found.losses)
    assert found.smoothed[0] == found.losses[0]


def test_the_same_configuration_and_seed_give_the_same_test_twice_and_another_seed_another(tiny: DeviceImages) -> None:
    config = make_config(model={"dropout": 0.2})
    first = range_test(config, tiny, steps=60)
    torch.rand(13)
    assert same(range_test(config, tiny, steps=60), first)
    assert not same(range_test(config.model_copy(update={"seed": 1}), tiny, steps=60), first)


def test_rate_schedule_and_parent_of_the_configuration_do_not_count(tiny: DeviceImages) -> None:
    parent = ParentConfig(trial_id="0" * 12, epoch=3)
    other = make_config(
        lr=7.0, schedule={"name": "plateau", "warm_up": 3.0}, average={"name": "ema", "decay": 0.5}, parent=parent
    )
    assert same(range_test(other, tiny, steps=60), range_test(make_config(), tiny, steps=60))


@pytest.mark.parametrize("change", [{"name": "adamw"}, {"momentum": 0.0}, {"label_smoothing": 0.2}, {"batch_size": 8}])
def test_every_other_key_counts(tiny: DeviceImages, change: dict[str, Any]) -> None:
    assert not same(range_test(make_config(**change), tiny, steps=60), range_test(make_config(), tiny, steps=60))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_batch_larger_than_the_data_is_all_of_it_again_and_again(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    ramp = Ramp(monkeypatch)
    found = range_test(make_config(name=name, batch_size=500), tiny, steps=40)
    assert {len(batch) for batch in ramp.batches} == {70}
    assert found.low < found.high


# Where it stops


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_it_stops_before_a_loss_that_is_no_number(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch, loss: float
) -> None:
    ramp = Ramp(monkeypatch, {**{step: 2.0 - step / 50 for step in range(1, 60)}, 60: loss})
    found = range_test(make_config(), tiny, steps=100)
    assert len(ramp.rates) == 60
    assert len(found.losses) == len(found.rates) == len(found.smoothed) == 59
    assert np.isfinite(found.losses).all()
    assert found.reason.endswith(f"; stopped at {ramp.rates[-1]:.3g}, where it is {loss}")


def test_it_stops_at_four_times_the_lowest_smoothed_loss(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch, unsmoothed: None
) -> None:
    losses = [2.0, 2.0, 1.5, 1.0, 0.5, 1.0, 1.9, 2.0, 2.1, 9.0]
    ramp = Ramp(monkeypatch, dict(enumerate(losses, 1)))
    found = range_test(make_config(), tiny, steps=20)
    assert found.losses.tolist() == pytest.approx(losses[:9])
    assert len(ramp.rates) == 9
    assert found.reason.endswith(f"; stopped at {ramp.rates[-1]:.3g}, where it is above 4 times that")


def test_a_ramp_up_to_rates_that_explode_ends_by_itself(tiny: DeviceImages) -> None:
    config = make_config(batch_size=8, model={"batch_norm": False, "blocks": 3, "width": 32})
    found = range_test(config, tiny, lowest=1e-3, highest=100.0, steps=60)
    assert len(found.rates) < 60
    assert 1000 < found.losses[-1] < math.inf
    assert found.reason.endswith(f"; stopped at {found.rates[-1]:.3g}, where it is above 4 times that")
    assert found.high < found.rates[-1]


# Reading the bounds


RATES = np.array([1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0])


@pytest.mark.usefixtures("unsmoothed")
@pytest.mark.parametrize(
    ("losses", "low", "high"),
    [
        # from 2 to 0: `low` where it stays below 1.8, `high` where it reaches 0.1
        ([2, 2, 2, 1.5, 0.5, 0, 1, 3], 1e-3, 1e-1),
        ([2, 2, 1.9, 1.5, 0.1, 0, 1, 3], 1e-3, 1e-2),
        ([2, 2, 1.7, 1.9, 0.5, 0, 1, 3], 1e-2, 1e-1),  # a dip is no beginning
        ([2, 2, 2, 1.5, 0.5, 0.2, 0, 3], 1e-3, 1.0),
        ([2, 2, 2, 1.5, 0.5, 0.2, 0], 1e-3, 1.0),  # the test had stopped
        ([2, 2, 1.5, 1.5, 0.5, 0.2, 0.11, 0], 1e-2, 10.0),  # four decades are too many
        ([2, 2, 2, 2, 0, 1, 2, 3], 1e-3, 1e-2),  # none is too few
    ],
)
def test_bounds_are_where_the_fall_begins_and_where_it_is_nearly_over(
    losses: list[float], low: float, high: float
) -> None:
    found = read_bounds(RATES, np.array(losses, np.float64))
    assert (found.low, found.high) == (low, high)
    assert found.rates.tolist() == RATES[: len(losses)].tolist()


@pytest.mark.usefixtures("unsmoothed")
def test_the_reason_describes_the_curve() -> None:
    found = read_bounds(RATES, np.array([2, 2, 2, 1.5, 0.5, 0.25, 1, 3]), "; stopped here")
    assert found.reason == (
        "the smoothed training loss is 2 at first, falls from a rate of 0.001 on and is near its lowest, 0.25, at 0.1"
        "; stopped here"
    )


def test_bounds_have_three_digits() -> None:
    losses = np.r_[np.full(100, 2.0), np.linspace(2, 0.5, 50), np.full(50, 3.0)]
    found = read_bounds(np.geomspace(1e-6, 10, 200), losses)
    assert (float(f"{found.low:.3g}"), float(f"{found.high:.3g}")) == (found.low, found.high)
    # the running mean lags behind the fall, which goes from step 100 (3.3e-3) to step 150 (0.19)
    assert 3.3e-3 < found.low < 0.19 < found.high * 10


@pytest.mark.parametrize("seed", [0, 1, 7, 12])  # of the last three the smoothed loss falls by 4 to 7 %
def test_noise_is_no_fall(seed: int) -> None:
    losses = 2.3 + 0.5 * np.random.default_rng(seed).standard_normal(200)
    with pytest.raises(RangeTestFailed, match="does not fall noticeably"):
        read_bounds(np.geomspace(1e-6, 10, 200), losses)


@pytest.mark.parametrize("losses", [[2.0] * 200, [2.0] * 100 + [1.99] * 100, list(np.linspace(2, 4, 150))])
def test_a_loss_that_stays_or_rises_gives_no_bounds_and_says_between_which_rates(losses: list[float]) -> None:
    with pytest.raises(RangeTestFailed, match=r"is 2[\d.]* at first and .* at rates from 1e-06 to .* does not fall"):
        read_bounds(np.geomspace(1e-6, 10, 200), np.array(losses))


@pytest.mark.parametrize("losses", [[], [2.0]])
def test_a_loss_that_is_no_number_from_the_start_gives_no_bounds(losses: list[float]) -> None:
    with pytest.raises(RangeTestFailed, match=r"no finite number at a rate of 1e-0\d already"):
        read_bounds(RATES, np.array(losses, np.float64))


def test_images_that_teach_nothing_give_no_bounds() -> None:
    images = make_images()
    blind = place(images)
    blind.pixels.fill_(7)
    config = make_config(model={"batch_norm": False}, batch_size=70)  # all images are one: only biases can learn
    config = config.model_copy(update={"optimizer": config.optimizer.model_copy(update={"momentum": 0.0})})
    with pytest.raises(RangeTestFailed, match="does not fall noticeably"):
        range_test(config, blind, lowest=1e-9, highest=1e-6, steps=20)


@pytest.mark.parametrize(
    ("lowest", "highest", "steps"),
    [(0.0, 1.0, 10), (1.0, 0.1, 10), (1.0, 1.0, 10), (1e-6, math.inf, 10), (1e-6, 1.0, 1), (math.nan, 1.0, 10)],
)
def test_rates_that_do_not_rise_are_refused(tiny: DeviceImages, lowest: float, highest: float, steps: int) -> None:
    with pytest.raises(ValueError, match="must be two or more, and rise from above 0"):
        range_test(make_config(), tiny, lowest, highest, steps)


# ReferenceSet it


def test_it_comes_back_from_json_as_it_was(tiny: DeviceImages) -> None:
    found = range_test(make_config(), tiny, steps=60)
    text = json.dumps(found.to_json(), allow_nan=False)
    again = RangeTest.from_json(json.loads(text))
    assert same(again, found)
    for name in ("rates", "losses", "smoothed"):
        assert np.array_equal(getattr(again, name), getattr(found, name))
        assert getattr(again, name).dtype == np.float64


def test_one_cut_short_comes_back_from_json_too(tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch) -> None:
    Ramp(monkeypatch, {**{step: 2.0 - step / 50 for step in range(1, 60)}, 60: math.nan})
    found = range_test(make_config(), tiny, steps=100)
    assert same(RangeTest.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))), found)


# Of use


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_the_best_rate_of_a_grid_lies_inside_the_bounds_on_digits(name: str) -> None:
    images = place_images(load_images(DataConfig(name="digits")).arrays, CPU)

    def config(lr: float) -> TrialConfig:
        return make_config(model={"width": 8}, batch_size=32, name=name, lr=lr)

    def accuracy(lr: float) -> float:
        training = Training(config(lr), images)
        try:
            for _ in range(2):
                training.train_epoch()
            return training.evaluate("validation").accuracy
        except TrialDiverged:
            return 0.0

    found = range_test(config(1.0), images)
    best = max([10 ** (half / 2) for half in range(-9, 2)], key=accuracy)
    assert found.low <= best <= found.high
    assert 9.9 <= found.high / found.low <= 1010  # both are rounded
