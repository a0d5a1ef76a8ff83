"""The costs of a net: parameters, arithmetic, time and memory, measured once at the beginning of a trial.

They come from a few predictions in evaluation mode, which change nothing and use no random numbers: a trial trains to the same
bits with and without them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from trainables.data.image_shape import ImageShape
from trainables.hardware.device import module_of, wait_for
from trainables.results.record import TrialCost

REPEATS = 3
"""Repetitions of a measurement, of which the fastest counts: other load can only add to it."""

SLOW_S = 0.02
"""A measurement above this is not repeated."""

BATCH, BATCH_S = 64, 0.2
"""Images in the timed batch; fewer for a net that would take longer than `BATCH_S`."""


_known: dict[Hashable, TrialCost] = {}


def measure_once(key: Hashable, measure: Callable[[], TrialCost]) -> TrialCost:
    """The result of `measure`, cached in this process by `key`, which names an architecture and its circumstances."""
    if key not in _known:
        _known[key] = measure()
    return _known[key]


def begin_peak(device: torch.device) -> None:
    """Reset the device's statistics of peak memory, if it has them."""
    if device.type != "cpu":
        module_of(device).reset_peak_memory_stats(device)


def measured_peak(device: torch.device) -> int | None:
    """Peak of allocated bytes since `begin_peak`; None on a CPU, which does not measure it."""
    return int(module_of(device).max_memory_allocated(device)) if device.type != "cpu" else None


def measure_cost(
    net: nn.Module,
    shape: ImageShape,
    batch_size: int,
    optimizer_bytes: int,
    autocast: torch.dtype | None = None,
    measured_bytes: int | None = None,
) -> TrialCost:
    """The costs of `net` on its device, for prediction and for a training step over `batch_size` images.

    `optimizer_bytes` is the size of the optimizer's buffers, `autocast` the precision of convolutions, `measured_bytes` the peak
    memory of a step where the device measures it: else it is estimated, see `estimate_step_bytes`. `net` is not changed.
    """
    device = next(net.parameters()).device
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        with torch.autocast(device.type, autocast, enabled=autocast is not None):
            flops, saved_bytes = trace(net, shape)
            with torch.inference_mode():
                one_s = _fastest_s(net, _images(1, shape, device))
                batch = max(1, min(BATCH, int(BATCH_S / max(one_s, 1e-9))))
                batch_s = _fastest_s(net, _images(batch, shape, device))
    finally:
        for module, was_training in modes.items():
            module.training = was_training
    return TrialCost(
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        flops=flops,
        latency_s=one_s,
        batch=batch,
        batch_latency_s=batch_s,
        step_bytes=measured_bytes or estimate_step_bytes(net, shape, batch_size, optimizer_bytes, saved_bytes),
        step_bytes_measured=measured_bytes is not None,
    )


class FlopCount(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts like torch's FlopCounterMode, whose first use in a process takes 2 s to import torch's compiler."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch imports the compiler in order to skip it

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Counts each operation that is dispatched to the device."""
        made = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=made))
        return made


def trace(net: nn.Module, shape: ImageShape) -> tuple[int, int]:
    """For one image: floating-point operations of its prediction, and bytes that are saved for the backward pass.

    Operations are those of convolutions, matrix products and attention; a multiplication and an addition count as two, as in
    torch.utils.flop_counter. `net` must be in evaluation mode.
    """
    parameter_storage = {value.untyped_storage().data_ptr() for value in [*net.parameters(), *net.buffers()]}
    saved: dict[int, int] = {}

    def record_saved(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameter_storage:
            saved[storage.data_ptr()] = storage.nbytes()
        return (
            tensor.detach()
        )  # its graph would reference itself for ever: a leak of 8 KB for each of the smallest architectures

    device = next(net.parameters()).device
    with (
        torch.enable_grad(),
        FlopCount() as counter,
        saved_tensors_hooks(record_saved, lambda tensor: tensor),
    ):
        output = net(_images(1, shape, device))  # saved tensors live as long as this, so no address is used twice
    del output
    return counter.flops, sum(saved.values())


def estimate_step_bytes(
    net: nn.Module, shape: ImageShape, batch_size: int, optimizer_bytes: int, saved_bytes: int
) -> int:
    """Memory of a training step: weights, gradients and optimizer, and for each image the tensors saved for the backward pass.

    Workspaces of convolutions, masks of dropout and fragmentation of the allocator are not included.
    """
    weights = sum(value.numel() * value.element_size() for value in [*net.parameters(), *net.buffers()])
    gradients = sum(value.numel() * value.element_size() for value in net.parameters() if value.requires_grad)
    image_bytes = 4 * shape.height * shape.width * shape.channels
    return weights + gradients + optimizer_bytes + batch_size * (image_bytes + saved_bytes)


def _images(count: int, shape: ImageShape, device: torch.device) -> Tensor:
    images = torch.zeros(count, shape.channels, shape.height, shape.width, device=device)
    return images.to(memory_format=torch.channels_last)


def _fastest_s(net: nn.Module, images: Tensor) -> float:
    took: list[float] = []
    while len(took) < REPEATS and (not took or took[-1] < SLOW_S):
        wait_for(images.device)
        start_s = time.perf_counter()
        net(images)
        wait_for(images.device)
        took.append(time.perf_counter() - start_s)
    return round(min(took), 7)
