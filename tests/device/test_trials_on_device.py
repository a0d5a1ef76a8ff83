"""What is done with trials, on a device that is not the CPU: to the bits of the CPU, and within the memory that there is."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ensembles.voting.vote import read_voter
from runner.deploy.loaded_bundle import ReadyTeam
from runner.execution import labelling as label
from tests.device.second_device import allocated_bytes, limit_memory
from tests.trainables.training.tiny_trials import CPU, make_config, make_images
from trainables.compression.prune import PruningTask, prune_checkpoint
from trainables.compression.soup import Ingredient, SoupTask, make_soup
from trainables.config.trial import BoostConfig, ParentConfig, TrialConfig
from trainables.data.decoding import Decoding
from trainables.data.image_shape import ImageShape
from trainables.data.images import channel_statistics, hash_labels
from trainables.errors import DataError, DeviceFault
from trainables.export.program import read_program, write_program
from trainables.export.team_calibration import build_calibration
from trainables.export.team_net import MemberWeights, TeamNet
from trainables.export.team_vote import TeamVote
from trainables.hardware.device import check_device
from trainables.models.build import build_model
from trainables.models.cost import measure_cost
from trainables.models.load import load_net
from trainables.results.checkpoint import CheckpointId, committed_epochs, read_json_part, read_part, read_predictions
from trainables.results.committer import Committer
from trainables.results.pruned_checkpoint import PrunedId
from trainables.results.soup_id import name_soup
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.folder import Folder
from trainables.training.device_images import DeviceImages, add_pseudo_labelled, place_images
from trainables.training.epoch_timer import EpochTimer
from trainables.training.lr_range_test import range_test
from trainables.training.memory import PredictionBatch
from trainables.training.predict import predict_images
from trainables.training.ray_trainable import TuneTrial
from trainables.training.training import Training
from trainables.training.trial import Step, Trial

IMAGES = make_images()
EPOCHS = 2


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PARENT_WAIT_S", "PARENT_POLL_S", "CHECKPOINT_WAIT_S", "CHECKPOINT_POLL_S"):
        monkeypatch.setattr(f"trainables.training.trial.{name}", 0.0)


def advance(store: Store, config: TrialConfig, images: DeviceImages, epochs: int = EPOCHS) -> list[Step]:
    """The steps of a trial up to the end of `epochs`, or to its own."""
    committer = Committer(store)
    trial = Trial(config, images, hash_labels(IMAGES), store, committer)
    steps: list[Step] = []
    while trial.epoch < epochs and not (steps and steps[-1].end):
        steps.append(trial.advance())
    committer.close()
    return steps


def bits(store: Store, config: TrialConfig) -> dict[tuple[int, str], bytes]:
    """All that checkpoints hold but times."""
    parts = [layout.WEIGHTS, layout.OPTIMIZER, layout.predictions_part("test"), layout.METRICS, layout.LAYER_STATISTICS]
    parts += [layout.BOOST] if config.boost.kind == "samme" else []
    return {
        (epoch, part): read_part(store, CheckpointId(config.trial_id, epoch), part)
        for epoch in committed_epochs(store, config.trial_id)
        for part in parts
    }


def chain(kind: Any, config: TrialConfig) -> list[TrialConfig]:
    """Two rounds of boosting."""
    first = config.model_copy(update={"boost": BoostConfig(kind=kind)})
    former = ParentConfig(trial_id=first.trial_id, epoch=EPOCHS)
    round_two: dict[str, Any] = {"round": 2} if kind == "gradient" else {}
    return [first, config.model_copy(update={"seed": 1, "boost": BoostConfig(kind=kind, former=former, **round_two)})]


def child_of(parent: TrialConfig) -> TrialConfig:
    return parent.model_copy(update={"parent": ParentConfig(trial_id=parent.trial_id, epoch=1), "seed": 3})


PLAIN = make_config(IMAGES.data_id, model={"dropout": 0.2}, name="adamw", average={"name": "ema"})
FAMILIES: dict[str, list[TrialConfig]] = {
    "a trial and its child": [PLAIN, child_of(PLAIN)],
    "SAMME": chain("samme", make_config(IMAGES.data_id, model={"width": 1})),
    "gradient boosting": chain("gradient", make_config(IMAGES.data_id, average={"name": "swa"})),
}


@pytest.mark.parametrize(
    "name",
    ["a trial and its child", *(pytest.param(name, marks=pytest.mark.long) for name in ("SAMME", "gradient boosting"))],
)
def test_trials_leave_the_checkpoints_that_they_leave_on_the_cpu(
    device: torch.device, tmp_path: Path, name: str
) -> None:
    stores = {where.type: Folder(tmp_path / where.type) for where in (CPU, device)}
    for where in (CPU, device):
        for config in FAMILIES[name]:
            steps = advance(stores[where.type], config, place_images(IMAGES.arrays, where))
            assert not any(step.end for step in steps), steps[-1].reason
    for config in FAMILIES[name]:
        found = bits(stores["second"], config)
        assert len(found) >= 5
        assert found == bits(stores["cpu"], config)


@pytest.mark.long
def test_a_trial_that_is_cut_off_goes_on_to_the_same_bits(device: torch.device, tmp_path: Path) -> None:
    images = place_images(IMAGES.arrays, device)
    advance(whole := Folder(tmp_path / "whole"), PLAIN, images, 3)
    advance(cut := Folder(tmp_path / "cut"), PLAIN, images, 1)
    advance(cut, PLAIN, images, 3)
    assert bits(cut, PLAIN) == bits(whole, PLAIN)


def test_its_checkpoint_is_predicted_with_and_labels_as_on_the_cpu(device: torch.device, tmp_path: Path) -> None:
    store = Folder(tmp_path)
    advance(store, PLAIN, place_images(IMAGES.arrays, device))
    checkpoint = CheckpointId(PLAIN.trial_id, EPOCHS)
    pixels = IMAGES.pixels[IMAGES.rows("test")]
    stored = read_predictions(store, checkpoint, "test").probabilities
    found = predict_images(store, checkpoint, PLAIN, place_images(IMAGES.arrays, device), pixels)
    assert np.array_equal(found, stored)
    predicted = label._predict(store, checkpoint, PLAIN.model_dump(mode="json"), IMAGES.arrays, pixels)
    assert np.array_equal(predicted, stored)


@pytest.mark.long
def test_pseudo_labelled_images_are_trained_on_as_on_the_cpu(device: torch.device) -> None:
    found = []
    for where in (CPU, device):
        images = add_pseudo_labelled(
            place_images(IMAGES.arrays, where), IMAGES.pixels[:40] // 2, IMAGES.labels[:40].copy()
        )
        training = Training(make_config(train_share=0.5), images)
        training.train_epoch()
        found.append(training.weights())
    assert found[0] == found[1]


@pytest.mark.long
def test_a_range_test_finds_what_it_finds_on_the_cpu(device: torch.device) -> None:
    found = [range_test(make_config(), place_images(IMAGES.arrays, where), steps=60) for where in (CPU, device)]
    assert found[0].to_json() == found[1].to_json()


@pytest.mark.long
def test_soups_and_pruned_nets_are_those_of_the_cpu(device: torch.device) -> None:
    found = []
    for where in (CPU, device):
        images = place_images(IMAGES.arrays, where)
        training = Training(make_config(), images)
        ingredients = []
        for epoch in (1, 2):
            training.train_epoch()
            ingredients.append(Ingredient(CheckpointId("0123456789ab", epoch), training.config, training.weights()))
        task = SoupTask(training.config, images, hash_labels(IMAGES))
        wanted = name_soup("uniform", [each.checkpoint for each in ingredients], "accuracy")
        soup = make_soup(task, wanted, ingredients, lambda evaluation: evaluation.accuracy)
        task = PruningTask(training.config, training.weights(), images, hash_labels(IMAGES))
        pruned = [
            prune_checkpoint(task, PrunedId("0123456789ab", 2, method, 0.5, 1)) for method in ("magnitude", "channel")
        ]
        found.append((soup.parts, pruned))
    assert found[0] == found[1]


def make_team(device: torch.device, store: Store, vote: dict[str, Any], calibration: dict[str, Any]) -> TeamNet:
    weights = read_part(store, CheckpointId(PLAIN.trial_id, EPOCHS), layout.WEIGHTS)
    mean, std = channel_statistics(IMAGES.arrays)
    members = [MemberWeights(PLAIN, weights, precision) for precision in ("float32", "bfloat16")]
    voter = read_voter(
        {"members": [{"trial_id": "a", "epoch": 1}, {"trial_id": "b", "epoch": 1}], "weights": [0.5, 0.5], **vote}
    )
    parts = TeamVote(voter.combine), build_calibration(calibration)
    return TeamNet(members, ImageShape(8, 8, 3, 3), mean.tolist(), std.tolist(), *parts).to(device)


VOTES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "soft": ({"method": "soft"}, {"kind": "temperature", "temperature": 1.5}),
    "stacked": (
        {"method": "stacked", "fitted": {"weights": [0.7, 0.4], "bias": [0.0, 0.1, 0.2]}},
        {"kind": "vector", "scale": [1.0, 1.1, 0.9], "bias": [0.0, 0.1, 0.0]},
    ),
    "confidence": (
        {"method": "confidence"},
        {"kind": "isotonic", "curves": [None, [[0.1, 0.5, 0.9], [0.2, 0.3, 0.8]], None]},
    ),
    "rank": ({"method": "rank"}, {"kind": "none"}),
    "majority": ({"method": "majority"}, {"kind": "none"}),
    "hard": ({"method": "hard"}, {"kind": "none"}),
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    store = Folder(tmp_path_factory.mktemp("team"))
    advance(store, PLAIN, place_images(IMAGES.arrays, CPU))
    return store


@pytest.mark.parametrize("name", VOTES)
def test_a_team_says_on_the_device_what_it_says_on_the_cpu(device: torch.device, stored: Folder, name: str) -> None:
    pixels = torch.from_numpy(IMAGES.pixels)
    with torch.inference_mode():
        here = make_team(CPU, stored, *VOTES[name])(pixels)
        there = make_team(device, stored, *VOTES[name])(pixels.to(device))
    assert there.device == device
    assert there.cpu().numpy() == pytest.approx(here.numpy(), abs=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("name", ["soft", "rank", "confidence", "majority", "stacked"])
def test_an_exported_program_runs_on_the_device(device: torch.device, stored: Folder, name: str) -> None:
    team = make_team(CPU, stored, *VOTES[name])
    program = read_program(write_program(team, team.shape))
    pixels = torch.from_numpy(IMAGES.pixels)
    with torch.inference_mode():
        here = program(pixels)
        there = program.to(device)(pixels.to(device))
    assert there.device == device
    assert there.cpu().numpy() == pytest.approx(here.numpy(), abs=1e-5)


def test_a_bundle_is_asked_on_the_device(device: torch.device, stored: Folder) -> None:
    heard: list[np.ndarray] = []

    class Heard(ReadyTeam):
        def vote(self, given: Any) -> Any:
            heard.append(given)
            return given.mean(0).astype(np.float64), given.mean(0).argmax(1)

    for where in (CPU, device):
        net = make_team(where, stored, *VOTES["soft"])
        unasked: Any = None
        decoding = Decoding(net.shape.height, net.shape.width, net.shape.channels)
        team = Heard(net, where, PredictionBatch(32), net.shape, decoding, ("a", "b", "c"), unasked, unasked, None)
        team.predict(IMAGES.pixels)
    assert heard[0].shape == (2, len(IMAGES.pixels), 3)
    assert np.array_equal(heard[0], heard[1])


@pytest.mark.long
def test_an_epoch_is_timed_on_the_device(device: torch.device) -> None:
    found = EpochTimer(IMAGES.arrays).time_epoch(make_config(IMAGES.data_id), limit_s=0.1)
    assert found.epoch_s > 0


# Cost


def test_the_memory_of_a_step_is_measured_and_predictions_do_not_count(device: torch.device) -> None:
    found = []
    for validation in (20, 2000):
        images = place_images(make_images(train=32).arrays, device)
        many = images.rows["validation"].repeat(validation // 20)
        training = Training(make_config(), replace(images, rows={**images.rows, "validation": many}))
        training.train_epoch()
        training.evaluate("validation")
        cost = training.cost()
        found.append(cost.step_bytes)
        assert cost.step_bytes_measured
    assert found[0] == found[1] > 0


def test_measuring_a_cost_leaves_no_memory_in_use(device: torch.device) -> None:
    net = build_model(make_config().model, ImageShape(8, 8, 3, 3), 0).to(device)
    measure_cost(net, ImageShape(8, 8, 3, 3), 16, 0)
    gc.collect()
    before = allocated_bytes()
    for _ in range(3):
        measure_cost(net, ImageShape(8, 8, 3, 3), 16, 0)
    gc.collect()
    assert allocated_bytes() == before


# Memory


@pytest.mark.long
def test_a_batch_that_does_not_fit_is_trained_in_parts_and_as_many_on_every_attempt(
    device: torch.device, tmp_path: Path
) -> None:
    images = place_images(make_images(train=64).arrays, device)
    config = make_config(IMAGES.data_id, batch_size=64, model={"width": 16})
    needs = []
    for parts in (1, 2):
        before = allocated_bytes()
        training = Training(config, images, parts)
        torch.second.reset_peak_memory_stats()  # type: ignore[attr-defined]
        training.train_epoch()
        needs.append(torch.second.max_memory_allocated() - before)  # type: ignore[attr-defined]
        del training
        gc.collect()
    assert needs[1] < needs[0]
    store = Folder(tmp_path)
    with limit_memory(allocated_bytes() + sum(needs) // 2):
        steps = advance(store, config, images, epochs=1)
    assert steps[-1].end is None, steps[-1].reason
    assert read_json_part(store, CheckpointId(config.trial_id, 1), layout.TIMING)["parts"] == 2


def test_images_that_do_not_fit_are_an_error_of_one_sentence_with_their_size(device: torch.device) -> None:
    placed = place_images(IMAGES.arrays, device)
    with (
        limit_memory(allocated_bytes() + 1000),
        pytest.raises(DataError, match=r"^out of memory: the images take 2\.11e-05 GB on device second:0, which "),
    ):
        place_images(IMAGES.arrays, device)
    with (
        limit_memory(allocated_bytes() + 1000),
        pytest.raises(DataError, match=r"^out of memory: the images take 4\.22e-05 GB on device second:0, which "),
    ):
        add_pseudo_labelled(placed, IMAGES.pixels, IMAGES.labels)


def test_a_worker_whose_images_do_not_fit_ends_its_trials_with_that_sentence(
    device: torch.device, tmp_path: Path
) -> None:
    with limit_memory(allocated_bytes() + 1000):
        worker = set_up(Folder(tmp_path), PLAIN)
        step = worker.step()
    worker.cleanup()
    assert step["end"] == "failed"
    assert step["reason"].startswith("out of memory: the images take 2.11e-05 GB on device second:0")


@pytest.mark.long
def test_labelling_without_memory_says_so(device: torch.device, tmp_path: Path) -> None:
    store = Folder(tmp_path)
    advance(store, PLAIN, place_images(IMAGES.arrays, device))
    checkpoint = CheckpointId(PLAIN.trial_id, EPOCHS)
    with limit_memory(allocated_bytes() + 1000):
        predicted = label._predict(store, checkpoint, PLAIN.model_dump(mode="json"), IMAGES.arrays, IMAGES.pixels)
    assert isinstance(predicted, DataError)


def tune_config(config: TrialConfig) -> dict[str, Any]:
    return {"name": config.trial_id, "trial": config.model_dump_json(), "epoch": 0}


def set_up(store: Store, config: TrialConfig) -> TuneTrial:
    trainable = TuneTrial.__new__(TuneTrial)  # its own constructor asks Ray where it runs
    trainable.setup(tune_config(config), images=IMAGES.arrays, store=store)
    return trainable


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is given back is given back by Caucus."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_memory_is_given_back_between_trials_and_while_a_slot_stands_by(
    device: torch.device, tmp_path: Path, no_collector: None
) -> None:
    large = make_config(IMAGES.data_id, model={"width": 64}, l1=1e-4, decay="decoupled", augment={"strength": 0.5})
    other = make_config(IMAGES.data_id, model={"width": 64}, name="adamw", average={"name": "ema"})
    worker = set_up(Folder(tmp_path), PLAIN)
    idle = []
    for config in (large, other):
        worker.reset_config({"name": "standby", "standby": 0.001})
        idle.append(allocated_bytes())
        worker.reset_config(tune_config(config))
        assert worker.step()["end"] is None
        assert allocated_bytes() > idle[-1] + 200_000
    worker.reset_config({"name": "standby", "standby": 0.001})
    idle.append(allocated_bytes())
    worker.cleanup()
    assert idle[2] == idle[1] <= idle[0] + 84  # the constants of colours, which all trials share


# A GPU that answers no more


def break_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on as CUDA is after an illegal access."""

    def refuse(*_: Any, **__: Any) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCompile with …")

    monkeypatch.setattr(Training, "train_batch", refuse)
    monkeypatch.setattr("torch.second.synchronize", refuse)


