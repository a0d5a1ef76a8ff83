"""Checks a net with one batch, before a sweep spends hours on it: shapes, loss, gradients, and its cost."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import ModelUnusable
from trainables.models.build import build_model
from trainables.models.cost import estimate_step_bytes, trace
from trainables.models.pretrained import start_from
from trainables.plugins.kind import is_plugin

TWO_DEVICES = ("is not on the expected device", "Expected all tensors to be on the same device")
"""Parts of torch's messages where tensors are on two devices."""

IMAGES = 4
"""Images in the batch: more than one, for batch norm."""


@dataclass(frozen=True)
class ModelCheck:
    """The costs of a net that passed: its parameters, and time and memory of one step over `images`."""

    parameters: int
    images: int
    step_s: float
    step_bytes: int
    only_on_cpu: str = ""
    """Why a user-defined net would fail on any other device, in a sentence; "" where no problem was found."""


def check_model(config: ModelConfig, shape: ImageShape, initial: bytes | None = None) -> ModelCheck:
    """Build the net and take one step over random images. Raises `ModelUnusable`, which says what to repair.

    The net must return logits (images, classes) with a finite loss, have a finite gradient for each parameter, and tensors that a
    checkpoint can store: no two names for one tensor.
    """
    where = f"model.name is {config.name}"
    net = build_model(config, shape, seed=0)
    if initial is not None:
        start_from(net, initial)
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise ModelUnusable(f"{where}: it has no parameters to train: return a net with some")
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(IMAGES, shape.channels, shape.height, shape.width, generator=generator)
    labels = torch.arange(IMAGES) % shape.classes
    net.train()
    start_s = time.perf_counter()
    try:
        logits = net(images)
    except Exception as error:
        raise ModelUnusable(
            f"{where}: given images of shape {tuple(images.shape)} it raised {type(error).__name__}: "
            f"{' '.join(str(error).split())}"
        ) from error
    expected = (IMAGES, shape.classes)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != expected:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelUnusable(
            f"{where}: of {IMAGES} images in {shape.classes} classes it returns {found}, but logits are {expected}: "
            "give its last layer `shape.classes` outputs and return them alone"
        )
    loss = functional.cross_entropy(logits.float(), labels)
    if not math.isfinite(loss.item()):
        raise ModelUnusable(f"{where}: its loss on fresh weights is {loss.item()}: correct its initialisation")
    if not loss.requires_grad:
        raise ModelUnusable(f"{where}: its logits know no gradient: do not detach them")
    loss.backward()  # type: ignore[no-untyped-call]
    step_s = time.perf_counter() - start_s
    for name, parameter in net.named_parameters():
        if parameter.requires_grad and parameter.grad is None:
            raise ModelUnusable(
                f"{where}: no gradient reaches {name}: use it in `forward`, remove it, or set its requires_grad to False"
            )
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            raise ModelUnusable(
                f"{where}: the gradient of {name} is no finite number on fresh weights: correct its initialisation"
            )
    try:
        save({name: value.detach().contiguous() for name, value in net.state_dict().items()})
    except (RuntimeError, ValueError) as error:
        raise ModelUnusable(
            f"{where}: a checkpoint cannot hold its tensors ({' '.join(str(error).split())}): two names must not share one"
        ) from error
    parameters = sum(parameter.numel() for parameter in net.parameters())
    _, saved_bytes = trace(net.eval(), shape)
    step_bytes = estimate_step_bytes(net, shape, IMAGES, optimizer_bytes=4 * parameters, saved_bytes=saved_bytes)
    return ModelCheck(
        parameters, IMAGES, step_s, step_bytes, find_device_fault(net, images) if is_plugin(config.name) else ""
    )


def find_device_fault(net: nn.Module, images: Tensor) -> str:
    """Why a net that works on the CPU would fail on a GPU, found without one; "" where no problem was found.

    The net runs on torch's `meta` device, which computes only shapes, by CUDA's rules for tensors on two devices. Operations that
    this device does not support, such as reading a value, are no evidence.
    """
    try:
        copy.deepcopy(net).to("meta")(images.to("meta"))
    except Exception as error:
        if any(text in str(error) for text in TWO_DEVICES):
            return (
                "on a GPU it would fail in every trial, for its `forward` mixes tensors of two devices: make tensors where the images are "
                "(torch.zeros(…, device=images.device)), or register them with register_buffer"
            )
    return ""
