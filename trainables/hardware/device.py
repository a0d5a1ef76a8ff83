"""The device that trains: how torch is configured for it, and whether it still works."""

from __future__ import annotations

import os
from typing import Any

import torch

from trainables.errors import DeviceFault
from trainables.hardware.gpu_share import choose_device


def open_device(
    threads: int | None = None, gpus: float | None = None, *, is_explicit: bool = True, is_pretended: bool = False
) -> torch.device:
    """The device of `choose_device`, with torch configured as in every slot: `threads` CPU threads, and deterministic sums.

    Raises `GpuMismatch` as `choose_device` does; torch is configured by then.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once by CUDA; without it its sums vary
    if threads is not None:
        torch.set_num_threads(threads)
    # As use_deterministic_algorithms(True, warn_only=True), which imports torch's compiler: 2 s that prediction can do without.
    torch.set_deterministic_debug_mode("warn")
    return choose_device(gpus, is_explicit=is_explicit, is_pretended=is_pretended)


def slot_threads() -> int:
    """Threads of a slot: the number of cores that Ray assigned to it; with more threads training runs at a tenth of the speed."""
    return max(1, int(os.environ.get("OMP_NUM_THREADS", "1")))


def name_device(device: torch.device) -> str:
    """The device's name in checkpoints: "cpu", or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def wait_for(device: torch.device) -> None:
    """Block until the device has finished all queued work. Raises the errors of kernels that failed meanwhile."""
    if device.type != "cpu":
        module_of(device).synchronize(device)


def check_device(device: torch.device, error: BaseException) -> None:
    """Raise `DeviceFault` where the device has stopped working since `error`.

    After an illegal access, a failed assertion in a kernel or a memory fault, CUDA fails every further call of the process.
    """
    try:
        wait_for(device)
    except RuntimeError as fault:
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DeviceFault(
            f"device {device} answers this process no more ({first}): only a new process can go on with it"
        ) from fault


def module_of(device: torch.device) -> Any:
    """Torch's module for devices of this kind, such as `torch.cuda`."""
    return torch.get_device_module(device)
