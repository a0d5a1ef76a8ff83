"""The net of a checkpoint again, from its configuration and its weights."""

from __future__ import annotations

import contextlib

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import nn

from trainables.average import check_model
from trainables.boosted_net import build_net
from trainables.config import TrialConfig, is_own
from trainables.errors import CheckpointMismatch
from trainables.image_shape import ImageShape


def load_net(config: TrialConfig, shape: ImageShape, weights: bytes) -> nn.Module:
    """The net with the tensors of `weights`, a safetensors file; on the CPU, and in training mode as every new one.

    Raises `CheckpointMismatch` where `weights` are not of it.
    """
    try:
        tensors = load_tensors(weights)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointMismatch(f"its weights are no safetensors file ({error})") from None
    if not is_own(config.model.name):
        # A configuration of a few bytes can ask for a net of terabytes: so shapes first, which take no memory.
        with torch.random.fork_rng(devices=[]), contextlib.suppress(NotImplementedError), torch.device("meta"):
            check_model(build_net(config, shape), tensors)
    net = build_net(config, shape)
    check_model(net, tensors)
    net.load_state_dict(tensors)
    return net
