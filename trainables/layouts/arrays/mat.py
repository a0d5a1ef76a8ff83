"""Sets that are published with MATLAB files: SVHN (Netzer et al. 2011) and Flowers-102 (Nilsback and Zisserman 2008)."""

from __future__ import annotations

import posixpath

import numpy as np
import numpy.typing as npt

from trainables.config.data import DataConfig
from trainables.data.reading import PassedOver
from trainables.errors import DataError
from trainables.layouts.arrays.mat_file import read_mat
from trainables.layouts.base.held_files import (
    check_count,
    choose_folder,
    find_beside,
    find_files,
    list_parts,
    name_labels,
    tell_folder,
)
from trainables.layouts.base.listing import ListedImage, Listing, list_file
from trainables.places.open import Source

_SVHN = {"train": "train_32x32.mat", "test": "test_32x32.mat"}
_EXTRA = "extra_32x32.mat"
_DIGITS = tuple("0123456789")
_LABELS, _SPLITS = "imagelabels.mat", "setid.mat"
_IDS = {"trnid": "train", "valid": "validation", "tstid": "test"}
"""Arrays of `setid.mat`, with the numbers of the images from 1."""


def matches_svhn(source: Source) -> bool:
    """Whether the source has a file that is called as those of SVHN's cropped digits are."""
    return bool(find_files(source, {*_SVHN.values(), _EXTRA}.__contains__))


def read_svhn(source: Source, config: DataConfig) -> Listing:
    """SVHN's cropped digits of 32 x 32 pixels, in the published splits `train` and `test`.

    The 531,131 easier digits of `extra_32x32.mat` are passed over. Raises `DataError` where files are missing or damaged.
    """
    folder = choose_folder(source, find_files(source, {*_SVHN.values(), _EXTRA}.__contains__), "SVHN")
    held = find_beside(source, folder, [*_SVHN.values(), _EXTRA])
    if held == [_EXTRA]:
        raise DataError(
            f"{posixpath.join(source.place.name, folder)} holds SVHN's {_EXTRA} alone: fetch train_32x32.mat and test_32x32.mat"
        )
    parts = {split: _read_digits(source, posixpath.join(folder, file)) for split, file in _SVHN.items() if file in held}
    images, has_splits = list_parts(parts)
    others = [PassedOver(_EXTRA, "further training digits, which are easier")] if _EXTRA in held else []
    return Listing(
        name="SVHN",
        layout="SVHN MATLAB files",
        images=images,
        class_names=_DIGITS,
        split_from="the files" if has_splits else "",
        passed_over=others,
        notes=[
            *tell_folder(source, folder),
            *(f"the further training digits in {_EXTRA} are not read" for _ in others),
        ],
    )


def _read_digits(source: Source, file: str) -> tuple[npt.NDArray[np.uint8], list[str | None]]:
    """Pixels, uint8 (images, 32, 32, 3), and labels; the file keeps images along the last axis, and digit 0 as label 10."""
    arrays = read_mat(source.place, file, ["X", "y"])
    pixels, labels = arrays["X"], arrays["y"].ravel()
    where = posixpath.join(source.place.name, file)
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[:3] != (32, 32, 3):
        raise DataError(f"{where} holds X as {pixels.dtype}{pixels.shape}: it must be uint8(32, 32, 3, images)")
    images = np.ascontiguousarray(np.moveaxis(pixels if pixels.ndim == 4 else pixels[..., None], -1, 0))
    check_count(f"{where}: y", len(labels), "X", len(images))
    _check_whole(where, "y", labels)
    numbers = np.where(labels == 10, 0, labels).astype(np.int64)
    return images, [*name_labels(where, numbers, _DIGITS)]


def matches_flowers(source: Source) -> bool:
    """Whether the source has the file of labels of Flowers-102."""
    return bool(find_files(source, _LABELS.__eq__))


def read_flowers(source: Source, config: DataConfig) -> Listing:
    """Flowers-102: `jpg/image_00001.jpg` and so on, with labels 1 to 102, in the published splits.

    The set has no names for its classes. Raises `DataError` where files are missing or damaged.
    """
    folder = choose_folder(source, find_files(source, _LABELS.__eq__), "the labels of Flowers-102")
    where = posixpath.join(source.place.name, folder)
    labels_file = posixpath.join(folder, _LABELS)
    labels = read_mat(source.place, labels_file, ["labels"])["labels"].ravel()
    _check_whole(labels_file, "labels", labels)
    names = tuple(str(number) for number in sorted(set(labels.astype(np.int64).tolist())))
    splits = _read_splits(source, posixpath.join(folder, _SPLITS)) if find_beside(source, folder, [_SPLITS]) else {}
    files = [posixpath.join(folder, f"jpg/image_{number:05d}.jpg") for number in range(1, len(labels) + 1)]
    held = set(source.place.files()).intersection(files)
    if not held:
        raise DataError(f"{where} holds {_LABELS}, but no jpg/image_00001.jpg: unpack 102flowers.tgz beside it")
    images: list[ListedImage] = []
    others: list[PassedOver] = []
    for number, (file, label) in enumerate(zip(files, labels.astype(np.int64).tolist(), strict=True), 1):
        if file in held and (not splits or number in splits):
            images.append(list_file(source.place, file, str(label), splits.get(number, "")))
        elif file in held:
            others.append(PassedOver(file, f"is in no split of {_SPLITS}"))
    notes = tell_folder(source, folder)
    if not splits:
        notes.append(f"{_SPLITS} is missing: the published split is not known")
    if len(held) < len(files):
        notes.append(f"{len(files) - len(held):,} of {len(files):,} images are missing in jpg/")
    return Listing(
        name="Flowers-102",
        layout="Flowers-102",
        images=images,
        class_names=names,
        split_from=_SPLITS if splits else "",
        passed_over=others,
        notes=notes,
    )


def _read_splits(source: Source, file: str) -> dict[int, str]:
    """The split of each image, by its number."""
    splits: dict[int, str] = {}
    for name, numbers in read_mat(source.place, file, list(_IDS)).items():
        _check_whole(file, name, numbers)
        for number in numbers.astype(np.int64).ravel().tolist():
            if splits.setdefault(number, _IDS[name]) != _IDS[name]:
                raise DataError(
                    f"{posixpath.join(source.place.name, file)} has image {number} in {splits[number]} and in {_IDS[name]}: fetch it again"
                )
    return splits


def _check_whole(where: str, name: str, numbers: npt.NDArray[np.generic]) -> None:
    found = np.asarray(numbers, np.float64)
    if not np.isfinite(found).all() or (found != np.rint(found)).any() or (np.abs(found) > 2**31).any():
        raise DataError(f"{where} holds {name} with values that are no whole numbers: fetch it again")
