"""An image set on the device that trains."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainables.config.preparation import Equalise
from trainables.config.trial import BagConfig
from trainables.data.equalise import equalise_pixels
from trainables.data.image_shape import ImageShape
from trainables.data.images import ImageArrays, channel_statistics
from trainables.data.mapped import read_ahead
from trainables.errors import DataError
from trainables.splits.bagging import choose_bag
from trainables.splits.train_share import choose_share
from trainables.store import layout
from trainables.training.memory import first_line, is_out_of_memory


@dataclass(frozen=True, eq=False)
class DeviceImages:
    """An image set on the device that trains, shared by all trials there.

    pixels    uint8 (images, height, width, channels)
    labels    int64 (images,)
    rows      positions of the images by split; also `pseudo`, where there are images with pseudo-labels
    mean, std float32 (channels,), statistics of the training images
    groups    what must stay together in bags and shares, int64 (images,) for all but pseudo-labelled images, on the CPU; or None
    equalised how the pixels were equalised; mean and std are those of the equalised pixels
    """

    pixels: Tensor
    labels: Tensor
    rows: dict[str, Tensor]
    mean: Tensor
    std: Tensor
    shape: ImageShape
    groups: npt.NDArray[np.int64] | None = None
    equalised: Equalise = "none"
    read_ahead: Callable[[Iterable[int]], None] | None = None
    """Asks for images, by their rows, that are about to be read from a file; None where pixels lie in memory."""
    _held: dict[str, DeviceImages] = field(default_factory=dict, init=False, repr=False)
    """The same images, equalised, for the trials that follow; see `equalise_images`."""


def place_images(images: ImageArrays, device: torch.device) -> DeviceImages:
    """`images` as tensors on `device`; without a copy on a CPU. Raises `DataError` as `check_arrays` does, and where the images do
    not fit into the memory of the device."""
    check_arrays(images)
    _, height, width, channels = images.pixels.shape
    with warnings.catch_warnings():  # arrays from Ray's object store are read-only; nobody writes to these tensors
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        with _fitting(device, images.pixels.nbytes):
            pixels = torch.from_numpy(images.pixels).to(device)
            labels = torch.from_numpy(images.labels).to(device)
    mean, std = images.statistics or channel_statistics(images)
    return DeviceImages(
        pixels=pixels,
        labels=labels,
        rows={split: torch.from_numpy(images.rows(split)).to(device) for split in layout.SPLITS},
        mean=torch.tensor(mean, dtype=torch.float32, device=device),
        std=torch.tensor(std, dtype=torch.float32, device=device),
        shape=ImageShape(height, width, channels, images.classes),
        groups=images.groups,
        read_ahead=read_ahead(images.pixels) if device.type == "cpu" else None,
    )


def check_arrays(images: ImageArrays) -> None:
    """Raise `DataError` where training on `images` would silently go wrong, or crash the process.

    On a GPU a label outside the classes, or a position outside the images, ends the whole process with all its trials.
    """
    pixels, labels, splits = images.pixels, images.labels, images.splits
    if pixels.ndim != 4 or pixels.dtype != np.uint8:
        raise DataError(
            f"corrupt images: pixels are {pixels.dtype}{pixels.shape}, not uint8 (images, height, width, channels)"
        )
    if not len(pixels) == len(labels) == len(splits):
        raise DataError(f"corrupt images: {len(pixels)} images, but {len(labels)} labels and {len(splits)} splits")
    if labels.dtype != np.int64:
        raise DataError(f"corrupt labels: they are {labels.dtype}, not int64")
    if not len(images.rows("train")):
        raise DataError(f"corrupt images: none of the {len(pixels)} is there to be trained on")
    wrong = np.flatnonzero((labels < 0) | (labels >= images.classes))
    if len(wrong):
        raise DataError(
            f"wrong label: that of image {wrong[0]} is {labels[wrong[0]]}, and {len(wrong)} of {len(labels)} "
            f"are outside the {images.classes} classes (0 to {images.classes - 1}): repair the data set and run again"
        )


PIXELS_AT_ONCE = 2**18
"""Pixels of a batch that is equalised: 334 images of 28 x 28, 5 of 224 x 224. On a CPU core this takes 0.06 and 5 ms an image with
`clahe`, in batches of 64 images 0.11 and 8 ms."""

MOST_HELD_BYTES = 256 * 2**20
"""Of images that are larger, a worker holds one equalised copy, of the last trial, not one of each kind."""


def equalise_images(images: DeviceImages, kind: Equalise) -> DeviceImages:
    """`images` with equalised pixels, and the statistics of these. They are computed once and held with `images`, as a second copy in
    memory: computed for each batch again, they would take as long as the steps of a small net.

    Raises `DataError` as `equalise_pixels`, and where the copy does not fit into the memory of the device.
    """
    if kind == images.equalised:
        return images
    if kind not in images._held:
        if images.pixels.nbytes > MOST_HELD_BYTES:
            images._held.clear()
        with _fitting(images.pixels.device, 2 * images.pixels.nbytes):
            pixels = _equalise(images.pixels, kind)
        train = pixels[images.rows["train"]].cpu().numpy()
        unsplit = np.zeros(len(train), np.int8)  # all in the training split
        mean, std = channel_statistics(ImageArrays(train, unsplit.astype(np.int64), unsplit, images.shape.classes))
        images._held[kind] = replace(
            images,
            pixels=pixels,
            mean=torch.tensor(mean, dtype=torch.float32, device=pixels.device),
            std=torch.tensor(std, dtype=torch.float32, device=pixels.device),
            equalised=kind,
            read_ahead=None,
        )
    return images._held[kind]


def _equalise(pixels: Tensor, kind: Equalise) -> Tensor:
    """uint8 pixels, equalised on the CPU, wherever they lie: CUDA has no deterministic cumulative sum."""
    if kind == "none":
        return pixels
    equalised = torch.empty_like(pixels)
    at_once = max(1, PIXELS_AT_ONCE // (pixels.shape[1] * pixels.shape[2]))
    for part, into in zip(torch.split(pixels, at_once), torch.split(equalised, at_once), strict=True):
        into.copy_(equalise_pixels(part.cpu(), kind))
    return equalised


def add_pseudo_labelled(
    images: DeviceImages, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]
) -> DeviceImages:
    """`images` with pseudo-labelled images appended, for training. Existing positions, mean and std do not change.

    They are equalised as `images` are. Raises `DataError` where they do not fit into the memory of the device.
    """
    return _append(images, pixels, torch.from_numpy(labels.copy()), "pseudo")


def show_as_validation(images: DeviceImages, pixels: npt.NDArray[np.uint8]) -> DeviceImages:
    """`images` with others appended that replace the validation split, so that they are predicted like it. Raises as
    `add_pseudo_labelled`."""
    return _append(images, pixels, torch.zeros(len(pixels), dtype=torch.int64), "validation")


def _append(images: DeviceImages, pixels: npt.NDArray[np.uint8], labels: Tensor, split: str) -> DeviceImages:
    device, known = images.pixels.device, len(images.pixels)
    with _fitting(device, images.pixels.nbytes + pixels.nbytes):
        return replace(
            images,
            pixels=torch.cat([images.pixels, _equalise(torch.from_numpy(pixels.copy()).to(device), images.equalised)]),
            labels=torch.cat([images.labels, labels.to(device)]),
            rows={**images.rows, split: torch.arange(known, known + len(pixels), device=device)},
            read_ahead=None,
        )


@contextlib.contextmanager
def _fitting(device: torch.device, size_bytes: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise DataError(
            f"out of memory: the images take {size_bytes / 1e9:.3g} GB on device {device}, which does not have them "
            f"({first_line(error)}): take a smaller data.size, or fewer trials at a time on this device"
        ) from None


WHOLE = BagConfig()


def choose_training_rows(images: DeviceImages, share: float, bag: BagConfig = WHOLE, data_id: str = "") -> Tensor:
    """Positions of the images that are trained on, int64 (images,): `share` of the training images, of these the subset of `bag`,
    and all images with pseudo-labels. A bootstrap contains some positions more than once.
    """
    rows = images.rows["train"]
    if share < 1 or bag.kind != "none":
        labels = images.labels.cpu().numpy()
        shared = choose_share(labels, rows.cpu().numpy(), share, images.groups)
        selected = choose_bag(labels, shared, bag, data_id, images.groups)
        rows = torch.from_numpy(selected).to(rows.device)
    return torch.cat([rows, images.rows["pseudo"]]) if "pseudo" in images.rows else rows
