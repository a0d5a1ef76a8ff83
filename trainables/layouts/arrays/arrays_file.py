"""Arrays of images and labels in NumPy's files: `.npz` with both, or `.npy` files side by side. No pickle is ever read."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from trainables.config.data import DataConfig
from trainables.data.reading import PassedOver
from trainables.errors import DataError
from trainables.layouts.arrays.array_names import ArrayNames, guess_beside, sort_names
from trainables.layouts.arrays.array_values import read_labels, read_texts, to_images
from trainables.layouts.arrays.npy_file import read_npy, read_npz
from trainables.layouts.base.held_files import (
    check_count,
    choose_folder,
    find_beside,
    find_files,
    list_parts,
    name_labels,
    name_set,
    tell_folder,
)
from trainables.layouts.base.image_files import has_image_ending
from trainables.layouts.base.listing import Listing, list_array
from trainables.layouts.base.split_names import UNLABELLED
from trainables.places.open import Source

_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow", ".feather", ".tar")
"""Endings of files that say more about a folder than an array which lies beside them."""

_RULE = "call them x_train and y_train, x_test and y_test, or images and labels"

Arrays = dict[str, npt.NDArray[np.generic]]


def matches_arrays(source: Source) -> bool:
    """Whether the source is such a file, or holds one and no image files.

    Beside tables, `.npy` files count only where there are images and labels: they may hold anything else.
    """
    if source.file:
        return source.suffix in (".npz", ".npy")
    found = find_files(source, _is_array)
    if not found or any(has_image_ending(file) for file in source.place.files()):
        return False
    if not any(file.lower().endswith(_TABLES) for file in source.place.files()):
        return True
    names = [sort_names(_stems(held)) for held in found.values()]
    return any(set(held.images) & set(held.labels) for held in names)


def read_arrays_file(source: Source, config: DataConfig) -> Listing:
    """The images of arrays, told by the arrays' names (`sort_names`); ids are `train/00012`.

    Pixels are uint8, whole numbers from 0 to 255, floats from 0 to 1, or bool, in (images, height, width), with 1, 3 or 4
    channels last, or with 1 or 3 first. Raises `DataError` where arrays are missing or damaged, or are pickles.
    """
    found = {"": [source.file]} if source.file else find_files(source, _is_array)
    folder = choose_folder(source, found, "arrays")
    zipped = [name for name in found[folder] if name.lower().endswith(".npz")]
    if len(zipped) > 1:
        raise DataError(
            f"{posixpath.join(source.place.name, folder)} holds {len(zipped)} .npz files, {', '.join(zipped[:3])}"
            f"{', …' * (len(zipped) > 3)}: name one of them with data.path="
        )
    if zipped:
        where = posixpath.join(source.place.name, folder, zipped[0])
        names = ArrayNames()

        def choose(held: Sequence[str]) -> list[str]:
            nonlocal names
            names = _sort(where, held)
            return names.used

        arrays = {**read_npz(source.place, posixpath.join(folder, zipped[0]), choose)}
        layout = f"arrays ({zipped[0]})"
    else:
        held = found[folder]
        if source.file:
            held = find_beside(
                source, "", [*{f"{name}.npy" for name in guess_beside(source.file[:-4])} | {source.file}]
            )
        files = {name[:-4]: name for name in sorted(held)}
        where = posixpath.join(source.place.name, folder)
        names = _sort(where, list(files))
        arrays = {name: read_npy(source.place, posixpath.join(folder, files[name])) for name in names.used}
        layout = f"arrays ({', '.join(files[name] for name in names.used[:3])}{', …' * (len(names.used) > 3)})"
    listing = _list(where, names, arrays)
    return Listing(
        name=name_set(source, folder or (zipped[0] if zipped else "")),
        layout=layout,
        images=listing.images,
        class_names=listing.class_names,
        split_from=listing.split_from,
        passed_over=[PassedOver(name, "an array whose name is not that of images or labels") for name in names.others],
        notes=[*tell_folder(source, folder), *listing.notes],
    )


def _is_array(name: str) -> bool:
    return name.lower().endswith((".npz", ".npy"))


def _stems(names: Sequence[str]) -> list[str]:
    return [name[:-4] for name in names]


def _sort(where: str, held: Sequence[str]) -> ArrayNames:
    """What the arrays hold. Raises `DataError` where images or labels are missing, or cannot be told."""
    names = sort_names(held)
    shown = ", ".join(name[:60] for name in held[:8]) + ", …" * (len(held) > 8)
    if names.twice:
        raise DataError(
            f"{where} holds {names.twice[0]} and {names.twice[1]}, which mean the same: remove one, or {_RULE}"
        )
    if not names.images:
        raise DataError(f"{where} holds the arrays {shown or 'none'}, none called as images are: {_RULE}")
    if alone := sorted(set(names.labels) - set(names.images)):
        raise DataError(f"{where} holds {names.labels[alone[0]]}, but no images that these labels belong to: {_RULE}")
    if not set(names.labels) & set(names.images):
        raise DataError(f"{where} holds the arrays {shown}, none called as labels are: {_RULE}")
    return names


def _list(where: str, names: ArrayNames, arrays: Arrays) -> Listing:
    pixels: dict[str, npt.NDArray[np.uint8]] = {}
    labels: dict[str, npt.NDArray[np.int64] | list[str]] = {}
    unlabelled, notes = [], []
    for split, name in names.images.items():
        images, note = to_images(f"{name} of {where}", arrays.pop(name))
        notes += [note] if note else []
        if split in names.labels:
            pixels[split] = images
            found = read_labels(f"{names.labels[split]} of {where}", arrays.pop(names.labels[split]))
            check_count(f"{names.labels[split]} of {where}", len(found), name, len(images))
            labels[split] = found
        else:
            unlabelled += list_array(images, [None] * len(images), "", split or UNLABELLED)
            notes.append(f"{len(images):,} images in {name} have no label")
    class_names = read_texts(f"{names.classes} of {where}", arrays.pop(names.classes)) if names.classes else []
    named, order = _name_classes(where, names, labels, class_names)
    several = len(pixels) > 1
    parts = {(split or ("train" if several else "")): (pixels[split], named[split]) for split in pixels}
    if len(parts) < len(pixels):
        raise DataError(f"{where} holds {names.images['']} and {names.images['train']}: call the first by its split")
    images_of, has_splits = list_parts(parts)
    return Listing("", "", [*images_of, *unlabelled], order, "the arrays' names" if has_splits else "", (), notes)


def _name_classes(
    where: str,
    names: ArrayNames,
    labels: Mapping[str, npt.NDArray[np.int64] | list[str]],
    class_names: Sequence[str],
) -> tuple[dict[str, Sequence[str]], tuple[str, ...]]:
    """Labels by split, and the class names in their order; labels that are numbers keep the order of numbers."""
    numbers = {split: found for split, found in labels.items() if not isinstance(found, list)}
    texts = {split: found for split, found in labels.items() if isinstance(found, list)}
    if numbers and texts:
        raise DataError(f"{where} has labels that are numbers, and labels that are text: save all as one of them")
    if len(set(class_names)) < len(class_names):
        raise DataError(f"{names.classes} of {where} names a class twice: give each class one name")
    if texts:
        held = {label for found in texts.values() for label in found}
        return {**texts}, tuple(class_names) if held <= set(class_names) else ()
    if class_names:
        return {
            split: name_labels(f"{names.labels[split]} of {where}", found, class_names)
            for split, found in numbers.items()
        }, tuple(class_names)
    order = sorted({number for found in numbers.values() for number in np.unique(found).tolist()})
    return {split: list(map(str, found.tolist())) for split, found in numbers.items()}, tuple(map(str, order))
