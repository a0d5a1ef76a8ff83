"""The device of a trial: the GPU that Ray has given it, or the CPU where it was given none."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from typing import TYPE_CHECKING

from trainables.errors import CaucusError

if TYPE_CHECKING:
    import torch

PRETEND = "CAUCUS_PRETEND_GPUS"
"""Set to 1 where a run is started, its trials train on the CPU of nodes whose GPUs are invented (`ray start --num-gpus=4`), for tests
and rehearsals."""


LEFT_ALONE = {
    "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "CUDA_VISIBLE_DEVICES",
    "RAY_EXPERIMENTAL_NOSET_HIP_VISIBLE_DEVICES": "HIP_VISIBLE_DEVICES",
}
"""With the first Ray is told to leave the second alone, by which it shows a worker its own GPUs and no others."""


HIDDEN = ("", "-1", "NoDevFiles")
"""Values of CUDA_VISIBLE_DEVICES with which a person hides all GPUs."""


class GpuMismatch(CaucusError, RuntimeError):
    """Ray and torch do not agree on whether a node has a GPU."""


def pretends_gpus() -> bool:
    """Whether the person who started this process says that GPUs are invented."""
    return os.environ.get(PRETEND, "") not in ("", "0")


def restrict_to_assigned_gpus(given: Iterable[str]) -> None:
    """Let this process see the GPUs alone that Ray has `given` it, where Ray was told not to see to that.

    Else all trials of a node would train on its first GPU. To be called before torch looks for any.
    """
    if own := ",".join(sorted(given)):
        for told, variable in LEFT_ALONE.items():
            if os.environ.get(told):
                os.environ[variable] = own


def choose_device(gpus: float | None, *, is_explicit: bool = True, is_pretended: bool = False) -> torch.device:
    """The device for a trial that Ray has given `gpus` GPUs or a share of one; None where no Ray is asked: what torch sees.

    Ray sets CUDA_VISIBLE_DEVICES where it gives a GPU, or `restrict_to_assigned_gpus` does, so `cuda` is the trial's own. Where it gives none it leaves the variable
    alone: torch then sees all GPUs of the node, which belong to other trials. `is_explicit` says whether the sweep itself names the
    number of GPUs. Raises `GpuMismatch` where there is no GPU to use, and where one would lie idle that nobody counts.
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
    """One sentence: Ray has given a GPU that torch cannot use, and what to install."""
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
    """One sentence: there are GPUs that Ray does not count, `by` whom they are known, and what to do."""
    return (
        f"{by} {seen} GPU{'s' * (seen != 1)} on {platform.node()} (CUDA_VISIBLE_DEVICES={_visible()}), but Ray counts none there: start "
        "Ray with --num-gpus there, or install the driver's libnvidia-ml.so.1, by which Ray counts them (in a container: "
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility); or say resources.gpus=0 to train on the CPU"
    )


def _visible() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
