"""A trial goes on from whatever the store holds, and ends up with the same bits however often it was cut off."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors

from tests.trainables.store.unwilling_stores import A_MOMENT_S, PATIENCE_S, Gated, Refusing
from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.config.trial import ParentConfig, TrialConfig
from trainables.data.images import hash_labels
from trainables.errors import DataError, TrialDiverged
from trainables.metric import Metric
from trainables.results.checkpoint import CheckpointId, committed_epochs, read_part, read_predictions
from trainables.results.committer import Committer
from trainables.results.record import EpochResult
from trainables.scores import measure
from trainables.store import layout
from trainables.store.base import Store, StoredObject
from trainables.store.folder import Folder
from trainables.store.json_records import get_json
from trainables.training.training import Training
from trainables.training.trial import Step, Trial

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = make_images()
PLACED = place(IMAGES)

CONFIG = make_config(IMAGES.data_id, model={"dropout": 0.2}, schedule={"name": "cosine", "epochs": 5})

DIVERGING = make_config(IMAGES.data_id, lr=100, batch_size=8, model={"batch_norm": False, "blocks": 3, "width": 32})

PURE_PARTS = (
    "weights.safetensors",
    "optimizer.safetensors",
    "validation.arrow",
    "validation-truth.arrow",
    "test.arrow",
    "watched.arrow",
    "metrics.json",
)
"""Parts of a checkpoint that follow from the configuration alone."""

Bits = dict[int, dict[str, bytes]]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not in the store has been lost, unless a test says otherwise."""
    for name in ("PARENT_WAIT_S", "PARENT_POLL_S", "CHECKPOINT_WAIT_S", "CHECKPOINT_POLL_S"):
        monkeypatch.setattr(f"trainables.training.trial.{name}", 0.0)


@contextmanager
def started(store: Store, config: TrialConfig = CONFIG, epoch: int = 0) -> Iterator[Trial]:
    """A trial over `store`; everything it handed over is stored, or has failed loudly, at the end of the block."""
    committer = Committer(store)
    try:
        yield Trial(config, PLACED, hash_labels(IMAGES), store, committer, epoch)
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
    """Every pure part of every whole checkpoint, verified by its manifest."""
    epochs = committed_epochs(store, config.trial_id)
    return {
        epoch: {part: read_part(store, CheckpointId(config.trial_id, epoch), part) for part in PURE_PARTS}
        for epoch in epochs
    }


def child_of(parent: TrialConfig, epoch: int, seed: int | None = None, **optimizer: Any) -> TrialConfig:
    """A child of `parent` at the end of `epoch`: as it, but for its seed and what is named of its optimizer."""
    payload = parent.model_dump()
    payload["parent"] = {"trial_id": parent.trial_id, "epoch": epoch}
    payload["optimizer"] |= optimizer
    return TrialConfig.model_validate(payload | ({} if seed is None else {"seed": seed}))


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

    monkeypatch.setattr("trainables.training.trial.Training", no_training)


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
    assert metrics == {name: value for name, value in result.to_dict().items() if name not in ("train_s", "evaluate_s")}
    for split in ("validation", "test"):
        predictions = read_predictions(store, checkpoint, split)
        assert (predictions.data_id, predictions.split) == (IMAGES.data_id, split)
        assert predictions.labels_sha256 == hash_labels(IMAGES)[split]
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


