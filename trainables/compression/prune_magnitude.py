"""Global magnitude pruning: the weights of smallest magnitude in the whole net become zero.

`torch.nn.utils.prune.global_unstructured` would select the same weights, but it refuses weights in channels_last, which are
used in training here, and renames the tensors of the net.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def prunable_weights(net: nn.Module) -> list[Tensor]:
    """The weights that can be pruned: those of convolutions and linear layers, each tensor once.

    They include those of the first and the last layer, as in Han et al. (2015): in a small net the last one may have most
    weights. Biases and norms are not included: they are few, and each of them affects a whole channel.
    """
    weights = (module.weight for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear))
    return list(dict.fromkeys(weights))


@torch.no_grad()
def prune_magnitude(net: nn.Module, sparsity: float) -> None:
    """Set the share `sparsity` of the prunable weights to zero, in place: those of smallest magnitude in the whole net.

    One threshold holds for all layers (Han et al. 2015 take one a layer, from its standard deviation; a global one keeps more
    accuracy, Blalock et al. 2020). The count is rounded; of equals the first are pruned. A layer of small weights may lose all.
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
    """Keep the weights that are zero now at zero in later training of `net` with a new optimizer. Frozen weights need no hook.

    Their gradients are masked, so momentum and second moments start at zero and stay there, and decay of any kind leaves them at
    zero. Clipping takes only the gradients of the other weights into account.
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
