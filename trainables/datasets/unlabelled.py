"""Unlabelled images, for an ensemble to label: read like the labelled images, which are excluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, model_validator

from trainables.config.base import Frozen
from trainables.config.data import DataConfig
from trainables.data.decoding import Decoding
from trainables.data.images import ImageSet, hash_images
from trainables.datasets.digits import load_digits
from trainables.datasets.fashion_mnist import load_fashion_mnist
from trainables.decoding.decode_listing import decode_as
from trainables.errors import DataError
from trainables.layouts.base.image_files import SUFFIXES
from trainables.layouts.base.listing import ListedImage, list_file
from trainables.layouts.detect import IMAGE_FILES, ONE_IMAGE, list_images, list_unlabelled
from trainables.layouts.tables.parquet_images import with_unique_ids
from trainables.places.open import open_source
from trainables.splits.train_share import choose_share

UNKNOWN = -1
"""The true class of an image without a label, or with a class that the labelled images do not have."""


class UnlabelledConfig(Frozen):
    """The source of unlabelled images: exactly one of `name`, `path` and `csv`.

    True labels in the source are never used for training: they only measure the quality of the ensemble's labels.
    """

    name: Literal["rest", "digits", "fashion-mnist"] | None = None
    """`rest`: the training images that `train_share` leaves out; or a well-known set. `data: rest` is short for `name: rest`."""
    path: str | None = None
    """A folder or an archive of images, at any depth, local or `s3://`; or any file that `data.path` takes. Folders directly in it
    that have the name of a class give true labels."""
    csv: str | None = None
    """A table of file names, with true labels where there are some."""
    image_column: str | None = None
    """The same as `data.image_column`."""
    label_column: str | None = None
    """The same as `data.label_column`."""
    root: str | None = None
    """The same as `data.root`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        named = [f"`{key}`" for key in ("name", "path", "csv") if getattr(self, key) is not None]
        if len(named) != 1:
            sources = " and ".join(named) or "no images"
            raise ValueError(f"pseudo_labels.data names {sources}: give one of `name`, `path` and `csv`, or `rest`")
        if self.root is not None and self.csv is None and self.path is None and self.name != "fashion-mnist":
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


def load_unlabelled(config: UnlabelledConfig, images: ImageSet, train_share: float) -> UnlabelledImages:
    """The images that `config` names, decoded as `images` were, without those whose pixels have the hash of one of `images`.

    Raises `DataError` where images are missing or damaged, or where none is left.
    """
    if config.name == "rest":
        pixels, image_ids, true_class, trained = _rest_of(images, train_share)
    else:
        pixels, image_ids, true_class = _read(config, images)
        trained = images.rows("train")
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
    groups = images.arrays.groups
    trained = choose_share(images.labels, images.rows("train"), train_share, groups)
    rest = np.setdiff1d(images.rows("train"), trained)
    if not len(rest):
        raise DataError(
            f"pseudo_labels.data is rest, but train_share {train_share:g} leaves out no training image: lower it"
        )
    return images.pixels[rest], tuple(images.image_ids[row] for row in rest), images.labels[rest], trained


def _read(
    config: UnlabelledConfig, images: ImageSet
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...], npt.NDArray[np.int64]]:
    """Pixels, ids and true labels of images from a place, a table or a well-known set."""
    place = {name: label for label, name in enumerate(images.class_names)}
    height, width, channels = images.pixels.shape[1:]
    if config.name is not None:
        whole = _load_named(config, height, width, channels)
        known = np.array([place.get(name, UNKNOWN) for name in whole.class_names], np.int64)
        return whole.pixels, whole.image_ids, known[whole.labels]
    listed = _list(config)
    pixels = decode_as(listed, images.decoding or Decoding(height, width, channels))
    true_class = [place.get(image.label, UNKNOWN) if image.label is not None else UNKNOWN for image in listed]
    return pixels, tuple(image.image_id for image in listed), np.array(true_class, np.int64)


def _load_named(config: UnlabelledConfig, height: int, width: int, channels: int) -> ImageSet:
    if height != width:
        raise DataError(
            f"pseudo_labels.data is {config.name}, whose images are square, but those of data are {height} x {width} pixels"
        )
    root = Path(config.root).expanduser() if config.root else None
    return (
        load_fashion_mnist(root, height, channels) if config.name == "fashion-mnist" else load_digits(height, channels)
    )


def _list(config: UnlabelledConfig) -> Sequence[ListedImage]:
    """The images of a source, with true labels where it has some: those of a table or of arrays, or the names of top folders."""
    key = "path" if config.path else "csv"
    where = str(getattr(config, key))
    source = open_source(where, key=f"pseudo_labels.data.{key}")
    data = DataConfig(path=where, root=config.root, image_column=config.image_column, label_column=config.label_column)
    found = list_unlabelled(source, data)
    if not found.images:
        raise DataError(f"pseudo_labels.data.{key} {where} holds no image ({' '.join(SUFFIXES)}): name another folder")
    if found.layout in (IMAGE_FILES, ONE_IMAGE):
        files = [image.image_id for image in found.images]
        return [list_file(source.place, file, file.split("/")[0] if "/" in file else None) for file in files]
    try:
        return list_images(source, data).images
    except DataError:
        if config.label_column is not None:
            raise
    return with_unique_ids(found.images)
