"""Images of files of arrays, each file by itself: labels, and the other files of its set, are not looked at."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.arrays.array_names import IMAGES, find_role, sort_names
from trainables.layouts.arrays.array_values import to_images
from trainables.layouts.arrays.cifar import matches_cifar, read_cifar
from trainables.layouts.arrays.idx import matches_idx
from trainables.layouts.arrays.idx_file import parse_images, unpack_idx
from trainables.layouts.arrays.mat import matches_svhn, read_svhn
from trainables.layouts.arrays.npy_file import read_npy, read_npz
from trainables.layouts.arrays.stl10 import matches_stl10, read_stl10
from trainables.layouts.base.held_files import read_whole
from trainables.layouts.base.listing import ListedImage, Listing
from trainables.places.open import Source
from trainables.places.place import Place

_PUBLISHED = ((matches_cifar, read_cifar), (matches_stl10, read_stl10), (matches_svhn, read_svhn))
"""Readers of sets that keep labels beside the pixels, in the same file or in one of a known name."""

_BESIDE = {"train_X.bin": "train_y.bin", "test_X.bin": "test_y.bin", "train.bin": "", "test.bin": ""}
"""Files of images, and the file without which the reader of their set does not take them."""

_TOLD_BY = ("fine_label_names.txt", "batches.meta.txt", "class_names.txt")
"""Files that tell which set another one is of, and how its classes are called."""


def list_arrays(place: Place, file: str, config: DataConfig) -> Listing | None:
    """The images of one file of arrays; ids are their positions, after the array's name where the file has several of images.

    None where the file is none of arrays by its name, or one of labels. Raises `DataError` where it is damaged, or where no array
    of it is told to hold images.
    """
    if file.lower().endswith(".npz"):
        return _list_npz(place, file)
    if file.lower().endswith(".npy"):
        pixels, note = to_images(posixpath.join(place.name, file), read_npy(place, file))
        return _list({"": pixels}, [note])
    alone = Source(_Alone(place, file))
    if matches_idx(alone):
        return _list_idx(place, file)
    read = next((read for matches, read in _PUBLISHED if matches(alone)), None)
    if read is None:
        return None
    found = read(alone, config).images
    return Listing("", "", [ListedImage(str(row), image.open, None) for row, image in enumerate(found)])


def holds_images(file: str, beside: Sequence[str]) -> bool:
    """Whether a `.npy` file holds images, by its name, or because it is the only one: it may hold labels or anything else."""
    folder, _, name = file.rpartition("/")
    others = [other for other in beside if other.lower().endswith(".npy") and other.rpartition("/")[0] == folder]
    return find_role(name[:-4])[0] == IMAGES or others == [file]


def _list_npz(place: Place, file: str) -> Listing:
    where = posixpath.join(place.name, file)
    chosen: Sequence[str] = ()

    def choose(held: Sequence[str]) -> Sequence[str]:
        nonlocal chosen
        names = sort_names(held)
        if names.twice and names.twice[0] in names.images.values():
            raise DataError(
                f"{where} holds {names.twice[0]} and {names.twice[1]}, which mean the same: call the one with images 'images'"
            )
        chosen = list(names.images.values()) or (held if len(held) == 1 else [])
        if not chosen:
            shown = ", ".join(name[:60] for name in held[:8]) + ", …" * (len(held) > 8)
            raise DataError(f"{where} holds arrays {shown or 'none'}: call the one with images 'images'")
        return chosen

    arrays = {**read_npz(place, file, choose)}
    pixels, notes = {}, []
    for name in chosen:
        pixels[name if len(chosen) > 1 else ""], note = to_images(f"{name} of {where}", arrays.pop(name))
        notes.append(note)
    return _list(pixels, notes)


def _list_idx(place: Place, file: str) -> Listing | None:
    name = file.rpartition("/")[2]
    data = unpack_idx(name, read_whole(place, file))
    if data[3:4] in (b"\x01", b"\x02"):
        return None  # labels
    pixels = parse_images(name, data)
    if name.lower().startswith("emnist-"):
        pixels = np.ascontiguousarray(pixels.swapaxes(1, 2))  # kept column by column
    return _list({"": pixels}, [])


def _list(arrays: dict[str, npt.NDArray[np.uint8]], notes: Sequence[str]) -> Listing:
    images = [
        ListedImage(f"{name}/{row}" if name else str(row), partial[Any](pixels.__getitem__, row), None)
        for name, pixels in arrays.items()
        for row in range(len(pixels))
    ]
    return Listing("", "", images, notes=[note for note in notes if note])


class _Alone(Place):
    """One file of a place, and those beside it that its reader needs, so that nothing else of its set is read."""

    def __init__(self, place: Place, file: str) -> None:
        self._place = place
        folder, _, name = file.rpartition("/")
        beside = [*_TOLD_BY, _BESIDE[name]] if name in _BESIDE else []
        self._files = sorted([file, *(other for each in beside if self._opens(other := posixpath.join(folder, each)))])

    @property
    @override
    def name(self) -> str:
        return self._place.name

    @override
    def files(self) -> Sequence[str]:
        return self._files

    @override
    def folders(self) -> Sequence[str]:
        return []

    @override
    def open(self, file: str) -> BinaryIO:
        return self._place.open(file)

    def _opens(self, file: str) -> bool:
        try:
            self._place.open(file).close()
        except OSError:
            return False
        return True
