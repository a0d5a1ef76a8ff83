"""Which arithmetic a device is fast in."""

from __future__ import annotations

import torch


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto` as what this device is fast in: bfloat16 on AMX (2 to 3 times faster here) and on GPUs that have it.

    GPUs before Ampere, such as a T4, only emulate it, and torch counts that as support unless told otherwise.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_amx_tile_supported()
    return "bfloat16" if fast else "float32"
