"""Rounds of boosting as trials: what the loss weighs, what a round leaves to the next, what a kill does not change."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.trainables.training.test_trial import advance, bits, failure
from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.config.training import OptimizerConfig
from trainables.config.trial import BoostConfig, ParentConfig
from trainables.optim.loss import Loss
from trainables.results.boost_table import BoostTable, boost_from_arrow, boost_to_arrow
from trainables.results.checkpoint import CheckpointId, read_part, write_checkpoint
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.training.device_images import choose_training_rows
from trainables.training.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = make_images()  # as those of tests/trainables/training/test_trial.py
PLACED = place(IMAGES)
EPOCHS = 3


def make_round(former=None, **keys):
    config = make_config(IMAGES.data_id, model={"width": 1, "dropout": 0.2}, lr=0.02, **keys)
    named = ParentConfig(trial_id=former.trial_id, epoch=EPOCHS) if former else None
    return config.model_copy(update={"boost": BoostConfig(kind="samme", former=named)})


FIRST = make_round()
SECOND = make_round(FIRST, seed=1)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    for name in ("PARENT_WAIT_S", "PARENT_POLL_S", "CHECKPOINT_WAIT_S", "CHECKPOINT_POLL_S"):
        monkeypatch.setattr(f"trainables.training.trial.{name}", 0.0)


def table_of(store, config, epoch=EPOCHS):
    return boost_from_arrow(read_part(store, CheckpointId(config.trial_id, epoch), layout.BOOST))


def test_a_weight_scales_the_loss_and_the_gradient_of_its_image():
    logits = torch.tensor([[1.0, 0.0, 2.0], [0.5, 0.5, 0.0]], requires_grad=True)
    labels = torch.tensor([0, 2])
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none").detach()
    loss = Loss(OptimizerConfig(), labels, 3)(logits, labels, weights=torch.tensor([3.0, 0.0]))
    assert loss.item() == pytest.approx(1.5 * losses[0].item())
    (gradient,) = torch.autograd.grad(loss, logits)
    alone = torch.autograd.grad(torch.nn.functional.cross_entropy(logits[:1], labels[:1]), logits)[0]
    assert torch.allclose(gradient, 1.5 * alone)


def test_with_equal_weights_a_round_trains_as_a_plain_trial_does():
    plain, weighed = Training(FIRST, PLACED), Training(FIRST, PLACED, image_weights=np.full(70, 1 / 70))
    for training in (plain, weighed):
        training.train_epoch()
    for name, value in plain._net.state_dict().items():
        assert torch.allclose(value, weighed._net.state_dict()[name], atol=1e-5)


def test_an_image_without_weight_moves_nothing():
    # the images of class 0 have no weight: a net that is shown other pixels in their place comes to the same weights
    weights = (IMAGES.labels[IMAGES.rows("train")] != 0).astype(np.float64)
    weights /= weights.sum()
    config = make_round(momentum=0.0)
    config = config.model_copy(update={"model": config.model.model_copy(update={"batch_norm": False})})
    other = make_images()
    of_class = [row for row in other.rows("train") if other.labels[row] == 0]
    changed = place(other)
    changed.pixels[of_class] = 7
    nets = []
    for images in (PLACED, changed):
        training = Training(config, images, image_weights=weights)
        training._images = replace(images, mean=PLACED.mean, std=PLACED.std)
        training.train_epoch()
        nets.append(training.weights())
    assert nets[0] == nets[1]


def test_a_round_leaves_the_weights_that_follow_from_its_own_errors(tmp_path):
    store = Folder(tmp_path)
    steps = advance(store, EPOCHS, FIRST)
    table = table_of(store, FIRST)
    rows = IMAGES.rows("train")
    assert table.rows.tolist() == rows.tolist()
    training = Training(FIRST, PLACED)
    parts = (
        read_part(store, CheckpointId(FIRST.trial_id, EPOCHS), part) for part in (layout.WEIGHTS, layout.OPTIMIZER)
    )
    training.restore(EPOCHS, *parts)
    wrong = training.find_wrong()
    assert 0 < wrong.sum() < 70  # else this shows nothing
    result = steps[-1].result
    assert result.round_error == pytest.approx(wrong.mean())
    odds = np.where(wrong, np.exp(result.round_weight), 1.0)
    assert table.weights == pytest.approx(odds / odds.sum())
    assert json.loads(read_part(store, CheckpointId(FIRST.trial_id, EPOCHS), layout.METRICS))["round_weight"] > 0


def test_a_later_round_is_trained_with_the_weights_of_the_one_before(tmp_path):
    store = Folder(tmp_path)
    advance(store, EPOCHS, FIRST)
    steps = advance(store, EPOCHS, SECOND)
    weights = table_of(store, FIRST).weights
    training = Training(SECOND, PLACED, image_weights=weights)
    for _ in range(EPOCHS):
        training.train_epoch()
    assert training.weights() == bits(store, SECOND)[EPOCHS]["weights.safetensors"]
    assert steps[-1].result.round_error == pytest.approx(weights[training.find_wrong()].sum())
    plain = make_config(IMAGES.data_id, model={"width": 1, "dropout": 0.2}, lr=0.02, seed=1)
    advance(store, EPOCHS, plain)
    assert bits(store, plain)[EPOCHS]["weights.safetensors"] != bits(store, SECOND)[EPOCHS]["weights.safetensors"]
    with pytest.raises(Exception, match=r"has no boost\.arrow"):
        table_of(store, plain)


def test_resumed_after_any_epoch_a_round_is_the_undisturbed_one_to_the_bit(tmp_path):
    whole = Folder(tmp_path / "whole")
    advance(whole, EPOCHS, FIRST)
    advance(whole, EPOCHS, SECOND)
    for cut in range(1, EPOCHS):
        store = Folder(tmp_path / str(cut))
        for config in (FIRST, SECOND):
            advance(store, cut, config)
            advance(store, EPOCHS - cut, config, epoch=cut)
            assert bits(store, config) == bits(whole, config)
            assert boost_to_arrow(table_of(store, config)) == boost_to_arrow(table_of(whole, config))


def test_a_round_that_lost_its_checkpoint_is_trained_to_the_same_weights_of_images(tmp_path):
    store = Folder(tmp_path)
    advance(store, EPOCHS, FIRST)
    before = table_of(store, FIRST).weights
    for path in (store.root / CheckpointId(FIRST.trial_id, EPOCHS).key("")).iterdir():
        path.unlink()
    advance(store, 1, FIRST, epoch=EPOCHS - 1)
    assert np.array_equal(table_of(store, FIRST).weights, before)


def test_a_round_without_the_one_before_fails_and_says_so(tmp_path):
    store = Folder(tmp_path)
    assert failure(store, SECOND) == (
        f"its former round {FIRST.trial_id}@3 is not in the store {tmp_path}, nor came within 0 s: "
        f"train {FIRST.trial_id} up to epoch 3 first, or name another round"
    )


def test_a_damaged_table_or_one_of_other_images_is_refused(tmp_path):
    store = Folder(tmp_path)
    advance(store, EPOCHS, FIRST)
    path = store.root / CheckpointId(FIRST.trial_id, EPOCHS).key(layout.BOOST)
    path.write_bytes(path.read_bytes()[:-9])
    assert "cannot be read" in failure(store, SECOND)
    table = BoostTable(IMAGES.data_id, np.arange(70, dtype=np.int32), np.full(70, 1 / 70))
    write_checkpoint(store, CheckpointId(FIRST.trial_id, EPOCHS), {layout.BOOST: boost_to_arrow(table)})
    assert "was trained on other images" in failure(store, SECOND)


def test_a_round_of_a_share_weighs_the_images_of_that_share(tmp_path):
    store = Folder(tmp_path)
    first = make_round(train_share=0.5)
    advance(store, EPOCHS, first)
    assert table_of(store, first).rows.tolist() == choose_training_rows(PLACED, 0.5).tolist()
    advance(store, 1, make_round(first, train_share=0.5, seed=1))


def test_the_round_before_is_part_of_a_trials_name():
    plain = make_config(IMAGES.data_id, model={"width": 1, "dropout": 0.2}, lr=0.02, seed=1)
    other = SECOND.model_copy(
        update={"boost": BoostConfig(kind="samme", former=ParentConfig(trial_id="0" * 12, epoch=3))}
    )
    assert len({plain.trial_id, SECOND.trial_id, other.trial_id, make_round(seed=1).trial_id}) == 4
    assert SECOND.flat()["boost.former"] == f"{FIRST.trial_id}@3"
