"""timm's classifiers by name, with random initial weights. timm is an extra: it is imported only where a model of it is named."""

from __future__ import annotations

from torch import nn

from trainables.config.model import ModelConfig
from trainables.data.image_shape import ImageShape
from trainables.distribution import install_command
from trainables.errors import ModelUnusable
from trainables.models.upsample import find_size, upsample_to


def build_timm(config: ModelConfig, shape: ImageShape) -> nn.Module:
    """The classifier after `timm/`: float (images, channels, height, width) to logits (images, classes).

    Images that are too small for it are upsampled. Raises `ModelUnusable` where timm is not installed, or has no such name.
    """
    try:
        import timm
    except ImportError:
        raise ModelUnusable(
            f"model.name is {config.name}, but timm is not installed: {install_command('timm')}, on all nodes"
        ) from None
    short = config.name.removeprefix("timm/")
    if not timm.is_model(short):
        import difflib

        near = difflib.get_close_matches(short, timm.list_models(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models()"
        raise ModelUnusable(f"model.name is {config.name}: timm has no classifier of that name; {hint}")

    def make() -> nn.Module:
        net: nn.Module = timm.create_model(short, pretrained=False, num_classes=shape.classes, in_chans=shape.channels)
        return net

    size = find_size(config.name, make, shape)
    return upsample_to(make(), size, shape)
