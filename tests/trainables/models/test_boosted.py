"""Gradient boosting: what reaches the newest net, what stays frozen, and that every round's checkpoint is a whole predictor."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn
from torch.nn import functional

from tests.trainables.training.test_trial import advance, bits, failure
from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.compression.prune import PruningTask, prune_checkpoint
from trainables.compression.prune_channels import check_channels
from trainables.compression.soup import Ingredient, SoupTask, make_soup
from trainables.config.trial import BoostConfig, ParentConfig, TrialConfig
from trainables.data.images import channel_statistics, hash_labels
from trainables.errors import CheckpointMismatch, ModelUnusable
from trainables.export.program import read_program, write_program
from trainables.export.team_net import MemberWeights, TeamNet
from trainables.models.boosted import BoostedNet, build_net, take_former, trained_part
from trainables.models.load import load_net
from trainables.results.checkpoint import CheckpointId, read_part, read_predictions
from trainables.results.pruned_checkpoint import PrunedId
from trainables.results.soup_id import name_soup
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.training.predict import predict_images
from trainables.training.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = make_images()  # as those of tests/trainables/training/test_trial.py
PLACED = place(IMAGES)
EPOCHS = 3


def make_round(former: TrialConfig | None = None, shrinkage: float = 0.5, **keys: Any) -> TrialConfig:
    config = make_config(IMAGES.data_id, **{"model": {"width": 1, "dropout": 0.2}, "lr": 0.02, **keys})
    boost = BoostConfig(kind="gradient")
    if former:
        named = ParentConfig(trial_id=former.trial_id, epoch=EPOCHS)
        boost = BoostConfig(kind="gradient", former=named, round=former.boost.round + 1, shrinkage=shrinkage)
    return config.model_copy(update={"boost": boost})


FIRST = make_round()
SECOND = make_round(FIRST, seed=1)
THIRD = make_round(SECOND, seed=2)
CHAIN = (FIRST, SECOND, THIRD)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PARENT_WAIT_S", "PARENT_POLL_S", "CHECKPOINT_WAIT_S", "CHECKPOINT_POLL_S"):
        monkeypatch.setattr(f"trainables.training.trial.{name}", 0.0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A store with three rounds."""
    torch.set_num_threads(1)
    store = Folder(tmp_path_factory.mktemp("chain"))
    for config in CHAIN:
        advance(store, EPOCHS, config)
    return store


def weights_of(store: Folder, config: TrialConfig, epoch: int = EPOCHS) -> bytes:
    return read_part(store, CheckpointId(config.trial_id, epoch), layout.WEIGHTS)


def linear(*rows: list[float]) -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    net[1].weight.data = torch.tensor(rows)
    nn.init.zeros_(net[1].bias)
    return net


def pair(shrinkage: float = 1.0) -> BoostedNet:
    """Two linear nets of two features and two classes, without biases of note."""
    return BoostedNet([linear([1.0, 0.0], [0.0, 1.0]), linear([0.0, 2.0], [0.0, 0.0])], shrinkage)


def test_the_logits_are_those_of_the_first_net_and_a_share_of_each_one_after_it() -> None:
    nets = [linear([1.0, 0.0], [0.0, 1.0]), linear([0.0, 2.0], [0.0, 0.0]), linear([4.0, 0.0], [0.0, 0.0])]
    images = torch.tensor([3.0, 5.0]).reshape(1, 2, 1, 1)
    # (3, 5), then half of (10, 0), then half of (12, 0)
    assert BoostedNet(nets, 0.5)(images).tolist() == [[14.0, 5.0]]


