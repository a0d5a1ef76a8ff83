"""The size of a pruned net: non-zero weights, bytes of its file, arithmetic."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainables.data.image_shape import ImageShape
from trainables.models.cost import trace

ZLIB_LEVEL = 6


@dataclass(frozen=True)
class PrunedSize:
    """The size of one net."""

    weights: int
    """Number of parameters, including biases and norms."""
    nonzero: int
    """Number of parameters that are not zero."""
    size_bytes: int
    """Size of the safetensors file."""
    compressed_bytes: int
    """Size of the same file after zlib (level 6): that of a download or an archive."""
    flops: int
    """Floating-point operations of the prediction of one image with dense arithmetic, which computes zeros, too."""
    nonzero_flops: int
    """Operations with a non-zero weight: those that sparse arithmetic would need."""


def measure_size(net: nn.Module, shape: ImageShape, file: bytes) -> PrunedSize:
    """The size of `net`, which must be in evaluation mode; `file` is its safetensors file."""
    parameters = [value.detach() for value in net.parameters()]
    return PrunedSize(
        weights=sum(value.numel() for value in parameters),
        nonzero=sum(int(torch.count_nonzero(value)) for value in parameters),
        size_bytes=len(file),
        compressed_bytes=len(zlib.compress(file, ZLIB_LEVEL)),
        flops=trace(net, shape)[0],
        nonzero_flops=count_nonzero_flops(net, shape),
    )


def count_nonzero_flops(net: nn.Module, shape: ImageShape) -> int:
    """Operations for one image: two, a multiplication and an addition, for each non-zero weight of a convolution or a linear
    layer, at each position where it is used. Other layers are not counted, as in `trace`.
    """
    counted: list[int] = []

    def count(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        places = output.numel() // layer.weight.shape[0]
        counted.append(2 * places * int(torch.count_nonzero(layer.weight)))

    hooks = [
        module.register_forward_hook(count) for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    device = next(net.parameters()).device
    try:
        with torch.inference_mode():
            net(torch.zeros(1, shape.channels, shape.height, shape.width, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counted)
