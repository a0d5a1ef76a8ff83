"""Torch's optimizers with L1, decoupled decay and clipping, and the conversion of their state to named tensors and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainables.config.training import OptimizerConfig
from trainables.errors import CheckpointMismatch
from trainables.optim import lean

_ADAM = {"exp_avg", "exp_avg_sq", "step"}

BUFFERS = {"sgd": {"momentum_buffer"}, "adam": _ADAM, "adamw": _ADAM, "rmsprop": {"square_avg", "step"}}
"""The buffers of each optimizer for a parameter; `sgd` without momentum has none. A checkpoint of `adam` fits `adamw`."""


def build_optimizer(config: OptimizerConfig, net: nn.Module) -> torch.optim.Optimizer:
    """The optimizer over all parameters of `net` that require a gradient. L1 and L2 spare biases and norms (all tensors of one
    dimension), unless `decay_all` is set.

    Operations that torch's step does not have are registered as hooks, so `step()` does everything. In this order: the gradient
    of the loss is clipped; coupled L1 and L2 are added to it; decoupled L2 shrinks the weights by rate x weight_decay, as
    torch's AdamW does (Loshchilov and Hutter 2019); the optimizer's own step; decoupled L1 moves each weight towards
    zero by rate x l1 and stops there (the soft threshold; Duchi and Singer 2009). So L1 sets weights to exactly zero
    only where it is decoupled.
    """
    decoupled = config.decay == "decoupled" or (config.decay == "auto" and config.name == "adamw")
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in parameters if parameter.ndim > 1 or config.decay_all]
    spared = [parameter for parameter in parameters if parameter.ndim <= 1 and not config.decay_all]
    by_torch = not decoupled or config.name in ("adam", "adamw")
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay if by_torch else 0.0},
        {"params": spared, "weight_decay": 0.0},
    ]
    optimizer = _build(config, [group for group in groups if group["params"]], decoupled)
    if config.clip:
        _clip(optimizer, parameters, config.clip)
    if config.l1 and not decoupled:
        _pull_gradient(optimizer, decayed, config.l1)
    if config.weight_decay and not by_torch:
        _shrink(optimizer, decayed, config.weight_decay)
    if config.l1 and decoupled:
        _soften(optimizer, decayed, config.l1)
    return optimizer


def _build(config: OptimizerConfig, groups: list[dict[str, Any]], decoupled: bool) -> torch.optim.Optimizer:
    if config.name == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return lean.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov, fused=True)
    if config.name == "rmsprop":  # has no fused form; on a GPU torch takes the foreach form by itself
        return lean.RMSprop(groups, lr=config.lr, alpha=config.alpha)
    kind = lean.AdamW if decoupled else lean.Adam
    return kind(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def _clip(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], limit: float) -> None:
    def clip(*_: object) -> None:
        torch.nn.utils.clip_grad_norm_(parameters, limit, foreach=True)

    optimizer.register_step_pre_hook(clip)


def _pull_gradient(optimizer: torch.optim.Optimizer, decayed: list[nn.Parameter], l1: float) -> None:
    @torch.no_grad()
    def pull(*_: object) -> None:
        moved: list[Tensor] = [parameter for parameter in decayed if parameter.grad is not None]
        gradients = [parameter.grad for parameter in moved if parameter.grad is not None]
        torch._foreach_add_(gradients, torch._foreach_sign(moved), alpha=l1)

    if decayed:
        optimizer.register_step_pre_hook(pull)


def _shrink(optimizer: torch.optim.Optimizer, decayed: list[nn.Parameter], weight_decay: float) -> None:
    @torch.no_grad()
    def shrink(stepping: torch.optim.Optimizer, *_: object) -> None:
        torch._foreach_mul_(list[Tensor](decayed), 1 - stepping.param_groups[0]["lr"] * weight_decay)

    if decayed:
        optimizer.register_step_pre_hook(shrink)


def _soften(optimizer: torch.optim.Optimizer, decayed: list[nn.Parameter], l1: float) -> None:
    @torch.no_grad()
    def soften(stepping: torch.optim.Optimizer, *_: object) -> None:
        threshold = stepping.param_groups[0]["lr"] * l1
        for parameter in decayed:
            parameter.copy_(nn.functional.softshrink(parameter, threshold))

    if decayed:
        optimizer.register_step_post_hook(soften)


def optimizer_tensors(optimizer: torch.optim.Optimizer, net: nn.Module) -> dict[str, Tensor]:
    """The buffers of `optimizer`, named `<parameter>/<buffer>`."""
    names = [name for name, _ in _ordered_parameters(optimizer, net)]
    return {
        f"{names[position]}/{buffer}": value.detach().contiguous()
        for position, buffers in optimizer.state_dict()["state"].items()
        for buffer, value in buffers.items()
        if value is not None
    }


def check_tensors(config: OptimizerConfig, net: nn.Module, tensors: Mapping[str, Tensor], epoch: int) -> None:
    """Raise `CheckpointMismatch` where `tensors`, from the end of `epoch`, are not the buffers of this optimizer for `net`."""
    kind = config.name
    trained = [name for name, parameter in net.named_parameters() if parameter.requires_grad]
    expected = {f"{name}/{buffer}" for name in trained for buffer in BUFFERS[kind]}
    may_be_empty = epoch == 0 or kind == "sgd"  # which has no buffers without momentum
    if tensors.keys() != expected and (tensors or not may_be_empty):
        found = ", ".join(sorted({key.rsplit("/", 1)[-1] for key in tensors})) or "nothing"
        raise CheckpointMismatch(
            f"its optimizer is another one: it keeps {found} of a parameter, {kind} keeps {', '.join(sorted(BUFFERS[kind]))}"
        )


def restore_tensors(optimizer: torch.optim.Optimizer, net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`. Rates, momentum, betas and decay of `optimizer` stay as they are."""
    if isinstance(optimizer, torch.optim.SGD) and not optimizer.defaults["momentum"]:
        tensors = {}  # those of a parent with momentum: stored unused, they would take effect again in a grandchild
    places = {name: (at, parameter) for at, (name, parameter) in enumerate(_ordered_parameters(optimizer, net))}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, buffer = key.rsplit("/", 1)
        position, parameter = places[name]
        if value.shape == parameter.shape:
            # The fused optimizers walk parameter and buffer in the order of memory, without asking for their
            # strides: a buffer in another format than its channels_last parameter is silently mixed up.
            value = torch.empty_like(parameter).copy_(value)
        state.setdefault(position, {})[buffer] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _ordered_parameters(optimizer: torch.optim.Optimizer, net: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Parameters by name in the optimizer's own order."""
    names = {parameter: name for name, parameter in net.named_parameters()}
    return [(names[parameter], parameter) for group in optimizer.param_groups for parameter in group["params"]]
