"""Finds the files of a published set in a source, whichever folder they lie in, and reads them whole."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.errors import DataError
from trainables.layouts.base.image_files import is_left_behind
from trainables.layouts.base.listing import ListedImage, list_array
from trainables.places.folder import FolderPlace
from trainables.places.open import Source
from trainables.places.place import Place, read_bytes

Parts = Mapping[str, tuple[npt.NDArray[np.uint8], Sequence[str | None]]]
"""Pixels, uint8 (images, height, width[, channels]), and labels of each split."""


def find_files(source: Source, is_one: Callable[[str], bool]) -> dict[str, list[str]]:
    """Names of the files that `is_one` accepts by name, sorted, by the folder that they lie in ("" for the source itself).

    Where one file of the place is meant, it alone is looked at: nothing beside it is listed.
    """
    found: dict[str, list[str]] = {}
    for file in [source.file] if source.file else source.place.files():
        folder, _, name = file.rpartition("/")
        if is_one(name) and not is_left_behind(file):
            found.setdefault(folder, []).append(name)
    return found


def find_beside(source: Source, folder: str, names: Collection[str]) -> list[str]:
    """Those of `names` that the folder holds, in the order of `names`.

    Where one file of a disk is meant, each is tried: the folder of a file that was downloaded may hold millions.
    """
    if not (source.file and isinstance(source.place, FolderPlace)):
        held = set(source.place.files())
        return [name for name in names if posixpath.join(folder, name) in held]
    return [name for name in names if name == source.file or _opens(source.place, posixpath.join(folder, name))]


def choose_folder(source: Source, folders: Collection[str], what: str) -> str:
    """The only one of `folders`. Raises `DataError` for several, which are several sets."""
    if len(folders) > 1:
        named = ", ".join(f"{folder or '.'}/" for folder in sorted(folders))
        raise DataError(
            f"{source.name} holds {what} in {len(folders)} folders, {named}: name one of them with data.path="
        )
    return next(iter(folders))


def tell_folder(source: Source, folder: str) -> list[str]:
    """What to say where the files lie deeper than the place that was named."""
    return [f"the files lie deeper, in {posixpath.join(source.place.name, folder)}"] if folder else []


def name_set(source: Source, folder: str = "") -> str:
    """A short name for a set that has none of its own: that of its file, or of its folder."""
    name = source.file or folder or source.place.name.rstrip("/")
    return name.rpartition("/")[2].partition(".")[0] or "images"


def read_whole(place: Place, file: str) -> bytes:
    """The content of `file`. Raises `DataError`."""
    try:
        return read_bytes(place, file)
    except OSError as error:
        raise _cannot(place, file, error) from None


def read_lines(place: Place, file: str) -> list[str]:
    """The lines of a text file that hold more than spaces, without spaces at their ends. Raises `DataError`."""
    try:
        lines = read_bytes(place, file).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _cannot(place, file, error) from None
    return [line.strip() for line in lines if line.strip()]


def list_parts(parts: Parts) -> tuple[list[ListedImage], bool]:
    """The images of all parts, ids `train/00012`, and whether they have a split: a part that is alone has none."""
    has_splits = len(parts) > 1
    images = [
        image
        for split, (pixels, labels) in parts.items()
        for image in list_array(pixels, labels, split if has_splits else "", prefix=split)
    ]
    return images, has_splits


def name_labels(file: str, numbers: npt.NDArray[Any], names: Sequence[str], first: int = 0) -> list[str]:
    """The class names of labels that are counted from `first`. Raises `DataError` for a label that is no class."""
    if len(numbers) and not (first <= numbers.min() and numbers.max() < first + len(names)):
        wrong = numbers[(numbers < first) | (numbers >= first + len(names))][0]
        raise DataError(
            f"{file} holds the label {wrong}, but the {len(names)} classes run from {first} to {first + len(names) - 1}: fetch it again"
        )
    return [names[number] for number in (numbers.astype(np.int64) - first).tolist()]


def check_count(file: str, labels: int, images_file: str, images: int) -> None:
    """Raise `DataError` unless there is a label for each image."""
    if labels != images:
        raise DataError(f"{file} holds {labels:,} labels, but {images_file} {images:,} images: fetch both again")
    if not images:
        raise DataError(f"{images_file} holds no image: fetch it again")


def _opens(place: Place, file: str) -> bool:
    try:
        place.open(file).close()
    except OSError:
        return False
    return True


def _cannot(place: Place, file: str, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or error
    return DataError(f"{posixpath.join(place.name, file)} cannot be read ({reason}): fetch it again")