def test_the_gradient_of_the_newest_net_is_that_of_softmax_of_the_sum_minus_the_label() -> None:
    net = pair(shrinkage=0.5)
    images = torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1)
    functional.cross_entropy(net(images), torch.tensor([1])).backward()
    # F = (1, 2), f = (4, 0), so F + f / 2 = (3, 2); softmax of it minus the label, times the half, times the features
    first = 1 / (1 + np.exp(-1))
    residual = np.array([first, (1 - first) - 1])
    newest = net.newest[1]
    assert newest.weight.grad.numpy() == pytest.approx(0.5 * np.outer(residual, [1.0, 2.0]), abs=1e-6)
    assert newest.bias.grad.numpy() == pytest.approx(0.5 * residual, abs=1e-6)
    assert all(value.grad is None for value in net.nets[0].parameters())


def test_the_nets_before_stay_in_evaluation_mode() -> None:
    net = build_net(THIRD, PLACED.shape).train()
    modes = [{module.training for module in each.modules()} for each in net.nets]
    assert modes == [{False}, {False}, {True}]
    assert {module.training for module in net.eval().modules()} == {False}


def test_the_first_round_is_a_plain_net_and_trains_as_a_plain_trial_does(trained: Folder) -> None:
    plain = make_config(IMAGES.data_id, model={"width": 1, "dropout": 0.2}, lr=0.02)
    training = Training(plain, PLACED)
    for _ in range(EPOCHS):
        training.train_epoch()
    assert training.weights() == weights_of(trained, FIRST)
    assert FIRST.trial_id != plain.trial_id


@pytest.mark.parametrize("average", [{}, {"name": "ema"}, {"name": "swa"}], ids=["none", "ema", "swa"])
@pytest.mark.parametrize("optimizer", [{}, {"name": "adamw", "weight_decay": 0.1}, {"l1": 0.01, "decay_all": True}])
def test_a_round_moves_its_own_net_alone(average: dict[str, Any], optimizer: dict[str, Any], tmp_path: Path) -> None:
    store = Folder(tmp_path)
    first = make_round(average=average, **optimizer)
    second = make_round(first, seed=1, average=average, **optimizer)
    third = make_round(second, seed=2, average=average, **optimizer)
    for config in (first, second, third):
        advance(store, EPOCHS, config)
    one, two, three = (load_tensors(weights_of(store, config)) for config in (first, second, third))
    assert two.keys() == {f"nets.{number}.{name}" for number in (0, 1) for name in one}
    for name, value in one.items():
        assert torch.equal(two[f"nets.0.{name}"], value)
    for name, value in two.items():
        assert torch.equal(three[name], value)
    # its own has moved, batch-norm statistics among it
    fresh = build_net(third, PLACED.shape).newest.state_dict()
    moved = [name for name, value in fresh.items() if not torch.equal(three[f"nets.2.{name}"], value)]
    assert any("running_mean" in name for name in moved)
    assert any(name.endswith("weight") for name in moved)
    kept = load_tensors(read_part(store, CheckpointId(third.trial_id, EPOCHS), layout.OPTIMIZER))
    assert {key.split(".")[1] for key in kept if key.startswith("nets.")} == {"2"}


def test_a_round_predicts_the_sum_of_all_rounds(trained: Folder) -> None:
    nets = load_net(THIRD, PLACED.shape, weights_of(trained, THIRD)).eval()
    assert isinstance(nets, BoostedNet)
    any_training = Training(FIRST, PLACED)
    images = any_training._normalise(any_training._pixels(PLACED.rows["validation"]))
    with torch.inference_mode():
        alone = [net(images) for net in nets.nets]
    summed = (alone[0] + 0.5 * alone[1] + 0.5 * alone[2]).softmax(1).numpy()
    stored = read_predictions(trained, CheckpointId(THIRD.trial_id, EPOCHS), "validation").probabilities
    assert stored == pytest.approx(summed, abs=1e-6)


def test_the_next_round_begins_from_what_the_one_before_says() -> None:
    # a factor of next to nothing: the sum says what the round before said, to the bit of float32
    first = Training(FIRST, PLACED)
    first.train_epoch()
    before = first.evaluate("validation")
    tiny = make_round(FIRST, shrinkage=1e-12, seed=1)
    second = Training(tiny, PLACED, former=first.weights())
    for _ in range(2):
        second.train_epoch()
    assert np.array_equal(second.evaluate("validation").probabilities, before.probabilities)


