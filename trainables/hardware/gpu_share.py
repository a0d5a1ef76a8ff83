"""The device of a trial: the GPU that Ray has assigned to it, or the CPU where Ray has assigned none."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from typing import TYPE_CHECKING

from trainables.errors import CaucusError

if TYPE_CHECKING:
    import torch

PRETEND = "CAUCUS_PRETEND_GPUS"
"""Environment variable for tests and rehearsals. If it is 1 where a run is started, trials train on the CPU of nodes whose GPUs
are simulated (`ray start --num-gpus=4`)."""


LEFT_ALONE = {
    "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "CUDA_VISIBLE_DEVICES",
    "RAY_EXPERIMENTAL_NOSET_HIP_VISIBLE_DEVICES": "HIP_VISIBLE_DEVICES",
}
"""With the first variable set, Ray leaves the second one alone, by which it otherwise shows a worker only the GPUs assigned to it."""


HIDDEN = ("", "-1", "NoDevFiles")
"""Values of CUDA_VISIBLE_DEVICES that hide all GPUs."""


class GpuMismatch(CaucusError, RuntimeError):
    """Ray and torch do not agree on whether a node has a GPU."""


def pretends_gpus() -> bool:
    """Whether this process was started with simulated GPUs."""
    return os.environ.get(PRETEND, "") not in ("", "0")


def restrict_to_assigned_gpus(assigned: Iterable[str]) -> None:
    """Restrict this process to the GPUs that Ray has `assigned` to it, where Ray is configured not to do so itself.

    Otherwise all trials of a node would train on its first GPU. Call this before torch initialises CUDA.
    """
    if visible := ",".join(sorted(assigned)):
        for switch, variable in LEFT_ALONE.items():
            if os.environ.get(switch):
                os.environ[variable] = visible


def choose_device(gpus: float | None, *, is_explicit: bool = True, is_pretended: bool = False) -> torch.device:
    """The device for a trial to which Ray has assigned `gpus` GPUs or a share of one. None stands for no Ray: the device is
    what torch sees.

    Where Ray assigns a GPU, it or `restrict_to_assigned_gpus` sets CUDA_VISIBLE_DEVICES, so `cuda` is the trial's GPU. Where it
    assigns none it leaves the variable alone: torch then sees all GPUs of the node, which belong to other trials. `is_explicit`
    is true if the sweep itself sets the number of GPUs. Raises `GpuMismatch` where there is no usable GPU, and where a GPU that
    Ray does not count would stay idle.
    """
    import torch

    sees = torch.cuda.is_available()
    if gpus is None:
        return torch.device("cuda" if sees else "cpu")
    if is_pretended:
        return torch.device("cuda" if sees and gpus else "cpu")
    if gpus and not sees:
        raise GpuMismatch(describe_unseen_gpu(gpus, torch.__version__, torch.version.cuda or torch.version.hip))
    if not gpus and sees and not is_explicit:
        raise GpuMismatch(describe_uncounted_gpus(torch.cuda.device_count()))
    return torch.device("cuda" if gpus else "cpu")


def describe_unseen_gpu(gpus: float, torch_version: str, built_for: str | None) -> str:
    """One sentence that says that torch cannot use the GPU that Ray has assigned, and what to install."""
    remedy = (
        f"install an NVIDIA driver there that is new enough for CUDA {built_for} (`nvidia-smi` shows it), or give the container its GPUs"
        if built_for
        else "this torch is built for the CPU alone: install one that is built for CUDA there"
    )
    return (
        f"Ray gives a trial {gpus:g} GPU{'s' * (gpus > 1)} on {platform.node()} (CUDA_VISIBLE_DEVICES={_visible()}), but torch {torch_version} "
        f"there sees none: {remedy}; or say resources.gpus=0 to train on the CPU ({PRETEND}=1 for a rehearsal with invented GPUs)"
    )


def describe_uncounted_gpus(seen: int, by: str = "torch sees") -> str:
    """One sentence that says that Ray does not count the GPUs there, and what to do; `by` names who has seen them."""
    return (
        f"{by} {seen} GPU{'s' * (seen != 1)} on {platform.node()} (CUDA_VISIBLE_DEVICES={_visible()}), but Ray counts none there: start "
        "Ray with --num-gpus there, or install the driver's libnvidia-ml.so.1, by which Ray counts them (in a container: "
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility); or say resources.gpus=0 to train on the CPU"
    )


def _visible() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
