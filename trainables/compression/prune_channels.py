"""Channel pruning: whole channels of the plain `cnn` are removed, which gives a smaller net of the same kind."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import CheckpointMismatch, ModelUnusable
from trainables.models.cnn import build_cnn


def check_channels(config: ModelConfig, rounds: int = 1) -> None:
    """Raise `ModelUnusable` where channels of a net cannot be removed without changing the results of the others.

    `rounds` is the number of nets in the sum of a round of gradient boosting.
    """
    if rounds > 1:
        why = f"boost.round is {rounds}: a round of gradient boosting is a sum of nets, all of them frozen but one"
    elif config.name != "cnn":
        why = f"model.name is {config.name}: only of the plain cnn is it known which layers read a channel"
    elif config.residual:
        why = "model.residual is true: a channel that is added to another one cannot be taken out alone"
    elif config.group_norm:
        why = "model.group_norm is true: without a channel its group has other statistics"
    else:
        return
    raise ModelUnusable(f"channels cannot be taken out here, {why}; take --method magnitude")


def remove_channels(net: nn.Module, share: float) -> nn.Sequential:
    """A smaller copy of a plain `cnn` without the least important `share` of the channels of each layer.

    The channels are the filters of a convolution, and the neurons of a hidden dense layer; the same share of each layer is
    removed, rounded, and at least one channel stays (Li et al. 2017 prune the layers of a stage alike). Importance is the
    magnitude of the batch norm's scale where there is one, since it cancels the scale of a filter (Liu et al. 2017; their L1
    penalty on scales is not required: on four nets of digits at three shares this kept more accuracy than the L1 norm 9 times
    in 12, before fine-tuning); else the L1 norm of the filter's or the neuron's weights (Li et al. 2017). Of equals the first
    are kept. The outputs of the last layer are the classes, and the inputs of the first one the images' channels: both stay.
    """
    layers = list(_sequence(net))
    kept, channels = None, 0
    tensors = {name: value.detach() for name, value in net.state_dict().items()}
    smaller = dict(tensors)
    weighted = [number for number, layer in enumerate(layers) if isinstance(layer, nn.Conv2d | nn.Linear)]
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            weight = layer.weight.detach()
            if kept is not None:
                weight = weight[:, _spread(kept, weight.shape[1] // channels)]
            channels = len(weight)
            kept = None if number == weighted[-1] else _choose(layer, _norm_after(layers, number), share)
            smaller[f"{number}.weight"] = weight if kept is None else weight[kept]
            if layer.bias is not None:
                smaller[f"{number}.bias"] = layer.bias.detach() if kept is None else layer.bias.detach()[kept]
        elif isinstance(layer, nn.BatchNorm2d) and kept is not None:
            for name in ("weight", "bias", "running_mean", "running_var"):
                smaller[f"{number}.{name}"] = tensors[f"{number}.{name}"][kept]
    return fit_channels(net, smaller)


def fit_channels(net: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Sequential:
    """A copy of a plain `cnn` whose layers have the sizes and the values of `tensors`.

    Raises `CheckpointMismatch` where these do not belong to such a net.
    """
    layers: list[nn.Module] = []
    try:
        for number, layer in enumerate(_sequence(net)):
            weight = tensors.get(f"{number}.weight")
            resized = layer if weight is None else _resize(layer, weight)
            layers.append(copy.deepcopy(resized))
        fitted = nn.Sequential(*layers)
        fitted.load_state_dict({name: value.contiguous() for name, value in tensors.items()})
    except (RuntimeError, IndexError, ValueError) as error:
        raise CheckpointMismatch(f"its weights are of another model: {str(error).splitlines()[0]}") from None
    return fitted.train(net.training)


def load_smaller(config: ModelConfig, shape: ImageShape, tensors: Mapping[str, Tensor]) -> nn.Sequential:
    """The net of `config` after `remove_channels`, rebuilt from its weights. Raises as `fit_channels`."""
    with torch.random.fork_rng(devices=[]):
        return fit_channels(build_cnn(config, shape), tensors)


def kept_channels(size: int, share: float) -> int:
    """How many of `size` channels are left when `share` of them is removed.

    >>> kept_channels(16, 0.9), kept_channels(4, 0.95), kept_channels(8, 0)
    (2, 1, 8)
    """
    return max(1, size - round(share * size))


def _sequence(net: nn.Module) -> nn.Sequential:
    if not isinstance(net, nn.Sequential):
        raise ModelUnusable(f"channels cannot be taken out of a {type(net).__name__}, only of the plain cnn")
    return net


def _choose(layer: nn.Conv2d | nn.Linear, norm: nn.BatchNorm2d | None, share: float) -> Tensor:
    """Positions of the channels that are kept, ascending: int64 (channels,)."""
    weight = norm.weight if norm is not None else layer.weight
    importance = weight.detach().abs().flatten(1).sum(1) if weight.ndim > 1 else weight.detach().abs()
    order = torch.sort(importance, descending=True, stable=True).indices
    return order[: kept_channels(len(order), share)].sort().values


def _norm_after(layers: list[nn.Module], number: int) -> nn.BatchNorm2d | None:
    after = layers[number + 1] if number + 1 < len(layers) else None
    return after if isinstance(after, nn.BatchNorm2d) else None


def _spread(kept: Tensor, places: int) -> Tensor:
    """Positions of the inputs that come from `kept` channels: after a Flatten each channel has several consecutive inputs.

    >>> _spread(torch.tensor([0, 2]), 3).tolist()
    [0, 1, 2, 6, 7, 8]
    """
    return (kept[:, None] * places + torch.arange(places, device=kept.device)).flatten()


def _resize(layer: nn.Module, weight: Tensor) -> nn.Module:
    """A new layer like `layer` for weights of another shape."""
    if isinstance(layer, nn.Conv2d):
        return nn.Conv2d(
            weight.shape[1],
            weight.shape[0],
            kernel_size=layer.kernel_size,  # type: ignore[arg-type]
            stride=layer.stride,  # type: ignore[arg-type]
            padding=layer.padding,  # type: ignore[arg-type]
            bias=layer.bias is not None,
        )
    if isinstance(layer, nn.Linear):
        return nn.Linear(weight.shape[1], weight.shape[0], bias=layer.bias is not None)
    if isinstance(layer, nn.BatchNorm2d):
        return nn.BatchNorm2d(len(weight))
    return layer
