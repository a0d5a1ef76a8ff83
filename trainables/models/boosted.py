"""The net of a round of gradient boosting (Friedman 2001): the frozen nets of the previous rounds, and the net in training.

Friedman fits each new learner to the negative gradient of the loss at the sum of the previous ones, then searches its step. A
net is fitted by gradients anyway, so here it minimises the loss of the sum itself, as BoostCNN (Moghimi et al. 2016) and
GrowNet (Badirli et al. 2020) essentially do; the gradient that reaches it is softmax of the sum minus the label, which is
Friedman's. Unlike in GrowNet the new net's input is the image alone, its weight in the sum is fixed, and the previous nets are
not tuned again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn
from typing_extensions import override

from trainables.config.seed import derive_seed
from trainables.config.trial import TrialConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import CheckpointMismatch, StoreTooNew
from trainables.models.build import build_model
from trainables.results.newer_trial import NewerTrial


class BoostedNet(nn.Module):
    """The logits of the first net, plus `shrinkage` times those of each later net; only the last one is trained.

    The others stay in evaluation mode, whatever mode the module is in: without dropout, and with their batch-norm statistics.
    They need no gradients. Sums are float32, also where the nets compute in bfloat16.
    """

    def __init__(self, nets: Sequence[nn.Module], shrinkage: float) -> None:
        """`nets` in the order of their rounds, two or more."""
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.shrinkage = shrinkage
        for net in self.nets[:-1]:
            net.requires_grad_(False)
        self.train()

    @property
    def newest(self) -> nn.Module:
        """The net of this round."""
        return self.nets[-1]

    @override
    def train(self, mode: bool = True) -> BoostedNet:
        """Sets training or evaluation mode of the newest net alone."""
        super().train(mode)
        for net in self.nets[:-1]:
            net.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Float (images, channels, height, width) to logits float32 (images, classes)."""
        logits: Tensor = self.nets[0](images).float()
        for net in self.nets[1:]:
            logits = logits + self.shrinkage * net(images).float()
        return logits


def build_net(config: TrialConfig, shape: ImageShape) -> nn.Module:
    """The net of a trial, with initial weights that follow from its seed; for a later round of gradient boosting the sum of all nets.

    The nets of the previous rounds then still lack their weights, which `take_former` or a checkpoint sets. Raises
    `ModelUnusable`, and `StoreTooNew` for a trial of a newer version, which would be another net.
    """
    if isinstance(config, NewerTrial):
        raise StoreTooNew(
            f"trial {config.trial_id} is of a newer Caucus ({config.why}): its net is built by that version"
        )
    seed = derive_seed(config.seed, "weights")
    rounds = config.boost.round if config.boost.kind == "gradient" else 1
    nets = [build_model(config.model, shape, seed) for _ in range(rounds)]
    return BoostedNet(nets, config.boost.shrinkage) if rounds > 1 else nets[0]


def trained_part(net: nn.Module) -> nn.Module:
    """The part of `net` that is trained: the newest net of a round of gradient boosting, else the whole net."""
    return net.newest if isinstance(net, BoostedNet) else net


@torch.no_grad()
def take_former(net: BoostedNet, weights: bytes) -> None:
    """Load the weights of the previous round, a safetensors file, into all nets but the newest.

    Raises `CheckpointMismatch`, with `net` unchanged, where the file has another number of nets, or nets of another model.
    """
    try:
        stored = load_tensors(weights)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointMismatch(f"its weights are no safetensors file ({error})") from None
    if len(net.nets) == 2:  # the first round is a plain net
        stored = {f"nets.0.{name}": value for name, value in stored.items()}
    mine = f"nets.{len(net.nets) - 1}."
    expected = {name: value for name, value in net.state_dict().items() if not name.startswith(mine)}
    _check(expected, stored, len(net.nets) - 1)
    for name, value in expected.items():
        value.copy_(stored[name])


def _check(expected: Mapping[str, Tensor], stored: Mapping[str, Tensor], rounds: int) -> None:
    for name in [*expected, *stored]:
        here, there = (tuple(each[name].shape) if name in each else "missing" for each in (expected, stored))
        if here != there:
            raise CheckpointMismatch(
                f"its weights are not those of {rounds} round(s) of this model: {name} is {there} there and {here} here"
            )
