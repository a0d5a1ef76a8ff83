"""A trial goes on from whatever the store holds, and ends up with the same bits however often it was cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainables.tiny_trials import label_hashes, make_config, make_images, place
from tests.trainables.unwilling_stores import Refusing
from trainables import layout
from trainables.checkpoint import CheckpointId, committed_epochs, read_part, read_predictions
from trainables.commit import Committer
from trainables.config import TrialConfig
from trainables.errors import DataError
from trainables.folder import Folder
from trainables.record import EpochResult
from trainables.store import Store, get_json
from trainables.training import Training
from trainables.trial import Step, Trial

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = make_images()
PLACED = place(IMAGES)

CONFIG = make_config(IMAGES.data_id, model={"dropout": 0.2}, schedule={"name": "cosine", "epochs": 5})

DIVERGING = make_config(IMAGES.data_id, lr=100, batch_size=8, model={"batch_norm": False, "blocks": 3, "width": 32})

PURE_PARTS = ("weights.safetensors", "optimizer.safetensors", "validation.arrow", "test.arrow", "metrics.json")
"""Parts of a checkpoint that follow from the configuration alone."""

Bits = dict[int, dict[str, bytes]]


@contextmanager
def started(store: Store, config: TrialConfig = CONFIG, epoch: int = 0) -> Iterator[Trial]:
    """A trial over `store`; everything it handed over is stored, or has failed loudly, at the end of the block."""
    committer = Committer(store)
    try:
        yield Trial(config, PLACED, label_hashes(IMAGES), store, committer, epoch)
    finally:
        committer.close()


def advance(store: Store, epochs: int, config: TrialConfig = CONFIG, epoch: int = 0) -> list[Step]:
    with started(store, config, epoch) as trial:
        steps = [trial.advance() for _ in range(epochs)]
    assert [step.end for step in steps] == [None] * epochs
    return steps


def results(steps: list[Step]) -> list[EpochResult]:
    return [step.result for step in steps if step.result]


def bits(store: Store, config: TrialConfig = CONFIG) -> Bits:
    """Every pure part of every whole checkpoint, proved by its manifest."""
    epochs = committed_epochs(store, config.trial_id)
    return {
        epoch: {part: read_part(store, CheckpointId(config.trial_id, epoch), part) for part in PURE_PARTS}
        for epoch in epochs
    }


def place_of(store: Folder, epoch: int, part: str) -> Path:
    return store.root / CheckpointId(CONFIG.trial_id, epoch).key(part)


def damage(store: Folder, epoch: int, part: str) -> None:
    """Change one byte in the middle."""
    path = place_of(store, epoch, part)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_training(*_: object) -> None:
        raise AssertionError("a net was built")

    monkeypatch.setattr("trainables.trial.Training", no_training)


@pytest.fixture(scope="module")
def undisturbed(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Bits:
    """What five epochs in one go leave behind."""
    store = Folder(tmp_path_factory.mktemp("undisturbed"))
    advance(store, 5)
    found = bits(store)
    assert list(found) == [1, 2, 3, 4, 5]
    assert len({parts["weights.safetensors"] for parts in found.values()}) == 5
    return found


# What an epoch leaves behind


def test_every_epoch_is_committed_with_all_its_parts(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    steps = advance(store, 3)
    assert [step.trained for step in steps] == [True] * 3
    assert [result.epoch for result in results(steps)] == [1, 2, 3]
    for epoch in (1, 2, 3):
        prefix = f"trials/{CONFIG.trial_id}/epoch-{epoch:04d}/"
        assert {found.key for found in store.find(prefix)} == {
            prefix + part for part in (*PURE_PARTS, "timing.json", "manifest.json")
        }
        manifest = get_json(store, prefix + "manifest.json")
        assert (manifest["trial_id"], manifest["epoch"]) == (CONFIG.trial_id, epoch)
        assert isinstance(manifest["parts"], dict)
        assert set(manifest["parts"]) == {*PURE_PARTS, "timing.json"}


def test_results_metrics_and_predictions_say_the_same_of_an_epoch(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    (result,) = results(advance(store, 1))
    checkpoint = CheckpointId(CONFIG.trial_id, 1)
    metrics = get_json(store, checkpoint.key(layout.METRICS))
    assert metrics == {name: value for name, value in asdict(result).items() if name not in ("train_s", "evaluate_s")}
    for split in ("validation", "test"):
        predictions = read_predictions(store, checkpoint, split)
        assert (predictions.data_id, predictions.split) == (IMAGES.data_id, split)
        assert predictions.labels_sha256 == label_hashes(IMAGES)[split]
        assert np.array_equal(predictions.rows, IMAGES.rows(split))
    validation = read_predictions(store, checkpoint, "validation")
    right = validation.probabilities.argmax(1) == IMAGES.labels[validation.rows]
    assert result.validation_accuracy == float(right.mean())


@pytest.mark.parametrize("split", ["validation", "test"])
def test_stored_predictions_are_what_the_stored_weights_say_of_that_split(tmp_path: Path, split: str) -> None:
    store, checkpoint = Folder(tmp_path), CheckpointId(CONFIG.trial_id, 2)
    advance(store, 2)
    training = Training(CONFIG, PLACED)
    training.restore(2, read_part(store, checkpoint, layout.WEIGHTS), read_part(store, checkpoint, layout.OPTIMIZER))
    stored = read_predictions(store, checkpoint, split).probabilities
    assert np.array_equal(stored, training.evaluate(split).probabilities)


def test_no_number_measured_on_test_is_written_or_told(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    (result,) = results(advance(store, 1))
    checkpoint = CheckpointId(CONFIG.trial_id, 1)
    known = {"epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"}
    times = {"train_s", "evaluate_s"}
    assert set(asdict(result)) == known | times
    assert set(get_json(store, checkpoint.key(layout.METRICS))) == known
    assert set(get_json(store, checkpoint.key(layout.TIMING))) == times | {"precision", "device", "torch"}


def test_what_the_clock_says_is_told_and_kept_apart_from_the_metrics(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    (result,) = results(advance(store, 1))
    timing = get_json(store, CheckpointId(CONFIG.trial_id, 1).key(layout.TIMING))
    assert (timing["train_s"], timing["evaluate_s"]) == (result.train_s, result.evaluate_s)
    assert timing["precision"] == "float32"
    assert 0 < result.train_s < 60


def test_two_independent_runs_leave_the_same_bits(tmp_path: Path, undisturbed: Bits) -> None:
    store = Folder(tmp_path)
    advance(store, 2)
    assert bits(store) == {epoch: undisturbed[epoch] for epoch in (1, 2)}


def test_another_seed_leaves_other_bits_under_another_name(tmp_path: Path, undisturbed: Bits) -> None:
    store, other = Folder(tmp_path), CONFIG.model_copy(update={"seed": 1})
    advance(store, 1, other)
    assert bits(store) == {}
    assert all(bits(store, other)[1][part] != undisturbed[1][part] for part in PURE_PARTS)


# Going on


def test_what_is_committed_is_read_and_not_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Folder(tmp_path)
    first = advance(store, 3)
    forbid_training(monkeypatch)
    again = advance(store, 3)
    assert results(again) == results(first)  # to the last digit, the seconds of then included
    assert [step.trained for step in again] == [False] * 3


def test_a_replayed_trial_trains_on_where_the_store_ends(tmp_path: Path, undisturbed: Bits) -> None:
    store = Folder(tmp_path)
    advance(store, 2)
    steps = advance(store, 4)
    assert [step.trained for step in steps] == [False, False, True, True]
    assert bits(store) == {epoch: undisturbed[epoch] for epoch in (1, 2, 3, 4)}


@pytest.mark.parametrize("epoch", [1, 2, 3, 4])
def test_a_trial_taken_up_after_any_epoch_leaves_the_bits_of_an_undisturbed_one(
    tmp_path: Path, undisturbed: Bits, epoch: int
) -> None:
    store = Folder(tmp_path)
    advance(store, epoch)
    steps = advance(store, 5 - epoch, epoch=epoch)
    assert [result.epoch for result in results(steps)] == list(range(epoch + 1, 6))
    assert all(step.trained for step in steps)
    assert bits(store) == undisturbed


def test_a_trial_cut_off_after_every_epoch_leaves_the_bits_of_an_undisturbed_one(
    tmp_path: Path, undisturbed: Bits
) -> None:
    store = Folder(tmp_path)
    for epoch in range(5):
        advance(store, 1, epoch=epoch)
    assert bits(store) == undisturbed


def test_a_trial_in_one_go_builds_its_net_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Training] = []

    def build(*given: Any) -> Training:
        built.append(Training(*given))
        return built[-1]

    monkeypatch.setattr("trainables.trial.Training", build)
    advance(Folder(tmp_path), 3)
    assert len(built) == 1


# A store in disorder


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_checkpoint_without_its_manifest_is_trained_again(tmp_path: Path, undisturbed: Bits, epoch: int) -> None:
    store = Folder(tmp_path)
    advance(store, 3)
    place_of(store, epoch, layout.MANIFEST).unlink()
    place_of(store, epoch, layout.OPTIMIZER).write_bytes(b"half")
    steps = advance(store, 4)
    assert [step.trained for step in steps] == [at == epoch or at == 4 for at in (1, 2, 3, 4)]
    assert bits(store) == {at: undisturbed[at] for at in (1, 2, 3, 4)}


@pytest.mark.parametrize("part", ["weights.safetensors", "optimizer.safetensors", "manifest.json"])
def test_from_damaged_weights_a_trial_falls_back_by_an_epoch_and_writes_the_damaged_one_again(
    tmp_path: Path, undisturbed: Bits, part: str
) -> None:
    store = Folder(tmp_path)
    advance(store, 3)
    if part == layout.MANIFEST:
        place_of(store, 3, part).write_bytes(b'{"parts": {')
    else:
        damage(store, 3, part)
    steps = advance(store, 2, epoch=3)
    assert [result.epoch for result in results(steps)] == [4, 5]
    assert bits(store) == undisturbed


def test_with_several_damaged_checkpoints_it_goes_back_to_the_last_whole_one(tmp_path: Path, undisturbed: Bits) -> None:
    store = Folder(tmp_path)
    advance(store, 4)
    for epoch in (2, 3, 4):
        damage(store, epoch, layout.WEIGHTS)
    advance(store, 1, epoch=4)
    assert bits(store) == undisturbed


def test_with_no_whole_checkpoint_left_it_begins_anew_and_says_nothing_of_the_epochs_known(
    tmp_path: Path, undisturbed: Bits
) -> None:
    store = Folder(tmp_path)
    (step,) = advance(store, 1, epoch=4)
    assert step.result
    assert step.result.epoch == 5
    assert bits(store) == undisturbed


@pytest.mark.parametrize("part", ["metrics.json", "timing.json"])
@pytest.mark.parametrize("epoch", [1, 2])
def test_an_epoch_whose_result_cannot_be_read_is_trained_again(
    tmp_path: Path, undisturbed: Bits, part: str, epoch: int
) -> None:
    store = Folder(tmp_path)
    first = advance(store, 3)
    damage(store, epoch, part)
    again = advance(store, 4)
    assert [step.trained for step in again] == [at == epoch or at == 4 for at in (1, 2, 3, 4)]
    assert [result.validation_loss for result in results(again)][:3] == [
        result.validation_loss for result in results(first)
    ]
    assert bits(store) == {at: undisturbed[at] for at in (1, 2, 3, 4)}
    timing = json.loads(read_part(store, CheckpointId(CONFIG.trial_id, epoch), "timing.json"))
    assert timing["precision"] == "float32"


# How a trial ends


def test_an_error_in_the_model_fails_the_trial_with_its_kind_and_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("trainables.training.build_model", broken)
    with started(Folder(tmp_path)) as trial:
        assert trial.advance() == Step(end="failed", reason="RuntimeError: mat1 and mat2 shapes cannot be multiplied")
        assert trial.epoch == 0
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_ours_fails_the_trial_with_its_message_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise DataError("tiny: two images have the same id")

    monkeypatch.setattr("trainables.training.build_model", broken)
    with started(Folder(tmp_path)) as trial:
        assert trial.advance() == Step(end="failed", reason="tiny: two images have the same id")


def test_a_loss_that_is_no_number_ends_the_trial_as_diverged(tmp_path: Path) -> None:
    with started(Folder(tmp_path), DIVERGING) as trial:
        step = trial.advance()
    assert (step.end, step.result, step.trained) == ("diverged", None, False)
    assert step.reason == "the training loss is nan in epoch 1, step 8 of 8"
    assert list(tmp_path.iterdir()) == []


def test_predictions_that_are_no_numbers_are_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_epoch = Training.train_epoch

    def train_badly(training: Training, *given: Any) -> tuple[float, float]:
        told = train_epoch(training, *given)
        if training.epoch == 2:
            next(training._net.parameters()).data.fill_(float("inf"))
        return told

    monkeypatch.setattr(Training, "train_epoch", train_badly)
    store = Folder(tmp_path)
    with started(store) as trial:
        assert trial.advance().end is None
        step = trial.advance()
    assert (step.end, step.result) == ("diverged", None)
    assert step.reason == "a prediction on validation is no finite number after epoch 2"
    assert committed_epochs(store, CONFIG.trial_id) == [1]


def test_a_store_that_does_not_take_a_checkpoint_stops_the_trial_for_the_next_run_to_continue(
    tmp_path: Path, undisturbed: Bits
) -> None:
    store = Refusing(tmp_path)
    with started(store) as trial:
        assert trial.advance().end is None
        store.refused.append("epoch-0002")
        assert trial.advance().end is None  # its checkpoint is under way while the next epoch is trained
        step = trial.advance()
        assert (step.end, step.result) == ("stopped", None)
        assert step.reason == f"store runs: trials/{CONFIG.trial_id}/epoch-0002/weights.safetensors was not taken"
        assert trial.epoch == 2
        store.refused.clear()
        again = trial.advance()  # the store has come back: what it missed is made again
        assert again.result
        assert (again.end, again.result.epoch) == (None, 3)
    assert bits(store) == {epoch: undisturbed[epoch] for epoch in (1, 2, 3)}


@pytest.mark.parametrize(("part", "epoch"), [("metrics.json", 0), ("weights.safetensors", 1)])
def test_a_store_that_does_not_answer_stops_the_trial_and_nothing_is_trained_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, epoch: int
) -> None:
    store = Refusing(tmp_path)
    advance(store, 1)
    store.refused.append(part)
    monkeypatch.setattr(Training, "train_epoch", lambda *_: pytest.fail("an epoch was trained"))
    with started(store, epoch=epoch) as trial:
        step = trial.advance()
    assert step == Step(end="stopped", reason=f"store runs: trials/{CONFIG.trial_id}/epoch-0001/{part} was not given")


def test_out_of_time_a_trial_stops_before_the_epoch_is_done_and_can_be_continued(
    tmp_path: Path, undisturbed: Bits
) -> None:
    store = Folder(tmp_path)
    with started(store) as trial:
        trial.advance()
        step = trial.advance(lambda: True)
        assert step == Step(end="stopped", reason="the budget ran out in epoch 2")
        assert trial.epoch == 1
    assert list(bits(store)) == [1]
    advance(store, 1, epoch=1)
    assert bits(store) == {epoch: undisturbed[epoch] for epoch in (1, 2)}


def test_what_is_in_the_store_costs_no_time_and_is_told_even_when_time_is_up(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    (first,) = advance(store, 1)
    with started(store) as trial:
        assert trial.advance(lambda: True) == Step(first.result, trained=False)
        assert trial.advance(lambda: True).end == "stopped"
