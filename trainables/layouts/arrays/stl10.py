"""STL-10 (Coates, Lee and Ng 2011) in its binary form: colour images of 96 x 96 pixels, column by column."""

from __future__ import annotations

import posixpath

import numpy as np
import numpy.typing as npt

from trainables.config.data import DataConfig
from trainables.data.reading import PassedOver
from trainables.errors import DataError
from trainables.layouts.base.held_files import (
    check_count,
    choose_folder,
    find_beside,
    find_files,
    list_parts,
    name_labels,
    read_lines,
    read_whole,
    tell_folder,
)
from trainables.layouts.base.listing import Listing
from trainables.places.open import Source

CLASS_NAMES: tuple[str, ...] = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")

_SPLITS = ("train", "test")
_IMAGES = tuple(f"{split}_X.bin" for split in _SPLITS)
_LABELS = tuple(f"{split}_y.bin" for split in _SPLITS)
_NAMES, _UNLABELLED = "class_names.txt", "unlabeled_X.bin"
_IMAGE_BYTES = 3 * 96 * 96


def matches_stl10(source: Source) -> bool:
    """Whether the source has a file that is called as those of STL-10 are."""
    return bool(find_files(source, (*_IMAGES, *_LABELS).__contains__))


def read_stl10(source: Source, config: DataConfig) -> Listing:
    """The labelled images of STL-10 in the published splits `train` and `test`; its 100,000 without labels are passed over.

    Raises `DataError` where files are missing or damaged.
    """
    folder = choose_folder(source, find_files(source, (*_IMAGES, *_LABELS).__contains__), "STL-10")
    held = find_beside(source, folder, [*_IMAGES, *_LABELS, _NAMES, _UNLABELLED])
    names = CLASS_NAMES
    if _NAMES in held:
        names = tuple(read_lines(source.place, posixpath.join(folder, _NAMES)))
        if len(names) != 10 or len(set(names)) != 10:
            raise DataError(
                f"{posixpath.join(source.place.name, folder, _NAMES)} names {len(set(names))} classes, but 10 are in the set: "
                "fetch it again"
            )
    parts: dict[str, tuple[npt.NDArray[np.uint8], list[str | None]]] = {}
    for images_file, labels_file, split in zip(_IMAGES, _LABELS, _SPLITS, strict=True):
        if (images_file in held) != (labels_file in held):
            there, lacking = (images_file, labels_file) if images_file in held else (labels_file, images_file)
            raise DataError(f"{posixpath.join(source.place.name, folder)} holds {there}, but not {lacking}: fetch it")
        if images_file in held:
            pixels = _read_images(source, posixpath.join(folder, images_file))
            numbers = np.frombuffer(read_whole(source.place, posixpath.join(folder, labels_file)), np.uint8)
            check_count(labels_file, len(numbers), images_file, len(pixels))
            parts[split] = (pixels, [*name_labels(labels_file, numbers, names, first=1)])
    images, has_splits = list_parts(parts)
    others = [PassedOver(_UNLABELLED, "images without labels")] if _UNLABELLED in held else []
    notes = [f"the images without labels in {_UNLABELLED} are not read"] if others else []
    return Listing(
        name="STL-10",
        layout="STL-10 binary files",
        images=images,
        class_names=names,
        split_from="the files" if has_splits else "",
        passed_over=others,
        notes=[*tell_folder(source, folder), *notes],
    )


def _read_images(source: Source, file: str) -> npt.NDArray[np.uint8]:
    """Pixels, uint8 (images, 96, 96, 3), of a file that holds red, green and blue of each image, each column by column."""
    data = read_whole(source.place, file)
    if len(data) % _IMAGE_BYTES:
        raise DataError(
            f"{posixpath.join(source.place.name, file)} holds {len(data):,} bytes, no whole number of images of {_IMAGE_BYTES:,} bytes: "
            "fetch it again"
        )
    return np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1))
