"""Whether the images, and this machine, allow what a sweep makes of pixels: `data.equalise` and `data.normalise`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from runner.config.sweep import SweepSpec
from runner.preflight.augment_keys import possible_values
from trainables.config.preparation import PreparationConfig
from trainables.data.equalise import check_equalise
from trainables.data.mapped import find_file
from trainables.errors import DataError
from trainables.models.normalisation import check_channels


def check_pixels(spec: SweepSpec, pixels: npt.NDArray[np.uint8]) -> None:
    """Raise `DataError` or `ModelUnusable` where a trial could not begin for one of these keys; a sentence says which.

    `pixels` are those of all images, uint8 (images, height, width, channels).
    """
    height, width, channels = pixels.shape[1:]
    values = {key: {getattr(spec.data, key)} for key in PreparationConfig.model_fields}
    for _, method in spec.search.parts:
        for key, value in possible_values(method):
            if key.removeprefix("data.") in values and key.startswith("data."):
                values[key.removeprefix("data.")].add(value)
    for kind in sorted(values["equalise"]):
        check_equalise(kind, height, width)
        if kind != "none" and find_file(pixels) is not None:
            raise DataError(
                f"data.equalise is {kind}, which makes a copy of all images in memory, but they lie on the disk because they do not fit "
                f"there ({pixels.nbytes / 2**30:,.1f} GiB): lower data.size or data.train, or leave data.equalise out"
            )
    if "model" in values["normalise"]:
        check_channels(channels)