def test_shrinkage_decides_what_a_round_adds() -> None:
    first = Training(FIRST, PLACED)
    first.train_epoch()
    before = first.evaluate("validation").probabilities
    moved = []
    for shrinkage in (0.01, 0.1, 1.0):
        second = Training(make_round(FIRST, shrinkage, seed=1), PLACED, former=first.weights())
        second.train_epoch()
        moved.append(np.abs(second.evaluate("validation").probabilities - before).max())
    assert moved[0] < moved[1] < moved[2]


def test_rounds_lower_the_loss_on_the_training_images(trained: Folder) -> None:
    metrics = [
        json.loads(read_part(trained, CheckpointId(config.trial_id, EPOCHS), layout.METRICS)) for config in CHAIN
    ]
    losses = [each["train_loss"] for each in metrics]
    assert losses[0] > losses[1] > losses[2]
    assert [each["round_weight"] for each in metrics] == [1.0, 0.5, 0.5]
    assert [each["round_error"] for each in metrics] == [None] * 3


@pytest.mark.parametrize("average", [{}, {"name": "swa"}], ids=["none", "swa"])
def test_resumed_after_any_epoch_a_round_is_the_undisturbed_one_to_the_bit(
    average: dict[str, Any], tmp_path: Path
) -> None:
    first = make_round(average=average, name="adam", augment={"shift": 0.2})
    second = make_round(first, seed=1, average=average, name="adam", augment={"shift": 0.2})
    whole = Folder(tmp_path / "whole")
    for config in (first, second):
        advance(whole, EPOCHS, config)
    for cut in range(1, EPOCHS):
        store = Folder(tmp_path / str(cut))
        for config in (first, second):
            advance(store, cut, config)
            advance(store, EPOCHS - cut, config, epoch=cut)
            assert bits(store, config) == bits(whole, config)


def test_a_round_under_way_goes_on_without_the_one_before(trained: Folder, tmp_path: Path) -> None:
    store = Folder(tmp_path)
    advance(store, EPOCHS, FIRST)
    advance(store, 1, SECOND)
    for path in (store.root / CheckpointId(FIRST.trial_id, EPOCHS).key("")).iterdir():
        path.unlink()
    advance(store, EPOCHS - 1, SECOND, epoch=1)
    assert bits(store, SECOND) == bits(trained, SECOND)


def test_a_round_without_the_one_before_fails_and_says_so(tmp_path: Path) -> None:
    assert failure(Folder(tmp_path), SECOND) == (
        f"its former round {FIRST.trial_id}@3 is not in the store {tmp_path}, nor came within 0 s: "
        f"train {FIRST.trial_id} up to epoch 3 first, or name another round"
    )


