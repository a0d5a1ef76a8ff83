"""Sets of image files that are published with lists of their splits: Oxford-IIIT Pet, Food-101, CUB-200-2011.

EuroSAT needs no reader of its own: it is class folders, one level down.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainables.config.data import DataConfig
from trainables.data.reading import PassedOver
from trainables.errors import DataError
from trainables.layouts.base.held_files import choose_folder, find_files, read_lines, tell_folder
from trainables.layouts.base.image_files import has_image_ending, is_left_behind
from trainables.layouts.base.listing import Listing, list_file
from trainables.places.open import Source


@dataclass(frozen=True)
class _Entry:
    """One image of a published list."""

    file: str
    """Relative to the folder of the set."""
    label: str
    split: str


@dataclass(frozen=True)
class _Lists:
    """What the lists of a set say."""

    entries: Sequence[_Entry]
    class_names: Sequence[str]
    named: str
    """The lists, as messages name them."""


_NUMBER = re.compile(r"[0-9]{1,9}")
_PET_LISTS = {"train": "annotations/trainval.txt", "test": "annotations/test.txt"}
_FOOD_LISTS = {"train": "meta/train.txt", "test": "meta/test.txt"}
_CUB_LISTS = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")


def matches_pets(source: Source) -> bool:
    """Whether the source has `annotations/trainval.txt` or `annotations/test.txt` beside images, as Oxford-IIIT Pet has."""
    return bool(_find_pets(source))


def read_pets(source: Source, config: DataConfig) -> Listing:
    """Oxford-IIIT Pet (Parkhi et al. 2012): 37 breeds, `images/Abyssinian_100.jpg`; `trainval` is what is trained on.

    Raises `DataError` where a list is damaged, or no image is there.
    """
    return _read(source, "Oxford-IIIT Pet", _find_pets(source), _read_pet_lists)


def matches_food(source: Source) -> bool:
    """Whether the source has `meta/train.txt` or `meta/test.txt` with images as Food-101 has them."""
    return bool(_find_food(source))


def read_food(source: Source, config: DataConfig) -> Listing:
    """Food-101 (Bossard, Guillaumin and Van Gool 2014): `images/apple_pie/1005649.jpg` and so on.

    Raises `DataError` where a list is damaged, or no image is there.
    """
    return _read(source, "Food-101", _find_food(source), _read_food_lists)


def matches_birds(source: Source) -> bool:
    """Whether the source has the four lists of CUB-200-2011 in one folder."""
    return bool(_find_birds(source))


def read_birds(source: Source, config: DataConfig) -> Listing:
    """CUB-200-2011 (Wah et al. 2011): 200 birds, `images/001.Black_footed_Albatross/….jpg`.

    Raises `DataError` where a list is damaged, or no image is there.
    """
    return _read(source, "CUB-200-2011", _find_birds(source), _read_bird_lists)


def _find_pets(source: Source) -> list[str]:
    return _find_lists(source, _PET_LISTS, re.compile(r"images/[^/]+_\d+\.jpg"))


def _find_food(source: Source) -> list[str]:
    return _find_lists(source, _FOOD_LISTS, re.compile(r"images/[^/]+/\d+\.jpg"))


def _find_birds(source: Source) -> list[str]:
    if source.file:
        return []
    found = find_files(source, _CUB_LISTS.__contains__)
    return [folder for folder, names in found.items() if len(names) == len(_CUB_LISTS)]


def _find_lists(source: Source, lists: Mapping[str, str], image: re.Pattern[str]) -> list[str]:
    """Folders that hold one of `lists`, and below them an image whose name is as `image` has it."""
    if source.file:
        return []
    files = source.place.files()
    folders = {
        file[: -len(name)].rstrip("/")
        for file in files
        for name in lists.values()
        if file == name or file.endswith(f"/{name}")
    }
    if not folders:
        return []
    start = {folder: len(folder) + 1 if folder else 0 for folder in folders}
    return sorted(
        folder
        for folder in folders
        if any(
            file.startswith(f"{folder}/" if folder else "") and image.fullmatch(file, start[folder]) for file in files
        )
    )


def _read(
    source: Source, name: str, folders: Sequence[str], read: Callable[[Source, str, Sequence[str]], _Lists]
) -> Listing:
    folder = choose_folder(source, folders, name)
    prefix = f"{folder}/" if folder else ""
    held = [file[len(prefix) :] for file in source.place.files() if file.startswith(prefix)]
    lists = read(source, folder, held)
    there = set(held)
    images, seen = [], set()
    for entry in lists.entries:
        if entry.file in seen:
            raise DataError(
                f"{posixpath.join(source.place.name, folder)}: {lists.named} name {entry.file} twice: fetch them again"
            )
        seen.add(entry.file)
        if entry.file in there:
            images.append(list_file(source.place, prefix + entry.file, entry.label, entry.split))
    if not images:
        raise DataError(
            f"{posixpath.join(source.place.name, folder)} holds the lists of {name}, but none of the {len(seen):,} images that they "
            "name: unpack the images beside them"
        )
    notes = tell_folder(source, folder)
    if missing := len(seen) - len(images):
        notes.append(f"{missing:,} of {len(seen):,} images that {lists.named} name are missing")
    others = [
        PassedOver(prefix + file, f"{lists.named} do not name it")
        for file in held
        if file.startswith("images/") and file not in seen and has_image_ending(file) and not is_left_behind(file)
    ]
    splits = {image.split for image in images}
    return Listing(
        name=name,
        layout=name,
        images=images,
        class_names=lists.class_names,
        split_from=lists.named if splits - {""} else "",
        passed_over=others,
        notes=notes,
    )


def _read_pet_lists(source: Source, folder: str, held: Sequence[str]) -> _Lists:
    """Lines are `Abyssinian_100 1 1 1`: the image, its class from 1, cat or dog, the breed among its kind."""
    entries = []
    numbers: dict[str, int] = {}
    here = [(split, file) for split, file in _PET_LISTS.items() if file in held]
    for split, file in here:
        for line in read_lines(source.place, posixpath.join(folder, file)):
            image, _, rest = line.partition(" ")
            breed, number = image.rpartition("_")[0], rest.split()[:1]
            if not breed or not number or not _NUMBER.fullmatch(number[0]) or "/" in image:
                raise _no_line(source, folder, file, line, "Abyssinian_100 1 1 1")
            if numbers.setdefault(breed, int(number[0])) != int(number[0]):
                raise DataError(
                    f"{posixpath.join(source.place.name, folder, file)} gives {breed} the class {number[0]} and {numbers[breed]}: fetch it again"
                )
            entries.append(_Entry(f"images/{image}.jpg", breed, split if len(here) > 1 else ""))
    return _Lists(entries, sorted(numbers, key=lambda breed: (numbers[breed], breed)), _name(_PET_LISTS, held))


def _read_food_lists(source: Source, folder: str, held: Sequence[str]) -> _Lists:
    """Lines are `apple_pie/1005649`."""
    entries = []
    here = [(split, file) for split, file in _FOOD_LISTS.items() if file in held]
    for split, file in here:
        for line in read_lines(source.place, posixpath.join(folder, file)):
            if not re.fullmatch(r"[^/]+/[^/]+", line):
                raise _no_line(source, folder, file, line, "apple_pie/1005649")
            entries.append(_Entry(f"images/{line}.jpg", line.partition("/")[0], split if len(here) > 1 else ""))
    names = {entry.label for entry in entries}
    if "meta/classes.txt" in held:
        published = read_lines(source.place, posixpath.join(folder, "meta/classes.txt"))
        if set(published) != names or len(published) != len(names):
            raise DataError(
                f"{posixpath.join(source.place.name, folder)}/meta/classes.txt names other classes than the lists of images: fetch it again"
            )
        return _Lists(entries, published, _name(_FOOD_LISTS, held))
    return _Lists(entries, sorted(names), _name(_FOOD_LISTS, held))


def _read_bird_lists(source: Source, folder: str, held: Sequence[str]) -> _Lists:
    """Lines have a number and what belongs to it: the image's file, its class, whether it is trained on; the class's name."""
    files, labels, trained, names = (
        dict(_split_line(source, folder, file, line) for line in read_lines(source.place, posixpath.join(folder, file)))
        for file in _CUB_LISTS
    )
    entries = []
    for number, file in files.items():
        if labels.get(number) not in names or trained.get(number) not in ("0", "1"):
            raise DataError(
                f"{posixpath.join(source.place.name, folder)}: image {number} of images.txt lacks a class or a split in the other "
                "lists: fetch them again"
            )
        entries.append(_Entry(f"images/{file}", names[labels[number]], "train" if trained[number] == "1" else "test"))
    return _Lists(entries, [*dict.fromkeys(names.values())], "images.txt and train_test_split.txt")


def _split_line(source: Source, folder: str, file: str, line: str) -> tuple[str, str]:
    number, _, value = line.partition(" ")
    if not _NUMBER.fullmatch(number) or not value:
        raise _no_line(source, folder, file, line, "12 and a word")
    return number, value.strip()


def _no_line(source: Source, folder: str, file: str, line: str, like: str) -> DataError:
    where = posixpath.join(source.place.name, folder, file)
    return DataError(f"{where} holds the line {line[:60]!r}, but lines are as {like!r}: fetch it again")


def _name(lists: Mapping[str, str], held: Sequence[str]) -> str:
    return " and ".join(file for file in lists.values() if file in held)
