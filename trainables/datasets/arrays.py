"""Images that a program has in memory: arrays, or a `torch.utils.data.Dataset`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.data.images import ImageSet, hash_images
from trainables.errors import DataError
from trainables.splits.split import split_images

MEMORY = "arrays"
"""`data.name` of such images."""


def refuse_arrays() -> ImageSet:
    """Raises `DataError`: images of a program cannot be loaded again. It is the data source `arrays`."""
    raise DataError(
        "data.name is arrays: these images were handed over by a program, and are stored nowhere: let it hand them over "
        "again (`Sweep(data=(images, labels)).run()`)"
    )


def images_from_arrays(
    pixels: Any,
    labels: Any,
    class_names: Sequence[str] | None = None,
    *,
    validation: float = 0.15,
    test: float = 0.15,
    split_seed: int = 0,
) -> ImageSet:
    """An `ImageSet` of `pixels` (images, height, width) or (images, height, width, channels), with 1 or 3 channels.

    Pixels are uint8, or floats from 0 to 1; anything that numpy takes, torch's tensors too. `labels` are numbers of
    classes from 0, or names. Splits are dealt as those of a folder of images. Raises `DataError`.
    """
    images = to_pixels(pixels)
    numbers, names = _number_labels(labels, class_names)
    if len(numbers) != len(images):
        raise DataError(f"data has {len(images)} images and {len(numbers)} labels: give one label an image")
    splits = split_images(numbers, hash_images(images), validation, test, split_seed)
    ids = tuple(f"{number:06d}" for number in range(len(images)))
    return ImageSet(MEMORY, images, numbers, ids, names, splits)


def images_from_dataset(dataset: Any, **options: Any) -> ImageSet:
    """An `ImageSet` of all items `(image, label)` of a `torch.utils.data.Dataset`, with its `classes` where it has them.

    An image is what Pillow opens, an array (height, width[, channels]), or a float tensor (channels, height, width), as
    `ToTensor` makes it. All must be of one size. `options` are those of `images_from_arrays`. Raises `DataError`.
    """
    pairs = [dataset[position] for position in range(len(dataset))]
    if not pairs:
        raise DataError("data is a dataset without images")
    images = [_as_image(image) for image, _ in pairs]
    if len(shapes := {image.shape for image in images}) > 1:
        raise DataError(f"data has images of several shapes, {sorted(shapes)[:3]}: resize them to one")
    labels = [int(label) if not isinstance(label, str) else label for _, label in pairs]
    names = options.pop("class_names", None) or getattr(dataset, "classes", None)
    return images_from_arrays(np.stack(images), labels, names, **options)


def _as_image(image: Any) -> npt.NDArray[Any]:
    """One image, channels last."""
    found = np.asarray(image)
    is_tensor = type(image).__module__.partition(".")[0] == "torch"
    return np.moveaxis(found, 0, -1) if is_tensor and found.ndim == 3 and found.shape[0] in (1, 3) else found


def to_pixels(pixels: Any) -> npt.NDArray[np.uint8]:
    """`pixels` as uint8 (images, height, width, channels). Raises `DataError`."""
    found = np.asarray(pixels)
    if found.ndim == 3:
        found = found[..., None]
    if found.ndim != 4 or found.shape[3] not in (1, 3) or not found.size:
        raise DataError(
            f"data has pixels of shape {np.shape(pixels)}: (images, height, width) or (images, height, width, 1 or 3) are "
            "needed"
        )
    if found.dtype == np.uint8:
        return np.ascontiguousarray(found)
    if not np.issubdtype(found.dtype, np.floating):
        if not np.issubdtype(found.dtype, np.integer) or found.min() < 0 or found.max() > 255:
            raise DataError(f"data has pixels of {found.dtype} outside 0 to 255: give uint8, or floats from 0 to 1")
        return np.ascontiguousarray(found, np.uint8)
    low, high = float(found.min()), float(found.max())
    if not 0 <= low <= high <= 1:
        raise DataError(f"data has pixels from {low:g} to {high:g}: floats run from 0 to 1; give uint8 for 0 to 255")
    return np.ascontiguousarray(np.rint(found * 255), np.uint8)


def _number_labels(labels: Any, class_names: Sequence[str] | None) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    found = np.asarray(labels)
    if found.ndim != 1 or not len(found):
        raise DataError(f"data has labels of shape {found.shape}: one number or name an image is needed")
    if found.dtype.kind in "US":
        names = tuple(map(str, class_names)) if class_names else tuple(sorted(set(map(str, found))))
        if unknown := sorted(set(map(str, found)) - set(names)):
            raise DataError(f"data has the label {unknown[0]!r}, which class_names does not name")
        number = {name: place for place, name in enumerate(names)}
        return np.array([number[str(label)] for label in found], np.int64), names
    if found.dtype.kind not in "iu":
        raise DataError(f"data has labels of {found.dtype}: numbers of classes from 0, or names, are needed")
    numbers = found.astype(np.int64)
    if numbers.min() < 0:
        raise DataError(f"data has the label {numbers.min()}: numbers of classes start from 0")
    names = tuple(map(str, class_names)) if class_names else tuple(map(str, range(int(numbers.max()) + 1)))
    return numbers, names
