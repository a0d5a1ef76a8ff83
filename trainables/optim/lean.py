"""torch's optimizers without torch's compiler, which they import though nothing is compiled.

`torch.optim` imports `torch._dynamo` when the first optimizer is built: 2.5 s of the processor in each worker, beside 3.1 s for torch
itself (torch 2.15). These classes take the same steps, bit for bit.
"""

from __future__ import annotations

import inspect
from typing import TypeVar

import torch

Kind = TypeVar("Kind", bound=type[torch.optim.Optimizer])


def _lean(kind: Kind) -> Kind:
    """A subclass whose methods are those of `kind` as they are written, under `no_grad` where a step is taken."""
    for name, method in inspect.getmembers(torch.optim.Optimizer, inspect.isfunction):
        written = getattr(method, "__wrapped__", None)
        # Where torch has decorated a method so that a compiler leaves it alone, it looks here for the decorated one, and imports
        # the compiler where there is none. Nothing of ours compiles a step.
        if written is not None and name != "step" and not hasattr(written, "__dynamo_disable"):
            setattr(written, "__dynamo_disable", written)
    step = torch.no_grad()(inspect.unwrap(kind.step))
    # torch's own docstring has examples that run only beside a model, and doctest would take them for ours.
    doc = f"`torch.optim.{kind.__name__}`, which does not import torch's compiler."
    found: Kind = type(kind.__name__, (kind,), {"step": step, "__doc__": doc})  # type: ignore[assignment]
    return found


SGD = _lean(torch.optim.SGD)
Adam = _lean(torch.optim.Adam)
AdamW = _lean(torch.optim.AdamW)
RMSprop = _lean(torch.optim.RMSprop)
