"""The MNIST family: IDX files of images with a file of labels each, gzipped or not.

MNIST, Fashion-MNIST, KMNIST and QMNIST are told apart by the published hashes of their files, EMNIST by its file names; the
labels of any others are numbers.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.arrays import mnist_family
from trainables.layouts.arrays.idx_file import parse_images, parse_labels, unpack_idx
from trainables.layouts.base.held_files import (
    check_count,
    choose_folder,
    find_beside,
    find_files,
    list_parts,
    name_labels,
    name_set,
    read_whole,
    tell_folder,
)
from trainables.layouts.base.listing import Listing, list_array
from trainables.layouts.base.split_names import UNLABELLED, find_split
from trainables.places.open import Source

_NAME = re.compile(
    r"(?P<part>.*?)(?P<what>image|label)s?[-._](?:idx\d?(?:[-._](?:ubyte|byte|int|short))?|ubyte)(?:\.gz)?", re.I
)
"""File names: what comes before `images` and `labels` is the part, as `train-` or `emnist-letters-test-`."""

_UNKNOWN = "the files are not those of a set that is known by its hashes: classes are called by their numbers"

_PARTS = ("train", "t10k", "test", "valid", "val", "validation")
_ENDS = ("-idx3-ubyte", ".idx3-ubyte", "-idx1-ubyte", ".idx1-ubyte", "-idx2-int", "-ubyte", ".idx")


def matches_idx(source: Source) -> bool:
    """Whether the source has a file that is called as IDX files of images are."""
    return bool(find_files(source, _is_named))


def read_idx_files(source: Source, config: DataConfig) -> Listing:
    """The images of the IDX files in one folder, in their published splits; ids are `train/00000` to `test/09999`.

    A file that is named stands for its set: the files beside it are read, too. Raises `DataError` where files are missing or
    damaged, where they belong to several sets, and for several splits of EMNIST, which are overlapping sets.
    """
    found = find_files(source, _is_named)
    folder = choose_folder(source, found, "IDX files")
    names = found[folder]
    if source.file:
        names = find_beside(source, folder, _guess_names(source.file))
    parts = _pair_files(source, folder, names)
    pixels: dict[str, npt.NDArray[np.uint8]] = {}
    numbers: dict[str, npt.NDArray[np.int64]] = {}
    unlabelled = []
    sets: dict[str, str] = {}
    for split, (images_file, labels_file) in parts.items():
        packed = read_whole(source.place, posixpath.join(folder, images_file))
        data = unpack_idx(images_file, packed)
        pixels[split] = parse_images(images_file, data)
        sets[images_file] = mnist_family.recognise(images_file, packed, data)
        if images_file.lower().startswith("emnist-"):
            # EMNIST keeps images column by column: read row by row, letters lie on their side and are mirrored.
            pixels[split] = np.ascontiguousarray(pixels[split].swapaxes(1, 2))
        if not labels_file:
            unlabelled += list_array(pixels[split], [None] * len(pixels[split]), "", split)
            continue
        packed = read_whole(source.place, posixpath.join(folder, labels_file))
        data = unpack_idx(labels_file, packed)
        numbers[split] = parse_labels(labels_file, data)
        sets[labels_file] = mnist_family.recognise(labels_file, packed, data)
        check_count(labels_file, len(numbers[split]), images_file, len(pixels[split]))
    known = _find_set(source, sets)
    names_of = _name_classes(known, numbers)
    labels = {
        split: name_labels(parts[split][1], found, names_of, int(known == "EMNIST letters"))
        if known
        else [str(number) for number in found.tolist()]
        for split, found in numbers.items()
    }
    images, has_splits = list_parts({split: (pixels[split], labels[split]) for split in numbers})
    return Listing(
        name=known or name_set(source, folder),
        layout=f"IDX files ({known})" if known else "IDX files",
        images=[*images, *unlabelled],
        class_names=names_of,
        split_from="the files" if has_splits else "",
        notes=[*tell_folder(source, folder), *([] if known else [_UNKNOWN])],
    )


def _is_named(name: str) -> bool:
    return bool(_NAME.fullmatch(name))


def _guess_names(file: str) -> list[str]:
    """Names that the other files of the set may have."""
    found = _NAME.fullmatch(file)
    assert found is not None  # the source matched
    part, what = found["part"], found["what"]
    here = next((word for word in _PARTS if re.search(rf"(?i)(^|[^a-z]){word}([^a-z]|$)", part)), None)
    parts = [part] + [re.sub(here, other, part, flags=re.I) for other in _PARTS if here and other != here]
    names = [
        f"{part}{noun}s{end}{packed}"
        for part in parts
        for noun in ("image", "label")
        for end in _ENDS
        for packed in (".gz", "")
    ]
    swap = "label" if what.lower() == "image" else "image"
    return list(dict.fromkeys([file, file.replace(what, swap), *names]))


def _pair_files(source: Source, folder: str, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The file of images and the file of labels of each split; "" for the labels of an unlabelled part."""
    where = posixpath.join(source.place.name, folder)
    sets: dict[str, dict[str, dict[str, str]]] = {}
    # The packed file comes last, and is taken: its hash was published.
    for name in sorted(names, key=lambda name: (name.endswith(".gz"), name)):
        found = _NAME.fullmatch(name)
        assert found is not None
        prefix, split = _split_part(found["part"])
        sets.setdefault(prefix, {}).setdefault(split, {})[found["what"].lower()] = name
    if len(sets) > 1:
        raise DataError(
            f"{where} holds the IDX files of {len(sets)} sets, {', '.join(sorted(map(repr, sets)))}: put the files of one into a folder "
            "of its own, or name one of its files with data.path="
        )
    (parts,) = sets.values()
    pairs = {}
    for split in sorted(parts, key=["train", "validation", "test", "all", UNLABELLED].index):
        files = parts[split]
        if "image" not in files:
            raise DataError(f"{where} holds {files['label']}, but not the images that it belongs to: fetch them")
        if "label" not in files and split != UNLABELLED:
            raise DataError(f"{where} holds {files['image']}, but no labels for these images: fetch them")
        pairs[split] = (files["image"], files.get("label", ""))
    if "all" in pairs:
        if "train" in pairs:
            raise DataError(
                f"{where} holds {pairs['all'][0]} and {pairs['train'][0]}, both to be trained on: move one of them away"
            )
        pairs = {("train" if split == "all" and len(pairs) > 1 else split): files for split, files in pairs.items()}
    if set(pairs) == {UNLABELLED}:
        raise DataError(f"{where} holds images without labels alone: fetch those with labels")
    return pairs


def _split_part(part: str) -> tuple[str, str]:
    """The set's prefix and the split of `emnist-letters-train-`; the split is "all" where none is named."""
    words = [word for word in re.split(r"[-._ ]+", part) if word]
    if find_split(" ".join(words)):
        return "", find_split(" ".join(words))
    split = find_split(words[-1]) if words else ""
    return "-".join(words[:-1] if split else words).lower(), split or "all"


def _find_set(source: Source, sets: Mapping[str, str]) -> str:
    """The set of all files. Raises `DataError` where they belong to different ones."""
    known = {name: file for file, name in sets.items() if name}
    if len(known) > 1:
        (first, first_file), (second, second_file) = sorted(known.items())[:2]
        raise DataError(
            f"{source.name} mixes two sets, {first} ({first_file}) and {second} ({second_file}): fetch one of them again"
        )
    return mnist_family.find_set(sets.values())


def _name_classes(known: str, numbers: Mapping[str, npt.NDArray[np.int64]]) -> tuple[str, ...]:
    if known:
        return mnist_family.CLASS_NAMES[known]
    found = {number for labels in numbers.values() for number in np.unique(labels).tolist()}
    return tuple(str(number) for number in sorted(found))
