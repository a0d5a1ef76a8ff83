"""Unlabelled images, for an ensemble to label: read like the labelled images, which are excluded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, model_validator

from trainables.config.base import Frozen
from trainables.data.images import ImageSet, hash_images
from trainables.data.train_share import choose_share
from trainables.datasets.csv_table import load_csv_table
from trainables.datasets.decode import SUFFIXES, decode_files
from trainables.datasets.digits import load_digits
from trainables.datasets.fashion_mnist import load_fashion_mnist
from trainables.errors import DataError

UNKNOWN = -1
"""The true class of an image without a label, or with a class that the labelled images do not have."""


class UnlabelledConfig(Frozen):
    """The source of unlabelled images: exactly one of `name`, `path` and `csv`.

    True labels in the source are never used for training: they only measure the quality of the ensemble's labels.
    """

    name: Literal["rest", "digits", "fashion-mnist"] | None = None
    """`rest`: the training images that `train_share` leaves out; or a well-known set. `data: rest` is short for `name: rest`."""
    path: str | None = None
    """A local folder of images, at any depth. Folders directly in it that have the name of a class give true labels."""
    csv: str | None = None
    """A local table of file names and true labels, with a header."""
    image_column: str = "image"
    label_column: str = "label"
    root: str | None = None
    """The same as `data.root`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        named = [f"`{key}`" for key in ("name", "path", "csv") if getattr(self, key) is not None]
        if len(named) != 1:
            sources = " and ".join(named) or "no images"
            raise ValueError(f"pseudo_labels.data names {sources}: give one of `name`, `path` and `csv`, or `rest`")
        for key in ("path", "csv", "root"):
            if "://" in (place := getattr(self, key) or ""):
                raise ValueError(f"pseudo_labels.data.{key} is {place}: images are read from local folders only")
        if self.root is not None and self.csv is None and self.name != "fashion-mnist":
            raise ValueError(f"pseudo_labels.data.root means nothing to {named[0]} here: remove it")
        return self


def _spell_out(raw: Any) -> Any:
    return {"name": raw} if isinstance(raw, str) else raw


UnlabelledData = Annotated[UnlabelledConfig, BeforeValidator(_spell_out)]


@dataclass(frozen=True, eq=False)
class UnlabelledImages:
    """Images to be labelled, none of which equals a training, validation or test image.

    pixels      uint8 (images, height, width, channels), with the shape of the labelled images
    image_ids   a unique name for each image
    true_class  int64 (images,), positions in the labelled images' class names; `UNKNOWN` where there is no label
    found       number of images in the source
    held_out    number of these that are left out because they are among the validation or the test images
    trained     number of these that are left out because they are among the training images
    twice       number of these that are left out because they equal another one
    """

    pixels: npt.NDArray[np.uint8]
    image_ids: tuple[str, ...]
    true_class: npt.NDArray[np.int64]
    found: int
    held_out: int
    trained: int
    twice: int


def load_unlabelled(
    config: UnlabelledConfig, images: ImageSet, train_share: float, size: int | None, channels: int | None
) -> UnlabelledImages:
    """The images that `config` names, without those whose pixels have the hash of one of `images`.

    `size` and `channels` are those of the sweep's `data` section, so both sets are read alike. Raises `DataError` where images
    are missing or damaged, have another size or other channels, or where none is left.
    """
    if config.name == "rest":
        pixels, image_ids, true_class, trained = _rest_of(images, train_share)
    else:
        pixels, image_ids, true_class = _read(config, images.class_names, size, channels)
        trained = images.rows("train")
    if pixels.shape[1:] != images.pixels.shape[1:]:
        raise DataError(
            f"the images of pseudo_labels.data are {_describe_shape(pixels)}, those of data {_describe_shape(images.pixels)}: "
            "set data.size and data.channels, by which both are read"
        )
    return _leave_out(images, trained, pixels, image_ids, true_class)


def _leave_out(
    images: ImageSet,
    trained: npt.NDArray[np.int64],
    pixels: npt.NDArray[np.uint8],
    image_ids: tuple[str, ...],
    true_class: npt.NDArray[np.int64],
) -> UnlabelledImages:
    hashes = images.image_sha256
    held_out = {hashes[row] for split in ("validation", "test") for row in images.rows(split)}
    known = {hashes[row] for row in trained}
    kept: list[int] = []
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    for row, digest in enumerate(hash_images(pixels)):
        # An image in both counts as held out, because that reason always applies.
        why = "held_out" if digest in held_out else "trained" if digest in known else "twice" if digest in seen else ""
        if why:
            counts[why] += 1
        else:
            seen.add(digest)
            kept.append(row)
    if not kept:
        raise DataError(
            f"pseudo_labels.data has {len(pixels)} images, and all of them are among the labelled ones: "
            "name others, or lower train_share"
        )
    return UnlabelledImages(
        pixels=pixels[kept],
        image_ids=tuple(image_ids[row] for row in kept),
        true_class=true_class[kept],
        found=len(pixels),
        held_out=counts["held_out"],
        trained=counts["trained"],
        twice=counts["twice"],
    )


def _rest_of(
    images: ImageSet, train_share: float
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pixels, ids and labels of the training images that `train_share` leaves out; and the rows of the others."""
    trained = choose_share(images.labels, images.rows("train"), train_share)
    rest = np.setdiff1d(images.rows("train"), trained)
    if not len(rest):
        raise DataError(
            f"pseudo_labels.data is rest, but train_share {train_share:g} leaves out no training image: lower it"
        )
    return images.pixels[rest], tuple(images.image_ids[row] for row in rest), images.labels[rest], trained


def _read(
    config: UnlabelledConfig, class_names: tuple[str, ...], size: int | None, channels: int | None
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...], npt.NDArray[np.int64]]:
    """Pixels, ids and true labels of images from a folder, a table or a well-known set."""
    root = Path(config.root).expanduser() if config.root else None
    if config.path:
        return _read_folder(Path(config.path).expanduser(), class_names, size, channels)
    if config.csv:
        table = Path(config.csv).expanduser()
        whole = load_csv_table(table, root, config.image_column, config.label_column, size, channels)
    elif config.name == "fashion-mnist":
        whole = load_fashion_mnist(root, size, channels)
    else:
        whole = load_digits(size, channels)
    place = {name: label for label, name in enumerate(class_names)}
    known = np.array([place.get(name, UNKNOWN) for name in whole.class_names], np.int64)
    return whole.pixels, whole.image_ids, known[whole.labels]


def _read_folder(
    path: Path, class_names: tuple[str, ...], size: int | None, channels: int | None
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...], npt.NDArray[np.int64]]:
    if not path.is_dir():
        raise DataError(f"pseudo_labels.data.path {path} is no folder: name a folder of images")
    files = sorted(_images_in(path))
    if not files:
        raise DataError(f"pseudo_labels.data.path {path} holds no image ({' '.join(SUFFIXES)}): name another folder")
    place: Mapping[str, int] = {name: label for label, name in enumerate(class_names)}
    true_class = [place.get(file.split("/")[0], UNKNOWN) if "/" in file else UNKNOWN for file in files]
    return decode_files(path, files, size, channels), tuple(files), np.array(true_class, np.int64)


def _images_in(path: Path) -> Iterator[str]:
    """Paths of the images relative to `path`, without hidden files and folders."""
    for here, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield Path(here, name).relative_to(path).as_posix()


def _describe_shape(pixels: npt.NDArray[np.uint8]) -> str:
    height, width, channels = pixels.shape[1:]
    return f"{height} x {width} pixels in {channels} channel{'s' * (channels != 1)}"
