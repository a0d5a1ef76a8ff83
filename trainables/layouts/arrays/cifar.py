"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary form: a row of bytes for each image."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainables.config.data import DataConfig
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
from trainables.places.place import read_head

_PIXELS = 3 * 32 * 32
"""Red, then green, then blue, each row by row."""

_TEN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEN_TEST = "test_batch.bin"
_TEN_NAMES: tuple[str, ...] = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_HUNDRED, _HUNDRED_TEST, _FINE = "train.bin", "test.bin", "fine_label_names.txt"
_HUNDRED_FOLDER = "cifar-100-binary"

_FILE_ROWS = 10_000
_ROWS = {_HUNDRED: 50_000}
"""Images of the published files: a file that is cut between two images looks whole."""

_PICKLES = (*(name.removesuffix(".bin") for name in _TEN), "test_batch", "batches.meta")
_PICKLED_HUNDRED = frozenset({"train", "test", "meta"})
_PICKLE = b"\x80"
"""First byte of a pickle from protocol 2 on."""


def matches_cifar(source: Source) -> bool:
    """Whether the source has files that are called as those of CIFAR are, in binary form or as pickles."""
    return any(_find(source))


def read_cifar(source: Source, config: DataConfig) -> Listing:
    """The images of CIFAR-10 or CIFAR-100 (its 100 fine classes) in the published splits `train` and `test`.

    Raises `DataError` where files are damaged, and for the pickled form: reading a pickle runs what stands in it.
    """
    ten, hundred, pickled_ten, pickled_hundred = _find(source)
    if not ten and not hundred:
        number, folders = (10, pickled_ten) if pickled_ten else (100, pickled_hundred)
        raise DataError(
            f"{posixpath.join(source.place.name, folders[0])} holds CIFAR-{number} as a pickle, which is never read: take "
            f"cifar-{number}-binary.tar.gz"
        )
    folder = choose_folder(source, [*ten, *hundred], "CIFAR in binary form")
    return _read_ten(source, folder) if ten else _read_hundred(source, folder)


def _find(source: Source) -> tuple[list[str], list[str], list[str], list[str]]:
    """Folders with CIFAR-10, with CIFAR-100, and with either as pickles."""
    known = {*_TEN, _TEN_TEST, _HUNDRED, _HUNDRED_TEST, _FINE, *_PICKLES, *_PICKLED_HUNDRED}
    found = find_files(source, known.__contains__)
    ten = [folder for folder, names in found.items() if not {*_TEN, _TEN_TEST}.isdisjoint(names)]
    pickled_ten = [folder for folder, names in found.items() if not {*_PICKLES}.isdisjoint(names)]
    hundred, pickled_hundred = [], []
    for folder, names in found.items():
        if source.file:
            # `train.bin` and `train` may be anything: what lies beside tells.
            beside = (
                {*find_beside(source, folder, [_FINE, "meta"])}
                if source.file in (known - {*_TEN, *_PICKLES})
                else set()
            )
            names = [*names, *beside]
        if not {_HUNDRED, _HUNDRED_TEST}.isdisjoint(names) and (_FINE in names or folder.endswith(_HUNDRED_FOLDER)):
            hundred.append(folder)
        if "meta" in names and len(_PICKLED_HUNDRED.intersection(names)) > 1 and _is_pickle(source, folder):
            pickled_hundred.append(folder)
    return ten, hundred, pickled_ten, pickled_hundred


def _is_pickle(source: Source, folder: str) -> bool:
    try:
        return read_head(source.place, posixpath.join(folder, "meta"), 1) == _PICKLE
    except OSError:
        return False


def _read_ten(source: Source, folder: str) -> Listing:
    held = find_beside(source, folder, [*_TEN, _TEN_TEST, "batches.meta.txt"])
    names = _TEN_NAMES
    if "batches.meta.txt" in held:
        names = _read_names(source, folder, "batches.meta.txt", 10)
    train = [name for name in held if name in _TEN]
    parts = {"train": train, "test": [name for name in held if name == _TEN_TEST]}
    notes = []
    if train and len(train) < len(_TEN):
        missing = [name for name in _TEN if name not in train]
        notes = [
            f"{', '.join(missing)} of CIFAR-10's five training files {'is' if len(missing) == 1 else 'are'} missing"
        ]
    return _list(source, folder, "CIFAR-10", parts, names, 1, notes)


def _read_hundred(source: Source, folder: str) -> Listing:
    held = find_beside(source, folder, [_HUNDRED, _HUNDRED_TEST, _FINE])
    notes = []
    if _FINE in held:
        names = _read_names(source, folder, _FINE, 100)
    else:
        names = tuple(map(str, range(100)))
        notes = [f"{_FINE} is missing: classes are called by their numbers"]
    parts = {split: [name for name in held if name == f"{split}.bin"] for split in ("train", "test")}
    return _list(source, folder, "CIFAR-100", parts, names, 2, notes)


def _list(
    source: Source,
    folder: str,
    name: str,
    parts: dict[str, list[str]],
    names: Sequence[str],
    label_bytes: int,
    notes: Sequence[str],
) -> Listing:
    read = {
        split: [_read_rows(source, posixpath.join(folder, file), names, label_bytes) for file in files]
        for split, files in parts.items()
        if files
    }
    counts = {
        file: len(rows)
        for split, files in parts.items()
        for file, (rows, _) in zip(files, read.get(split, ()), strict=True)
    }
    published = {file: _ROWS.get(file, _FILE_ROWS) for file in counts}
    if short := [
        f"{file} has {count:,} of {published[file]:,}" for file, count in counts.items() if count != published[file]
    ]:
        notes = [
            *notes,
            f"files do not hold all images that were published ({', '.join(short)}): fetch what is cut short",
        ]
    images, has_splits = list_parts(
        {
            split: (
                np.concatenate([pixels for pixels, _ in found]),
                [label for _, labels in found for label in labels],
            )
            for split, found in read.items()
        }
    )
    return Listing(
        name=name,
        layout=f"{name} binary files",
        images=images,
        class_names=tuple(names),
        split_from="the files" if has_splits else "",
        notes=[*tell_folder(source, folder), *notes],
    )


def _read_rows(
    source: Source, file: str, names: Sequence[str], label_bytes: int
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Pixels, uint8 (images, 32, 32, 3), and labels: the last of the `label_bytes` before the pixels, which is the fine class."""
    data = read_whole(source.place, file)
    row_bytes = label_bytes + _PIXELS
    if len(data) % row_bytes:
        raise DataError(
            f"{posixpath.join(source.place.name, file)} holds {len(data):,} bytes, no whole number of rows of {row_bytes:,} bytes: "
            "fetch it again"
        )
    rows = np.frombuffer(data, np.uint8).reshape(-1, row_bytes)
    check_count(file, len(rows), file, len(rows))
    labels = name_labels(file, rows[:, label_bytes - 1], names)
    pixels = rows[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels), labels


def _read_names(source: Source, folder: str, file: str, count: int) -> tuple[str, ...]:
    names = read_lines(source.place, posixpath.join(folder, file))
    if len(names) != count or len(set(names)) != count:
        raise DataError(
            f"{posixpath.join(source.place.name, folder, file)} names {len(set(names))} classes, but {count} are in the set: fetch it again"
        )
    return tuple(names)
