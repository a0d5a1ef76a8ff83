"""Rebuilds the net of a checkpoint from its configuration and its weights."""

from __future__ import annotations

import contextlib

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from trainables.config.trial import TrialConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import CheckpointMismatch
from trainables.models.boosted import build_net
from trainables.plugins.kind import is_plugin


def check_model(net: nn.Module, stored: dict[str, Tensor]) -> None:
    """Raise `CheckpointMismatch` unless `stored` has the names and shapes of the tensors of `net`."""
    theirs = {name: tuple(value.shape) for name, value in stored.items()}
    ours = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    for name in [*ours, *theirs]:
        there, here = theirs.get(name, "missing"), ours.get(name, "missing")
        if there != here:
            raise CheckpointMismatch(f"its weights are of another model: {name} is {there} there and {here} here")


def load_net(config: TrialConfig, shape: ImageShape, weights: bytes) -> nn.Module:
    """The net with the tensors of `weights`, a safetensors file; on the CPU, and in training mode like every new net.

    Raises `CheckpointMismatch` where `weights` belong to another net.
    """
    try:
        tensors = load_tensors(weights)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointMismatch(f"its weights are no safetensors file ({error})") from None
    if not is_plugin(config.model.name):
        # A configuration of a few bytes can describe a net of terabytes: so shapes are checked first, which takes no memory.
        with torch.random.fork_rng(devices=[]), contextlib.suppress(NotImplementedError), torch.device("meta"):
            check_model(build_net(config, shape), tensors)
    net = build_net(config, shape)
    check_model(net, tensors)
    net.load_state_dict(tensors)
    return net