def test_no_number_measured_on_test_is_written_or_reported(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    (result,) = results(advance(store, 1))
    checkpoint = CheckpointId(CONFIG.trial_id, 1)
    known = {"epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"}
    known |= {
        "fit_loss",
        "fit_accuracy",
        "rate",
        "grad_norm",
        "update_ratio",
        "dead_share",
        "surge",
        "round_error",
        "round_weight",
    }  # of training images
    times = {"train_s", "evaluate_s"}
    assert set(result.to_dict()) == known | times
    assert set(get_json(store, checkpoint.key(layout.METRICS))) == known
    assert set(get_json(store, checkpoint.key(layout.TIMING))) == times | {"precision", "device", "torch", "cost"}


def test_times_are_reported_and_stored_apart_from_the_metrics(tmp_path: Path) -> None:
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

    def build(*given: Any, **named: Any) -> Training:
        built.append(Training(*given, **named))
        return built[-1]

    monkeypatch.setattr("trainables.training.trial.Training", build)
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


def test_with_no_whole_checkpoint_left_it_starts_again_and_does_not_report_the_known_epochs(
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


# A checkpoint that is still on its way


@dataclass(frozen=True)
class Late(Folder):
    """Shows the manifest of `late` from the time on that it was asked for so often; tells when in `asked`."""

    late: str = ""
    times: int = 3
    asked: list[float] = field(default_factory=list)

    def stat(self, key: str) -> StoredObject | None:
        if self.late in key:
            # Who writes it looks as well, and does not wait.
            if not threading.current_thread().name.startswith("commit"):
                self.asked.append(time.monotonic())
            if len(self.asked) < self.times:
                return None
        return super().stat(key)

    def find(self, prefix: str) -> list[StoredObject]:
        hidden = len(self.asked) < self.times
        return [found for found in super().find(prefix) if not (hidden and self.late in found.key)]


def trained_epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs that are trained from now on, in order."""
    trained: list[int] = []
    train_epoch = Training.train_epoch

    def recorded(training: Training, *given: Any) -> tuple[float, float]:
        trained.append(training.epoch + 1)
        return train_epoch(training, *given)

    monkeypatch.setattr(Training, "train_epoch", recorded)
    return trained


def test_a_trial_waits_for_its_own_newest_checkpoint_to_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Bits
) -> None:
    advance(Folder(tmp_path), 3)
    monkeypatch.setattr("trainables.training.trial.CHECKPOINT_WAIT_S", 30.0)
    monkeypatch.setattr("trainables.training.trial.CHECKPOINT_POLL_S", 0.01)
    trained = trained_epochs(monkeypatch)
    store = Late(tmp_path, late="epoch-0003/manifest.json")
    advance(store, 2, epoch=3)
    assert trained == [4, 5]
    assert len(store.asked) == 3
    assert all(later - earlier >= 0.01 for earlier, later in zip(store.asked, store.asked[1:], strict=False))
    assert bits(Folder(tmp_path)) == undisturbed


def test_a_checkpoint_written_by_another_thread_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Bits
) -> None:
    store = Gated(tmp_path, held="epoch-0002/manifest")
    trained = trained_epochs(monkeypatch)
    monkeypatch.setattr("trainables.training.trial.CHECKPOINT_WAIT_S", 30.0)
    with started(store) as writer:
        writer.advance()
        writer.advance()
        assert store.reached.wait(PATIENCE_S)  # the second epoch is reported, and its checkpoint is not stored
        threading.Timer(A_MOMENT_S, store.gate.set).start()
        with started(store, epoch=2) as reader:
            assert reader.advance().result
    assert trained == [1, 2, 3]
    assert bits(store) == {epoch: undisturbed[epoch] for epoch in (1, 2, 3)}


def test_a_checkpoint_that_does_not_arrive_is_trained_again_and_waited_for_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Bits
) -> None:
    advance(Folder(tmp_path), 3)
    trained = trained_epochs(monkeypatch)
    store = Late(tmp_path, late="epoch-0003/manifest.json", times=10**9)
    monkeypatch.setattr("trainables.training.trial.CHECKPOINT_WAIT_S", 0.03)
    monkeypatch.setattr("trainables.training.trial.CHECKPOINT_POLL_S", 0.01)
    with started(store, epoch=3) as trial:
        assert trial.advance(lambda: bool(trained)).end == "stopped"  # in the middle of training epoch 3 again
        asked = len(store.asked)
        assert 2 <= asked <= 5
        assert trial.advance().result
    assert len(store.asked) == asked
    assert trained == [3, 3, 4]
    assert bits(Folder(tmp_path)) == {epoch: undisturbed[epoch] for epoch in (1, 2, 3, 4)}


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_trial_waits_for_no_checkpoint_that_exists_or_that_nobody_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    if epoch:
        advance(Folder(tmp_path), epoch)
    store = Late(tmp_path, late="manifest.json", times=0)
    monkeypatch.setattr("trainables.training.trial.time.sleep", lambda _: pytest.fail("it waited"))
    with started(store, epoch=epoch) as trial:
        assert trial.advance().result
    assert store.asked == []


def test_a_trial_that_must_stop_waits_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.training.trial.CHECKPOINT_WAIT_S", 1e9)
    monkeypatch.setattr("trainables.training.trial.PARENT_WAIT_S", 1e9)
    for config, epoch in [(CONFIG, 3), (child_of(CONFIG, 2), 0)]:
        with started(Folder(tmp_path), config, epoch) as trial:
            step = trial.advance(iter([False, False, True]).__next__)
        assert (step.end, step.reason) == ("stopped", f"the budget ran out in epoch {max(epoch, 2) + 1}")


# A parent


def test_a_child_begins_after_the_epoch_of_its_parent_and_counts_on(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    advance(store, 2)
    child = child_of(CONFIG, 2, seed=5)
    steps = advance(store, 2, child)
    assert [result.epoch for result in results(steps)] == [3, 4]
    assert [step.trained for step in steps] == [True, True]
    assert committed_epochs(store, child.trial_id) == [3, 4]
    assert committed_epochs(store, CONFIG.trial_id) == [1, 2]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_child_that_differs_in_nothing_repeats_its_parents_next_epochs_bit_for_bit(tmp_path: Path, name: str) -> None:
    schedule = {"name": "cosine", "epochs": 5}
    parent = make_config(
        IMAGES.data_id, model={"dropout": 0.2}, schedule=schedule, name=name, lr=0.01, weight_decay=0.01
    )
    store = Folder(tmp_path)
    advance(store, 5, parent)
    child = child_of(parent, 3)
    advance(store, 2, child)
    assert child.trial_id != parent.trial_id
    assert bits(store, child) == {epoch: bits(store, parent)[epoch] for epoch in (4, 5)}


CHANGES: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.02, "momentum": 0.5, "weight_decay": 0.1},
    "adamw": {"name": "adamw", "lr": 0.005, "beta1": 0.8, "beta2": 0.99, "weight_decay": 0.1},
    "no-momentum": {"lr": 0.02, "momentum": 0.0},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_child_cut_off_after_every_epoch_leaves_the_bits_of_an_undisturbed_one(tmp_path: Path, change: str) -> None:
    name = "adamw" if change == "adamw" else "sgd"
    parent = make_config(IMAGES.data_id, model={"dropout": 0.2}, name=name, lr=0.01, weight_decay=0.01)
    whole, cut = Folder(tmp_path / "whole"), Folder(tmp_path / "cut")
    child = child_of(parent, 2, seed=9, **CHANGES[change])
    for store in (whole, cut):
        advance(store, 2, parent)
    advance(whole, 3, child)
    for epoch in (0, 3, 4):
        advance(cut, 1, child, epoch)
    assert bits(cut, child) == bits(whole, child)
    assert list(bits(cut, child)) == [3, 4, 5]
    sibling = child_of(parent, 2, seed=9)
    advance(whole, 1, sibling)
    assert bits(whole, child)[3] != bits(whole, sibling)[3]  # what it changed has an effect
    # Without any checkpoint of its own left it comes from its parent again, whatever the run has on record.
    for path in (cut.root / layout.trial_prefix(child.trial_id)).rglob("manifest.json"):
        path.unlink()
    (step,) = advance(cut, 1, child, epoch=4)
    assert step.result
    assert step.result.epoch == 5
    assert bits(cut, child) == bits(whole, child)


def test_a_child_reads_what_it_left_and_not_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Folder(tmp_path)
    advance(store, 2)
    child = child_of(CONFIG, 2, seed=5)
    first = advance(store, 2, child)
    for epoch in (1, 2):
        place_of(store, epoch, layout.MANIFEST).unlink()
    assert results(advance(store, 2, child)) == results(first)
    (step,) = advance(store, 1, child, epoch=4)
    assert step.trained


def test_a_grandchild_goes_on_from_a_child(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    advance(store, 5)
    child = child_of(CONFIG, 2)
    advance(store, 1, child)
    grandchild = child_of(child, 3)
    advance(store, 2, grandchild)
    assert bits(store, grandchild) == {epoch: bits(store)[epoch] for epoch in (4, 5)}


def test_a_child_waits_for_its_parents_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advance(Folder(tmp_path), 2)
    monkeypatch.setattr("trainables.training.trial.PARENT_WAIT_S", 30.0)
    monkeypatch.setattr("trainables.training.trial.PARENT_POLL_S", 0.01)
    store = Late(tmp_path, late=CheckpointId(CONFIG.trial_id, 2).key(layout.MANIFEST))
    advance(store, 1, child_of(CONFIG, 2))
    assert len(store.asked) == 3


def failure(store: Store, config: TrialConfig) -> str:
    with started(store, config) as trial:
        step = trial.advance()
    assert (step.end, step.result, step.trained) == ("failed", None, False)
    assert committed_epochs(store, config.trial_id) == []
    return step.reason


def test_a_child_whose_parent_does_not_come_fails_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, name = Folder(tmp_path), CONFIG.trial_id
    advance(store, 2)
    monkeypatch.setattr("trainables.training.trial.PARENT_WAIT_S", 0.02)
    assert failure(store, child_of(CONFIG, 3)) == (
        f"its parent {name}@3 is not in the store {tmp_path}, nor came within 0.02 s: "
        f"train {name} up to epoch 3 first, or name another parent"
    )


@pytest.mark.parametrize("part", ["weights.safetensors", "optimizer.safetensors", "manifest.json"])
def test_a_child_of_a_damaged_checkpoint_fails_and_says_which(tmp_path: Path, part: str) -> None:
    store = Folder(tmp_path)
    advance(store, 2)
    if part == layout.MANIFEST:
        place_of(store, 2, part).write_bytes(b'{"parts": {')
    else:
        damage(store, 2, part)
    reason = failure(store, child_of(CONFIG, 2))
    assert reason.startswith(f"its parent {CONFIG.trial_id}@2 cannot be read: {tmp_path}/trials/{CONFIG.trial_id}")
    assert part in reason
    assert "delete" in reason


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model": {"width": 8}}, "its weights are of another model: 0.weight is (4, 3, 3, 3) there and (8, 3, 3, 3) here"),
        ({"model": {"blocks": 3}}, "its weights are of another model: 8.weight is missing there and (16, 8, 3, 3) here"),
        ({"name": "adamw"}, "its optimizer is another one: it keeps momentum_buffer of a parameter, adamw keeps exp_avg, exp_avg_sq, step"),
    ],
    ids=str,
)  # fmt: skip
def test_a_child_of_another_model_or_optimizer_fails_and_says_where_they_differ(
    tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    store, parent = Folder(tmp_path), make_config(IMAGES.data_id)
    advance(store, 1, parent)
    child = make_config(IMAGES.data_id, parent=ParentConfig(trial_id=parent.trial_id, epoch=1), **change)
    assert failure(store, child) == (
        f"its parent {parent.trial_id}@1 does not fit: {complaint}; a child keeps its parent's model and optimizer.name"
    )


def test_a_store_that_does_not_give_the_parent_stops_the_child_for_the_next_run_to_continue(tmp_path: Path) -> None:
    store = Refusing(tmp_path)
    advance(store, 1)
    store.refused.append(f"{CONFIG.trial_id}/epoch-0001/optimizer")
    with started(store, child_of(CONFIG, 1)) as trial:
        step = trial.advance()
        assert step.end == "stopped"
        assert "was not given" in step.reason
        store.refused.clear()
        assert trial.advance().result


# How a trial ends


def test_an_error_in_the_model_fails_the_trial_with_its_kind_and_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("trainables.training.training.build_net", broken)
    with started(Folder(tmp_path)) as trial:
        assert trial.advance() == Step(end="failed", reason="RuntimeError: mat1 and mat2 shapes cannot be multiplied")
        assert trial.epoch == 0
    assert list(tmp_path.iterdir()) == []


def fail_in_epoch(monkeypatch: pytest.MonkeyPatch, epoch: int, error: Exception) -> None:
    """Let the second step of `epoch`, and of no other, raise `error`."""
    train_batch, steps = Training.train_batch, itertools.count()

    def failing(training: Training, *given: Any, **keys: Any) -> Any:
        if training.epoch == epoch - 1 and next(steps) == 1:
            raise error
        return train_batch(training, *given, **keys)

    monkeypatch.setattr(Training, "train_batch", failing)


@pytest.mark.parametrize(
    ("error", "end", "reason"),
    [
        (RuntimeError("a corrupt batch"), "failed", "RuntimeError: a corrupt batch"),
        (DataError("wrong label: 12"), "failed", "wrong label: 12"),
        (TrialDiverged("the training loss is nan"), "diverged", "the training loss is nan"),
    ],
)
def test_what_a_trial_was_before_it_failed_is_whole_in_the_store_and_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Bits, error: Exception, end: str, reason: str
) -> None:
    store = Folder(tmp_path)
    with started(store) as trial:
        fail_in_epoch(monkeypatch, 3, error)
        assert [trial.advance().end for _ in range(2)] == [None, None]
        assert trial.advance() == Step(end=end, reason=reason)  # type: ignore[arg-type]
        assert trial.epoch == 2
    assert bits(store) == {epoch: undisturbed[epoch] for epoch in (1, 2)}
    last = CheckpointId(CONFIG.trial_id, 2)
    predictions = read_predictions(store, last, "validation")
    training = Training(CONFIG, PLACED)
    training.restore(2, read_part(store, last, layout.WEIGHTS), read_part(store, last, layout.OPTIMIZER))
    assert np.array_equal(training.evaluate("validation").probabilities, predictions.probabilities)
    # Where the fault was of the machine, the next attempt goes on from it, and a child can.
    advance(store, 1, epoch=2)
    assert bits(store) == {epoch: undisturbed[epoch] for epoch in (1, 2, 3)}
    assert results(advance(store, 1, child_of(CONFIG, 2)))[0].epoch == 3


def test_weights_that_are_no_numbers_end_a_trial_whose_last_good_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Bits
) -> None:
    pixels = Training._pixels

    def corrupt(training: Training, batch: Any) -> Any:
        filled = pixels(training, batch)
        return filled.fill_(float("nan")) if training.epoch == 2 and training._net.training else filled

    monkeypatch.setattr(Training, "_pixels", corrupt)
    store = Folder(tmp_path)
    with started(store) as trial:
        ends = [trial.advance() for _ in range(3)]
    assert ends[2] == Step(end="diverged", reason="the training loss is nan in epoch 3, step 4 of 4")
    assert bits(store) == {epoch: undisturbed[epoch] for epoch in (1, 2)}


def test_a_trial_that_is_asked_again_after_a_failure_starts_from_its_checkpoint_not_from_what_is_left_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Bits
) -> None:
    store = Folder(tmp_path)
    with started(store) as trial:
        fail_in_epoch(monkeypatch, 2, RuntimeError("once"))
        assert [trial.advance().end for _ in range(3)] == [None, "failed", None]
    assert bits(store) == {epoch: undisturbed[epoch] for epoch in (1, 2)}


# Out of memory


def limit_memory(monkeypatch: pytest.MonkeyPatch, images: int, since_epoch: int = 1) -> list[int]:
    """Let no step hold more than so many images at a time from that epoch on; the sizes that were tried."""
    descend, tried = Training._descend, list[int]()

    def descending(training: Training, batch: Any, share: float = 1.0) -> Any:
        tried.append(len(batch))
        if len(batch) > images and training.epoch >= since_epoch - 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the documentation")
        return descend(training, batch, share)

    monkeypatch.setattr(Training, "_descend", descending)
    return tried


LARGE = make_config(IMAGES.data_id, batch_size=64, momentum=0.5, lr=0.02)


def test_a_batch_that_does_not_fit_is_taken_in_parts_that_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = limit_memory(monkeypatch, 20)
    store = Folder(tmp_path)
    advance(store, 2, LARGE)
    assert tried == [64, 32, 16, 16, 16, 16, 16, 16, 16, 16]  # one step an epoch
    for epoch in (1, 2):
        assert get_json(store, CheckpointId(LARGE.trial_id, epoch).key(layout.TIMING))["parts"] == 4


def test_in_parts_it_makes_the_same_step_but_for_rounding_where_there_is_no_batch_norm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch_norm in (False, True):
        config = LARGE.model_copy(update={"model": LARGE.model.model_copy(update={"batch_norm": batch_norm})})
        whole, parts = Training(config, PLACED), Training(config, PLACED, parts=4)
        results = [training.train_epoch() for training in (whole, parts)]
        theirs, ours = (load_tensors(training.weights()) for training in (whole, parts))
        same = all(torch.allclose(theirs[name], ours[name], rtol=1e-4, atol=1e-6) for name in theirs)
        assert same == (not batch_norm)
        if not batch_norm:
            assert results[1] == pytest.approx(results[0], rel=1e-5)
    assert int(ours["1.num_batches_tracked"]) == 4  # each part gives statistics of its own


def test_memory_that_runs_out_in_a_later_epoch_repeats_that_epoch_from_its_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Folder(tmp_path)
    tried = limit_memory(monkeypatch, 32, since_epoch=3)
    config = LARGE.model_copy(update={"schedule": LARGE.schedule.model_copy(update={"name": "plateau"})})
    advance(store, 4, config)
    assert tried == [64, 64, 64, 32, 32, 32, 32]
    timings = [get_json(store, CheckpointId(config.trial_id, epoch).key(layout.TIMING)) for epoch in (1, 2, 3, 4)]
    assert [timing.get("parts") for timing in timings] == [None, None, 2, 2]
    # The third epoch is as if it had been trained in parts at once.
    monkeypatch.undo()
    training, second = Training(config, PLACED, parts=2), CheckpointId(config.trial_id, 2)
    training.restore(2, read_part(store, second, layout.WEIGHTS), read_part(store, second, layout.OPTIMIZER))
    training.train_epoch()
    assert training.weights() == bits(store, config)[3][layout.WEIGHTS]


def test_a_trial_in_parts_goes_on_in_as_many_to_the_same_bits_though_there_is_room_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, resumed = Folder(tmp_path / "undisturbed"), Folder(tmp_path / "resumed")
    config = LARGE.model_copy(update={"model": LARGE.model.model_copy(update={"dropout": 0.2})})
    with monkeypatch.context() as patch:
        limit_memory(patch, 32)
        advance(undisturbed, 3, config)
        advance(resumed, 1, config)
    advance(resumed, 2, config, epoch=1)
    assert bits(resumed, config) == bits(undisturbed, config)


def test_where_not_even_a_small_part_fits_the_trial_ends_with_a_plain_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Folder(tmp_path)
    advance(store, 1, LARGE)
    tried = limit_memory(monkeypatch, 0)
    with started(store, LARGE, epoch=1) as trial:
        step = trial.advance()
    assert tried == [64, 32, 16, 8]
    assert step.end == "failed"
    assert step.reason == (
        "out of memory: a batch of 64 images does not fit in 8 parts of 8 (CUDA out of memory. Tried to allocate 2.00 GiB.): "
        "take a smaller model or smaller images, or fewer trials at a time on this device"
    )
    assert committed_epochs(store, LARGE.trial_id) == [1]
    assert len(read_predictions(store, CheckpointId(LARGE.trial_id, 1), "test").rows) == 20


def test_a_model_that_does_not_fit_fails_with_a_plain_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory\nat 0x1")

    monkeypatch.setattr("trainables.training.training.build_net", too_large)
    with started(Folder(tmp_path)) as trial:
        assert trial.advance() == Step(
            end="failed",
            reason="out of memory: [enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory",
        )


# Errors of ours


def test_an_error_of_ours_fails_the_trial_with_its_message_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise DataError("tiny: two images have the same id")

    monkeypatch.setattr("trainables.training.training.build_net", broken)
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
        result = train_epoch(training, *given)
        if training.epoch == 2:
            next(training._net.parameters()).data.fill_(float("inf"))
        return result

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
        assert step == Step(end="stopped", reason="the budget ran out in epoch 2", by_budget=True)
        assert trial.epoch == 1
    assert list(bits(store)) == [1]
    advance(store, 1, epoch=1)
    assert bits(store) == {epoch: undisturbed[epoch] for epoch in (1, 2)}


def test_stored_epochs_cost_no_time_and_are_reported_even_when_time_is_up(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    (first,) = advance(store, 1)
    with started(store) as trial:
        assert trial.advance(lambda: True) == Step(first.result, trained=False)
        assert trial.advance(lambda: True).end == "stopped"


@pytest.mark.parametrize("metric", ["balanced_accuracy", "log_loss", "auc"])
def test_the_metric_of_the_sweep_is_measured_on_validation_and_changes_no_bit(metric: Metric, tmp_path: Path) -> None:
    def run(name: str, asked: Metric) -> list[EpochResult]:
        committer = Committer(Folder(tmp_path / name))
        try:
            trial = Trial(CONFIG, PLACED, hash_labels(IMAGES), Folder(tmp_path / name), committer, metric=asked)
            return results([trial.advance() for _ in range(2)])
        finally:
            committer.close()

    found = run("asked", metric)
    plain = run("plain", "accuracy")
    assert bits(Folder(tmp_path / "asked")) == bits(Folder(tmp_path / "plain"))
    labels = IMAGES.labels[IMAGES.rows("validation")]
    for result, without in zip(found, plain, strict=True):
        table = read_predictions(Folder(tmp_path / "asked"), CheckpointId(CONFIG.trial_id, result.epoch), "validation")
        assert result.validation_score == measure(metric, table.probabilities, labels)
        assert (result.metric, without.metric, without.validation_score) == (metric, None, None)
        assert result.validation_loss == without.validation_loss
    # Epochs that another sweep trained are measured from their predictions, to the same value.
    assert [one.validation_score for one in run("plain", metric)] == [one.validation_score for one in found]
