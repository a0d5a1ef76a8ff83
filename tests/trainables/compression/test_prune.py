"""A checkpoint pruned to one sparsity and trained on: its parts, the same each time."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load

from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.compression.prune import RATE_SHARE, PruningTask, fine_tuning_config, prune_checkpoint
from trainables.compression.prune_channels import kept_channels
from trainables.data.images import hash_labels
from trainables.errors import CheckpointMismatch, ModelUnusable
from trainables.results.predictions import from_arrow
from trainables.results.pruned_checkpoint import PrunedId
from trainables.store import layout
from trainables.training.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = make_images()
PLACED = place(IMAGES)


def make_task(epochs: int = 2, **keys: Any) -> tuple[PruningTask, Training]:
    """A trial trained for some epochs, and its task."""
    config = make_config(**keys)
    training = Training(config, PLACED)
    for _ in range(epochs):
        training.train_epoch()
    return PruningTask(config, training.weights(), PLACED, hash_labels(IMAGES)), training


def wanted(sparsity: float, epochs: int = 2, method: Any = "magnitude") -> PrunedId:
    return PrunedId("0123456789ab", 2, method, sparsity, epochs)


def measured(parts: dict[str, bytes]) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads(parts[layout.METRICS])
    return metrics


def zeros(file: bytes) -> dict[str, torch.Tensor]:
    return {name: value == 0 for name, value in load(file).items() if value.ndim > 1}


KEYS: list[dict[str, Any]] = [
    {},
    {"model": {"convs": 2, "dense": 1, "dropout": 0.2}, "augment": {"flip": 0.5, "shift": 0.1}},
    {"name": "adamw", "weight_decay": 0.1, "average": {"name": "ema"}},
    {"average": {"name": "swa"}, "schedule": {"name": "plateau"}, "weight_decay": 0.01},
]


@pytest.mark.parametrize("keys", KEYS, ids=str)
@pytest.mark.parametrize("method", ["magnitude", "channel"])
def test_the_same_task_gives_the_same_bits(keys: dict[str, Any], method: str) -> None:
    task, _ = make_task(**keys)
    torch.manual_seed(5)
    first = prune_checkpoint(task, wanted(0.5, method=method))
    torch.manual_seed(6)
    assert prune_checkpoint(task, wanted(0.5, method=method)) == first


@pytest.mark.parametrize("keys", KEYS, ids=str)
def test_fine_tuning_moves_what_is_left_and_nothing_else(keys: dict[str, Any]) -> None:
    task, _ = make_task(**keys)
    before = prune_checkpoint(task, wanted(0.7, epochs=0))[layout.WEIGHTS]
    after = prune_checkpoint(task, wanted(0.7))[layout.WEIGHTS]
    gone, still_gone = zeros(before), zeros(after)
    total = sum(mask.numel() for mask in gone.values())
    assert sum(int(mask.sum()) for mask in gone.values()) == round(0.7 * total)
    for name, mask in gone.items():
        assert torch.equal(mask, still_gone[name])
        if not mask.all():
            assert not torch.equal(load(before)[name], load(after)[name])


def test_without_pruning_and_epochs_the_checkpoint_comes_out_as_it_was() -> None:
    task, training = make_task()
    for method in ("magnitude", "channel"):
        parts = prune_checkpoint(task, wanted(0.0, epochs=0, method=method))
        assert parts[layout.WEIGHTS] == task.weights
        evaluation = training.evaluate("test")
        assert (from_arrow(parts["test.arrow"]).probabilities == evaluation.probabilities).all()
        found = measured(parts)
        assert found["before_accuracy"] == found["accuracy"] == training.evaluate("validation").accuracy


def test_an_averaged_net_is_pruned_as_it_predicts() -> None:
    task, training = make_task(average={"name": "ema", "decay": 0.9})
    parts = prune_checkpoint(task, wanted(0.0, epochs=0))
    assert (from_arrow(parts["validation.arrow"]).probabilities == training.evaluate("validation").probabilities).all()


def test_fine_tuning_goes_at_a_tenth_of_the_rate_and_is_the_trials_own_otherwise() -> None:
    config = make_config(
        lr=0.2,
        weight_decay=0.01,
        schedule={"name": "cosine", "epochs": 5},
        augment={"flip": 0.5},
        average={"name": "swa"},
    )
    tuned = fine_tuning_config(config)
    assert tuned.optimizer.lr == 0.2 * RATE_SHARE
    changed, expected = tuned.model_dump(exclude_defaults=True), config.model_dump(exclude_defaults=True)
    del changed["optimizer"]["lr"], expected["optimizer"]["lr"], expected["schedule"], expected["average"]
    assert changed == expected


def test_a_first_epoch_of_fine_tuning_is_the_trials_next_epoch_at_that_rate() -> None:
    task, _ = make_task(momentum=0.0)
    slow = make_config(momentum=0.0, lr=0.05 * RATE_SHARE)
    training = Training(slow, PLACED)
    training.restore(2, task.weights, Training(slow, PLACED).optimizer_state())
    training.train_epoch()
    assert prune_checkpoint(task, wanted(0.0, epochs=1))[layout.WEIGHTS] == training.weights()


def test_predictions_carry_what_a_vote_needs() -> None:
    task, _ = make_task()
    parts = prune_checkpoint(task, wanted(0.5))
    for split in ("validation", "test"):
        found = from_arrow(parts[f"{split}.arrow"])
        assert (found.data_id, found.split) == ("tiny", split)
        assert found.rows.tolist() == IMAGES.rows(split).tolist()
        assert found.labels_sha256 == hash_labels(IMAGES)[split]
        assert not (
            found.probabilities == from_arrow(prune_checkpoint(task, wanted(0.9))[f"{split}.arrow"]).probabilities
        ).all()
    assert measured(parts)["accuracy"] == pytest.approx(
        (
            from_arrow(parts["validation.arrow"]).probabilities.argmax(1) == IMAGES.labels[IMAGES.rows("validation")]
        ).mean()
    )
    assert "test" not in parts[layout.METRICS].decode()


def test_a_channel_pruned_net_has_a_smaller_file_and_fewer_operations() -> None:
    task, _ = make_task(model={"width": 8})
    dense, small = (measured(prune_checkpoint(task, wanted(share, 1, "channel"))) for share in (0.0, 0.5))
    zeroed = measured(prune_checkpoint(task, wanted(0.5, 1)))
    assert small["size_bytes"] < 0.6 * dense["size_bytes"] == 0.6 * zeroed["size_bytes"]
    # Two blocks of 8 and 16 channels on 8 x 8 pixels of 3 channels, then 16 x 2 x 2 inputs: half the channels are left.
    assert dense["flops"] == 2 * (64 * 8 * 27 + 16 * 16 * 72 + 3 * 64) == zeroed["flops"]
    assert small["flops"] == 2 * (64 * 4 * 27 + 16 * 8 * 36 + 3 * 32) == small["nonzero_flops"]
    assert kept_channels(8, 0.5) == 4


def test_residual_nets_are_pruned_by_magnitude_alone() -> None:
    task, _ = make_task(model={"residual": True})
    assert (
        measured(prune_checkpoint(task, wanted(0.5)))["nonzero"]
        < 0.6 * measured(prune_checkpoint(task, wanted(0.0)))["nonzero"]
    )
    with pytest.raises(ModelUnusable, match=r"model\.residual"):
        prune_checkpoint(task, wanted(0.5, method="channel"))


def test_weights_of_another_model_are_refused() -> None:
    task, _ = make_task()
    other = make_config(model={"width": 8})
    with pytest.raises(CheckpointMismatch, match="of another model"):
        prune_checkpoint(PruningTask(other, task.weights, PLACED, task.labels_sha256), wanted(0.5))
    with pytest.raises(CheckpointMismatch, match="no safetensors file"):
        prune_checkpoint(PruningTask(task.config, b"nothing", PLACED, task.labels_sha256), wanted(0.5))
