"""The net of a checkpoint has the weights that were stored, or none."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load as load_tensors

from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.errors import CheckpointMismatch
from trainables.models.load import load_net
from trainables.training.training import Training

PLACED = place(make_images())
CONFIG = make_config()


def test_a_net_is_loaded_to_the_bit_whatever_its_seed_would_have_drawn() -> None:
    training = Training(CONFIG, PLACED)
    training.train_epoch()
    net = load_net(CONFIG.model_copy(update={"seed": 5}), PLACED.shape, training.weights())
    stored, found = load_tensors(training.weights()), net.state_dict()
    assert net.training
    assert stored.keys() == found.keys()
    assert all(torch.equal(value, stored[name]) for name, value in found.items())


def test_weights_of_another_net_are_refused() -> None:
    weights = Training(CONFIG, PLACED).weights()
    with pytest.raises(CheckpointMismatch, match="another model"):
        load_net(make_config(model={"width": 8}), PLACED.shape, weights)
    with pytest.raises(CheckpointMismatch, match="no safetensors"):
        load_net(CONFIG, PLACED.shape, b"\x80\x04rubbish")
