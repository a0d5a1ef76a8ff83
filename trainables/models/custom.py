"""User-defined models: `model.name: module:function`.

    def build(shape, width=32, depth=3):
        '''`shape.height`, `.width`, `.channels`, `.classes`; returns a `torch.nn.Module`.'''

is called with the shape of the images and with those keys of `model.*` that its signature names. Keys of `cnn` are passed with
their defaults, others (`depth`) only where the sweep sets or searches them. `**keys` receives all of the latter. Random
initial weights follow from the trial: torch is seeded before the call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import ModelUnusable
from trainables.plugins.load import find_function

RESERVED = ("name", "weights")


def build_custom(config: ModelConfig, shape: ImageShape) -> nn.Module:
    """The net that the function `config.name` returns: float (images, channels, height, width) to logits (images, classes).

    Raises `ModelUnusable` where the function cannot be found, does not accept the sweep's keys, or returns no module.
    """
    function = find_function(config.name)
    keys = choose_keys(config, function)
    try:
        net = function(shape, **keys)
    except Exception as error:
        raise ModelUnusable(f"model.name is {config.name}: it raised {type(error).__name__}: {error}") from error
    if not isinstance(net, nn.Module):
        raise ModelUnusable(f"model.name is {config.name}: it returned {type(net).__name__}, no torch.nn.Module")
    return net


def choose_keys(config: ModelConfig, function: Callable[..., Any]) -> dict[str, Any]:
    """The keys of `model.*` for the call of `function`. Raises `ModelUnusable` where the sweep sets one that it does not accept."""
    try:
        _, *parameters = inspect.signature(function).parameters.values()
    except ValueError:
        raise ModelUnusable(
            f"model.name is {config.name}: it takes nothing, but is called with the shape of the images and keys"
        ) from None
    named = {one.name for one in parameters if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)}
    takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters)
    extra = config.model_extra or {}
    keys = {key: getattr(config, key) for key in ModelConfig.model_fields if key in named and key not in RESERVED}
    for key in [*extra, *(config.model_fields_set - extra.keys() - {*RESERVED})]:
        changed = key in extra or getattr(config, key) != ModelConfig.model_fields[key].default
        if changed and key not in named and not (takes_all and key in extra):
            raise ModelUnusable(
                f"model.{key} is {getattr(config, key)!r}, but {config.name} takes no {key}: it takes "
                f"{', '.join(sorted(named)) or 'no keys'}; name it in its signature or remove the key"
            )
    return keys | extra
