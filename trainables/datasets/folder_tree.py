"""A tree of image files with one folder a class: `path/<class>/**.png`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainables.data.images import ImageSet
from trainables.datasets.decode import SUFFIXES, decode_images, some_of
from trainables.errors import DataError

_SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


@dataclass(frozen=True)
class LeftOut:
    """An entry of a folder that is not read as an image."""

    path: str
    reason: str
    is_failure: bool = False
    """Whether it may contain images that should have been read."""


def load_folder_tree(path: Path, size: int | None = None, channels: int | None = None) -> ImageSet:
    """All images under the class folders of `path`, in `train`; the id is the path relative to `path`.

    Hidden files and folders, files directly in `path` and files without an image suffix are ignored. `size` and `channels` as in
    `decode_files`. Raises `DataError` where the tree is missing or has another structure, a class is empty, or a file is no image.
    """
    return decode_images(path.resolve().name, path, find_images(path), size, channels)


def find_images(path: Path) -> dict[str, str]:
    """Class names of the images by path relative to `path`. Raises `DataError` as `load_folder_tree` does."""
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise DataError(f"data.path {path} {what}: name a folder that holds one folder of images a class")
    try:
        classes = sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith("."))
        _require_classes(path, classes)
        class_of = {
            Path(file).relative_to(path).as_posix(): class_name
            for class_name in classes
            for file in images_in(str(path / class_name))
        }
    except OSError as error:
        raise DataError(f"data.path {path} cannot be read: {error}") from None
    held = set(class_of.values())
    if empty := [f"{class_name}/" for class_name in classes if class_name not in held]:
        raise DataError(
            f"{len(empty)} of {len(classes)} class folders in {path} hold no image: {some_of(empty)}: "
            f"add images ({' '.join(SUFFIXES)}) or remove the folder"
        )
    if unspeakable := [ascii(file) for file in class_of if not _is_text(file)]:
        raise DataError(f"{len(unspeakable)} file names in {path} are not UTF-8: {some_of(unspeakable)}: rename them")
    return class_of


def _require_classes(path: Path, classes: list[str]) -> None:
    if classes and _SPLIT_NAMES.issuperset(name.lower() for name in classes):
        train = next((name for name in classes if name.lower().startswith("train")), classes[0])
        raise DataError(
            f"the folders of {path} are called {', '.join(classes)}, as splits are, not classes: name the one that holds "
            f"the class folders with data.path={path / train}; data.validation and data.test say how it is split"
        )
    if len(classes) < 2:
        raise DataError(
            f"data.path {path} holds {len(classes)} class folder(s), at least 2 are needed: put the images of each "
            "class into a folder of its own, or name the images in a table with data.csv="
        )


def images_in(folder: str, left_out: list[LeftOut] | None = None) -> Iterator[str]:
    """Every image below `folder`, at any depth, except hidden ones.

    Entries that are not images, and unreadable folders, are appended to `left_out` with the reason; without `left_out`, an unreadable
    folder raises `OSError`.
    """
    notes: list[LeftOut] = [] if left_out is None else left_out

    def fail(error: OSError) -> None:
        if left_out is None or str(error.filename) == folder:
            raise error
        notes.append(LeftOut(f"{error.filename}/", f"a folder that cannot be read ({error.strerror})", True))

    for here, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        walked = [name for name in folders if not name.startswith(".") and not _leads_back(here, name)]
        if left_out is not None and len(walked) < len(folders):
            for name in sorted(set(folders) - set(walked)):
                why = "a hidden folder" if name.startswith(".") else "a link to a folder that it lies in"
                notes.append(LeftOut(f"{here}/{name}/", why))
        folders[:] = walked
        for name in files:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:  # noqa: PTH122 pathlib takes 5 times as long
                yield f"{here}/{name}"
            elif left_out is not None:
                notes.append(LeftOut(f"{here}/{name}", why_no_image(name)))


def why_no_image(name: str) -> str:
    """Why a file of this name is ignored."""
    if name.startswith("."):
        return "a hidden file"
    ending = os.path.splitext(name)[1]  # noqa: PTH122 a key of a bucket is no path
    return f"ends with {ending or 'nothing'}, which is no image's ending"


def _leads_back(here: str, name: str) -> bool:
    """Whether a folder is a link to one of its parents: walking it would never end."""
    child = Path(here, name)
    return child.is_symlink() and Path(here).resolve().is_relative_to(child.resolve())


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
