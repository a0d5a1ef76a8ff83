"""Whether the images, and this machine, allow what a sweep makes of pixels: `data.equalise` and `data.normalise`."""

from __future__ import annotations

from runner.config.sweep import SweepSpec
from runner.preflight.augment_keys import possible_values
from trainables.config.preparation import PreparationConfig
from trainables.data.equalise import check_equalise
from trainables.models.normalisation import check_channels


def check_pixels(spec: SweepSpec, height: int, width: int, channels: int) -> None:
    """Raise `DataError` or `ModelUnusable` where a trial could not begin for one of these keys; a sentence says which."""
    values = {key: {getattr(spec.data, key)} for key in PreparationConfig.model_fields}
    for _, method in spec.search.parts:
        for key, value in possible_values(method):
            if key.removeprefix("data.") in values and key.startswith("data."):
                values[key.removeprefix("data.")].add(value)
    for kind in sorted(values["equalise"]):
        check_equalise(kind, height, width)
    if "model" in values["normalise"]:
        check_channels(channels)
