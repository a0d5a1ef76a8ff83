"""Predictions of a stored checkpoint for images outside the splits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainables.config.trial import TrialConfig
from trainables.results.checkpoint import CheckpointId, read_part
from trainables.store import layout
from trainables.store.base import Store
from trainables.training.device_images import DeviceImages, equalise_images, show_as_validation
from trainables.training.training import Training


def predict_images(
    store: Store,
    checkpoint: CheckpointId,
    config: TrialConfig,
    images: DeviceImages,
    pixels: npt.NDArray[np.uint8],
) -> npt.NDArray[np.float32]:
    """Class probabilities float32 (images, classes) of a checkpoint for `pixels`, computed like those for a split.

    `images` is the image set of the trial. Raises `ObjectMissing`, `DamagedObject`, `DataError` and `OutOfMemory`.
    """
    weights = read_part(store, checkpoint, layout.WEIGHTS)
    optimizer_state = read_part(store, checkpoint, layout.OPTIMIZER)
    # In the place of validation, so that they are predicted in the same way as the checkpoint's stored predictions.
    prepared = equalise_images(images, config.data.equalise)  # held for the next checkpoint
    training = Training(config, show_as_validation(prepared, pixels))
    training.restore(checkpoint.epoch, weights, optimizer_state)
    return training.evaluate("validation").probabilities
