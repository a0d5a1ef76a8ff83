"""User-defined models: `model.name: module:function`.

    def build(shape, width=32, depth=3):
        '''`shape.height`, `.width`, `.channels`, `.classes`; returns a `torch.nn.Module`.'''

is called with the shape of the images and with those keys of `model.*` that its signature names. Keys of `cnn` are passed with
their defaults, others (`depth`) only where the sweep sets or searches them. `**keys` receives all of the latter. Random
initial weights follow from the trial: torch is seeded before the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import ModelUnusable, PluginUnusable
from trainables.plugins.call import choose_keys, naming, refuse_unknown, takes
from trainables.plugins.kinds import MODEL

RESERVED = ("name", "weights")


def build_custom(config: ModelConfig, shape: ImageShape) -> nn.Module:
    """The net that the function `config.name` returns: float (images, channels, height, width) to logits (images, classes).

    Raises `ModelUnusable` where the function cannot be found, does not accept the sweep's keys, or returns no module.
    """
    try:
        function = MODEL.find(config.name)
        keys = _choose_keys(config, function)
    except PluginUnusable as error:
        raise ModelUnusable(str(error)) from error
    with naming(f"model.name is {config.name}", ModelUnusable):
        net = function(shape, **keys)
    if not isinstance(net, nn.Module):
        raise ModelUnusable(f"model.name is {config.name}: it returned {type(net).__name__}, no torch.nn.Module")
    return net


def _choose_keys(config: ModelConfig, function: Callable[..., Any]) -> dict[str, Any]:
    """The keys of `model.*` for the call of `function`. Raises `PluginUnusable` where the sweep sets one that it does not accept."""
    try:
        takes(function, 1)
    except TypeError:
        raise ModelUnusable(
            f"model.name is {config.name}: it takes nothing, but is called with the shape of the images and keys"
        ) from None
    extra = config.model_extra or {}
    known = {key: getattr(config, key) for key in ModelConfig.model_fields if key not in RESERVED}
    changed = {key: value for key, value in known.items() if value != ModelConfig.model_fields[key].default}
    refuse_unknown("model", extra, {config.name: (function, 1)})
    refuse_unknown("model", changed, {config.name: (function, 1)}, by_name=True)
    return choose_keys(function, 1, known, extra)