def test_a_device_that_answers_no_more_ends_its_process_and_not_one_trial_after_the_other(
    device: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = set_up(Folder(tmp_path), PLAIN)
    break_down(monkeypatch)
    with pytest.raises(
        DeviceFault, match=r"^device second:0 answers this process no more \(CUDA error: an illegal mem"
    ):
        worker.step()  # which Tune takes for the death of the worker, and the trial begins again in a new one
    worker.reset_config({**tune_config(PLAIN), "range_test": "architecture"})
    with pytest.raises(DeviceFault):
        worker.step()
    worker.cleanup()


def test_a_trial_that_fails_on_a_device_that_answers_fails_alone(
    device: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault of its own")

    monkeypatch.setattr(Training, "train_batch", fail)
    steps = advance(Folder(tmp_path), PLAIN, place_images(IMAGES.arrays, device))
    assert (steps[-1].end, steps[-1].reason) == ("failed", "RuntimeError: a fault of its own")
    check_device(CPU, RuntimeError("whatever"))


def test_a_net_is_loaded_on_the_cpu_whatever_device_it_is_for(device: torch.device, stored: Folder) -> None:
    weights = read_part(stored, CheckpointId(PLAIN.trial_id, EPOCHS), layout.WEIGHTS)
    net: nn.Module = load_net(PLAIN, ImageShape(8, 8, 3, 3), weights)
    assert {value.device.type for value in net.state_dict().values()} == {"cpu"}