def test_damaged_nets_and_those_of_another_model_or_round_are_refused(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    advance(store, EPOCHS, FIRST)
    wider = make_round(FIRST, seed=1, model={"width": 2, "dropout": 0.2})
    assert "does not fit: its weights are not those of 1 round(s) of this model: nets.0.0.weight" in failure(
        store, wider
    )
    skipped = SECOND.model_copy(update={"boost": SECOND.boost.model_copy(update={"round": 3})})
    assert "not those of 2 round(s) of this model: nets.0.0.weight is missing there" in failure(store, skipped)
    path = store.root / CheckpointId(FIRST.trial_id, EPOCHS).key(layout.WEIGHTS)
    path.write_bytes(path.read_bytes()[:-9])
    assert "cannot be read" in failure(store, SECOND)


def test_nets_that_do_not_fit_leave_the_net_as_it_was() -> None:
    net = pair()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(CheckpointMismatch, match=r"nets\.0\.1\.bias is missing there and \(2,\) here"):
        take_former(net, save_tensors({"1.weight": torch.zeros(2, 2)}))
    with pytest.raises(CheckpointMismatch, match="no safetensors file"):
        take_former(net, b"nothing")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_round_before_its_number_and_its_share_are_part_of_a_trials_name() -> None:
    others = [
        BoostConfig(kind="gradient", former=ParentConfig(trial_id="0" * 12, epoch=3), round=2, shrinkage=0.5),
        BoostConfig(kind="gradient", former=SECOND.boost.former, round=3, shrinkage=0.5),
        BoostConfig(kind="gradient", former=SECOND.boost.former, round=2, shrinkage=0.25),
    ]
    assert len({SECOND.trial_id, *(SECOND.model_copy(update={"boost": each}).trial_id for each in others)}) == 4
    flat = SECOND.flat()
    assert (flat["boost.former"], flat["boost.round"]) == (f"{FIRST.trial_id}@3", 2)


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"kind": "gradient", "round": 2}, "round is 2, but former is None"),
        ({"kind": "gradient", "former": FIRST.boost.former or {"trial_id": "0" * 12, "epoch": 1}}, "round is 1, but"),
        ({"kind": "samme", "shrinkage": 0.5}, "of gradient boosting, not of samme"),
    ],
)
def test_a_round_that_cannot_be_is_refused(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        BoostConfig.model_validate(config)


def test_a_stored_round_predicts_new_images_as_it_predicted_its_own(trained: Folder) -> None:
    checkpoint = CheckpointId(THIRD.trial_id, EPOCHS)
    predicted = predict_images(trained, checkpoint, THIRD, PLACED, IMAGES.pixels[IMAGES.rows("test")])
    assert np.array_equal(predicted, read_predictions(trained, checkpoint, "test").probabilities)


class First(nn.Module):
    def forward(self, answers: torch.Tensor) -> torch.Tensor:
        return answers[0].double()


def test_a_bundled_round_says_what_it_stored_also_as_a_program(trained: Folder) -> None:
    mean, std = channel_statistics(IMAGES.arrays)
    member = MemberWeights(THIRD, weights_of(trained, THIRD), "float32")
    team = TeamNet([member], PLACED.shape, mean.tolist(), std.tolist(), vote=First(), calibrate=nn.Identity()).eval()
    pixels = torch.from_numpy(IMAGES.pixels[IMAGES.rows("test")])
    stored = read_predictions(trained, CheckpointId(THIRD.trial_id, EPOCHS), "test").probabilities
    with torch.inference_mode():
        assert np.array_equal(team.ask(0, team.prepare(pixels)).numpy(), stored)
    program = read_program(write_program(team, PLACED.shape))
    with torch.no_grad():
        assert program(pixels).numpy() == pytest.approx(stored, abs=1e-6)


def test_bfloat16_is_added_up_in_float32() -> None:
    config = make_round(FIRST, seed=1, precision="bfloat16")
    first = Training(make_round(precision="bfloat16"), PLACED)
    first.train_epoch()
    second = Training(config, PLACED, former=first.weights())
    second.train_epoch()
    member = MemberWeights(config, second.weights(), "bfloat16")
    mean, std = channel_statistics(IMAGES.arrays)
    team = TeamNet([member], PLACED.shape, mean.tolist(), std.tolist())
    rows = PLACED.rows["test"]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert team.nets[0](second._normalise(second._pixels(rows))).dtype == torch.float32
    with torch.inference_mode():
        said = team.ask(0, team.prepare(torch.from_numpy(IMAGES.pixels[IMAGES.rows("test")])))
    assert np.array_equal(said.numpy(), second.evaluate("test").probabilities)


def test_the_monitor_sees_the_newest_net_alone_under_the_names_of_its_model(trained: Folder) -> None:
    first, second = (
        Training(config, PLACED, former=former)
        for config, former in ((FIRST, None), (SECOND, weights_of(trained, FIRST)))
    )
    for training in (first, second):
        training.train_epoch()
    assert first.statistics is not None
    assert second.statistics is not None
    assert [layer.layer for layer in second.statistics.layers] == [layer.layer for layer in first.statistics.layers]
    assert second.statistics.update_ratio > 0  # the median of frozen weights would be none


def test_its_cost_is_that_of_all_rounds(trained: Folder) -> None:
    costs = [
        json.loads(read_part(trained, CheckpointId(config.trial_id, 1), layout.TIMING))["cost"] for config in CHAIN
    ]
    for key in ("parameters", "flops"):
        assert [cost[key] for cost in costs] == [costs[0][key] * rounds for rounds in (1, 2, 3)]


def test_sparsifying_takes_weights_out_of_all_nets_and_tunes_the_newest(trained: Folder) -> None:
    task = PruningTask(SECOND, weights_of(trained, SECOND), PLACED, hash_labels(IMAGES))
    parts = prune_checkpoint(task, PrunedId(SECOND.trial_id, EPOCHS, "magnitude", 0.5, 2))
    before, after = load_tensors(task.weights), load_tensors(parts[layout.WEIGHTS])
    for name in before:
        gone = after[name] == 0
        if name.startswith("nets.0."):
            assert torch.equal(after[name], torch.where(gone, 0, before[name]))
    assert any((after[name] == 0).any() for name in after if name.startswith("nets.0.") and after[name].ndim > 1)
    assert not all(
        torch.equal(after[name], torch.where(after[name] == 0, 0, before[name]))
        for name in after
        if name.startswith("nets.1.")
    )


def test_channels_of_a_sum_of_nets_stay() -> None:
    check_channels(FIRST.model, FIRST.boost.round)
    with pytest.raises(ModelUnusable, match=r"boost\.round is 2: a round of gradient boosting is a sum of nets"):
        check_channels(SECOND.model, SECOND.boost.round)


def test_a_soup_of_a_rounds_epochs_keeps_the_rounds_before_as_they_were(trained: Folder) -> None:
    found = [
        Ingredient(CheckpointId(SECOND.trial_id, epoch), SECOND, weights_of(trained, SECOND, epoch)) for epoch in (3, 2)
    ]
    wanted = name_soup("uniform", [each.checkpoint for each in found], "accuracy")
    soup = make_soup(
        SoupTask(SECOND, PLACED, hash_labels(IMAGES)), wanted, found, lambda evaluation: evaluation.accuracy
    )
    tensors = load_tensors(soup.parts[layout.WEIGHTS])
    epochs = [load_tensors(each.weights) for each in found]
    for name, value in tensors.items():
        if name.startswith("nets.0."):
            assert torch.equal(value, epochs[0][name])
        elif name.endswith("weight"):
            assert torch.allclose(value, (epochs[0][name] + epochs[1][name]) / 2)
    other = Ingredient(CheckpointId(THIRD.trial_id, 3), THIRD, weights_of(trained, THIRD))
    with pytest.raises(CheckpointMismatch, match="began from different weights"):
        make_soup(
            SoupTask(SECOND, PLACED, hash_labels(IMAGES)),
            wanted,
            [found[0], other],
            lambda evaluation: evaluation.accuracy,
        )


def test_a_batch_in_parts_descends_as_a_whole_one_does(trained: Folder) -> None:
    # without batch norm and dropout parts are the same step, but for rounding
    model = {"width": 1, "batch_norm": False}
    first = Training(make_round(model=model), PLACED)
    config = make_round(FIRST, seed=1, model=model)
    weights = []
    for parts in (1, 3):
        training = Training(config, PLACED, parts, former=first.weights())
        training.train_epoch()
        weights.append(load_tensors(training.weights()))
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-5) for name in weights[0])


def test_a_plain_net_is_its_own_trained_part() -> None:
    net, boosted = linear([1.0, 0.0], [0.0, 1.0]), pair()
    assert trained_part(net) is net
    assert trained_part(boosted) is boosted.nets[1]
    frozen = [value.requires_grad for value in itertools.chain(*(each.parameters() for each in boosted.nets))]
    assert frozen == [False, False, True, True]
