"""Magnitude pruning: the weights nearest to zero become zero, wherever in the net they are.

`torch.nn.utils.prune.global_unstructured` would choose the same ones, but refuses weights in channels_last, which are
what trains here, and names the tensors of the net anew.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def prunable_weights(net: nn.Module) -> list[Tensor]:
    """The weights that can be pruned: those of convolutions and linear layers, each tensor once.

    The first and the last layer's are among them, as in Han et al. (2015): in a small net the last one may hold most
    weights. Biases and norms are not: they are few, and each of them moves a whole channel.
    """
    weights = (module.weight for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear))
    return list(dict.fromkeys(weights))


@torch.no_grad()
def prune_magnitude(net: nn.Module, sparsity: float) -> None:
    """Set the share `sparsity` of the prunable weights to zero, in place: those of smallest magnitude in the whole net.

    One threshold for all layers (Han et al. 2015 take one a layer, from its standard deviation; a global one keeps more
    accuracy, Blalock et al. 2020). The count is rounded; of equals the first go. A layer of small weights may lose all.
    """
    weights = prunable_weights(net)
    if not weights:
        return
    sizes = torch.cat([weight.abs().reshape(-1) for weight in weights])
    goes = torch.zeros_like(sizes, dtype=torch.bool)
    goes[torch.sort(sizes, stable=True).indices[: round(sparsity * len(sizes))]] = True
    for weight, mine in zip(weights, torch.split(goes, [weight.numel() for weight in weights]), strict=True):
        weight.masked_fill_(mine.reshape(weight.shape), 0.0)


def freeze_zeros(net: nn.Module) -> None:
    """Weights that are zero now stay zero in every later training of `net`, with an optimizer that begins afresh; frozen ones do anyway.

    Their gradients are held at zero, so momentum and second moments begin at zero and stay there, and decay of any kind
    has nothing to shrink. Clipping sees the gradient of what is left alone.
    """
    for weight in prunable_weights(net):
        mask = weight.detach() != 0
        if weight.requires_grad and not mask.all():
            weight.register_hook(_Masked(mask))  # type: ignore[no-untyped-call]


class _Masked:
    def __init__(self, mask: Tensor) -> None:
        self._mask = mask

    def __call__(self, gradient: Tensor) -> Tensor:
        # Not a product: an infinite gradient times zero is no number.
        return torch.where(self._mask, gradient, 0.0)
