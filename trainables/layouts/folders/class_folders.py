"""Folders of images: one a class, or one a split with one a class below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from trainables.config.data import DataConfig
from trainables.data.reading import PassedOver
from trainables.errors import DataError
from trainables.layouts.base.image_files import find_images, is_left_behind, is_system_folder, is_unread_image
from trainables.layouts.base.listing import ListedImage, Listing, list_file
from trainables.layouts.base.split_names import (
    UNLABELLED,
    are_splits,
    find_split,
    find_splits,
    hold_training,
    says_nothing,
)
from trainables.places.archive import TARS, ZIPS
from trainables.places.open import Source
from trainables.places.part import PartPlace
from trainables.places.place import Place

_LABELLED = ("train", "validation", "test")
_ARCHIVES = (*ZIPS, *TARS)


def read_folders(source: Source, config: DataConfig) -> Listing:
    """The images of class folders, in their splits where the folders are split folders.

    Folders above them are passed through. Split folders are told by their names (`split_names.find_splits`), whatever lies beside
    them; a split folder without class folders is unlabelled.
    Raises `DataError` where there is neither, where a class folder holds no image, and for names that are not UTF-8.
    """
    place, found, others, notes = _descend(source.place)
    folders = [name for name in _top(place.folders()) if not is_system_folder(name)]
    held = Counter(file.split("/")[0] for file in found if "/" in file)
    if strange := [ascii(file) for file in found if not _is_text(file)]:
        raise DataError(f"{len(strange)} file names in {place.name} are not UTF-8: {_some(strange)}: rename them")
    splits = find_splits([name for name in folders if held[name]])
    if hold_training(splits.values()) and any(_class_folders(place, name) for name, split in splits.items() if split):
        listing = _read_split_folders(place, folders, splits, found, config)
    elif _are_splits_below(place, folders):
        listing = _read_splits_below(place, found)
    else:
        listing = _read_class_folders(place, folders, found, held, config)
    return Listing(
        name=place.name.rstrip("/").rpartition("/")[2] or "images",
        layout=listing.layout,
        images=listing.images,
        split_from=listing.split_from,
        passed_over=[*others, *listing.passed_over],
        notes=[*notes, *listing.notes],
    )


def _descend(place: Place) -> tuple[Place, list[str], list[PassedOver], list[str]]:
    """The folder that holds the class folders or split folders, its images and all other files, and what to say where that is not
    the one that was named.

    A folder is passed through where all images lie in one folder of it, which holds folders and no image itself. Folders beside
    that one must hold files, none of which a person takes for an image: an empty one may be a class that got lost.
    """
    found, others = find_images(place, place.files())
    empty: list[str] = []
    is_deeper = False
    while True:
        folders = [name for name in _top(place.folders()) if not is_system_folder(name)]
        full = {file.partition("/")[0] for file in found if "/" in file}
        beside = [name for name in folders if name not in full]
        files = [other.name for other in others if not is_left_behind(other.name)]
        if (
            len(full) != 1
            or any(file.count("/") < 2 for file in found)
            or not all(_holds_other_files(files, folder) for folder in beside)
        ):
            break
        (name,) = full
        place, is_deeper = PartPlace(place, name), True
        found = [file[len(name) + 1 :] for file in found]
        others = [PassedOver(other.name.removeprefix(f"{name}/"), other.reason) for other in others]
        empty += [f"{folder}/" for folder in beside]
    also = f"; {_some(empty)} beside that hold{'s' * (len(empty) == 1)} no image" if empty else ""
    notes = [f"the class folders lie one folder deeper, in {place.name}{also}"] if is_deeper else []
    return place, found, others, notes


def _holds_other_files(files: Sequence[str], folder: str) -> bool:
    inside = [file for file in files if file.startswith(f"{folder}/")]
    return bool(inside) and not any(map(is_unread_image, inside))


def _read_class_folders(
    place: Place, folders: Sequence[str], found: Sequence[str], held: Mapping[str, int], config: DataConfig
) -> Listing:
    if len(folders) < 2:
        raise DataError(_explain_no_classes(place, folders, found))
    _refuse_empty(place, folders, [name for name in folders if not held.get(name)], config)
    folders = [name for name in folders if held.get(name)]
    if folders and (are_splits(folders) or all(find_split(name) for name in folders)):
        raise DataError(
            f"the folders of {place.name} are called {', '.join(folders)}, as splits are, but hold no class folders: put the "
            "images of each class into a folder of its own below them, name a table of labels with data.path=, or say where a file's "
            f"name has the label with data.label_regex= (the first is {found[0]!r})"
        )
    images = [list_file(place, file, file.split("/")[0]) for file in found if "/" in file]
    beside = [PassedOver(file, "lies beside the class folders") for file in found if "/" not in file]
    notes = _name_look_alikes(folders)
    if below := _describe_below(found):
        notes.append(below)
    elif strange := [name for name in folders if find_split(name)]:
        notes.append(
            f"the class folder {strange[0]}/ has the name of a split: it is taken for a class, because it holds images and no class folders"
        )
    return Listing("", "class folders", images, passed_over=beside, notes=notes)


def _refuse_empty(place: Place, folders: Sequence[str], empty: Sequence[str], config: DataConfig) -> None:
    """Raise `DataError` for class folders without an image, unless the configuration names classes and none of them."""
    chosen = {str(name).casefold() for name in config.classes or ()}
    if chosen and not any(isinstance(name, int) for name in config.classes or ()):
        empty = [name for name in empty if name.rpartition("/")[2].casefold() in chosen]
    if empty:
        raise DataError(
            f"{len(empty)} of {len(folders)} class folders in {place.name} hold no image: {_some([f'{name}/' for name in empty])}: add "
            "images, remove the folder, or name the other classes with data.classes="
        )


def _describe_below(found: Sequence[str]) -> str:
    """What to say where all images lie in folders below the class folders, two or more a class: they could be the classes."""
    below: dict[str, set[str]] = {}
    for file in found:
        name, *inner = file.split("/")
        if len(inner) == 1:
            return ""
        if inner:
            below.setdefault(name, set()).add(inner[0])
    if len(below) < 2 or any(len(names) < 2 for names in below.values()):
        return ""
    same = sorted(set.intersection(*below.values()))
    top, first = next((name, min(names)) for name, names in sorted(below.items()))
    held = (
        f"folders of the same names ({_some([f'{name}/' for name in same])})"
        if len(same) > 1
        else f"folders ({top}/{first}/)"
    )
    return (
        f"the class folders {_some([f'{name}/' for name in sorted(below)])} hold {held}: where those are the classes, "
        "data.label_regex='^[^/]+/([^/]+)/' says so; data.group=2 keeps the images of each of them together"
    )


def _read_split_folders(
    place: Place, folders: Sequence[str], splits: Mapping[str, str], found: Sequence[str], config: DataConfig
) -> Listing:
    """Images of `train/cat/…`; classes are the folders below the split folders, whatever their case.

    `splits` are those of the folders that hold images. Folders that say nothing are passed through, as `train/images/cat`; a part
    with a single folder that is no class of training has no labels, as `test/unknown`.
    """
    notes: list[str] = []
    images: list[ListedImage] = []
    others: list[PassedOver] = []
    prefixes = {name: _find_prefix(name, found) for name, split in splits.items() if split in _LABELLED}
    classes = {name: _class_folders(place, prefix) for name, prefix in prefixes.items()}
    trained = {
        file.removeprefix(f"{prefix}/").split("/")[0].casefold()
        for name, prefix in prefixes.items()
        if splits[name] == "train"
        for file in found
        if file.startswith(f"{prefix}/") and "/" in file.removeprefix(f"{prefix}/")
    }
    labelled = {
        name
        for name, below in classes.items()
        if below and (splits[name] == "train" or len(below) > 1 or below[0].casefold() in trained)
    }
    spelling = _choose_spelling(
        sorted((class_name, splits[name] != "train") for name in labelled for class_name in classes[name])
    )
    for file in found:
        part = file.partition("/")[0]
        split = splits.get(part, "") if "/" in file else ""
        below = file.removeprefix(f"{prefixes.get(part, part)}/")
        if part in labelled and "/" in below and below != file:
            images.append(list_file(place, file, spelling[below.split("/")[0].casefold()], split))
        elif split:
            images.append(list_file(place, file, None))
        else:
            others.append(PassedOver(file, "lies beside the split folders"))
    if beside := sorted(name for name, split in splits.items() if not split):
        notes.append(
            f"{_some([f'{name}/' for name in beside])} lie{'s' * (len(beside) == 1)} beside the split folders and is passed over"
        )
    held = {
        (file.removeprefix(f"{prefixes[name]}/").split("/")[0], name)
        for name in labelled
        for file in found
        if file.startswith(f"{prefixes[name]}/")
    }
    empty = [
        (name, class_name)
        for name in sorted(labelled)
        for class_name in classes[name]
        if (class_name, name) not in held
    ]
    lost = [f"{prefixes[name]}/{class_name}" for name, class_name in empty if class_name.casefold() not in trained]
    _refuse_empty(place, sorted(spelling), lost, config)
    if empty := [(name, class_name) for name, class_name in empty if class_name.casefold() in trained]:
        notes.append(
            f"{_some([f'{prefixes[name]}/{class_name}/' for name, class_name in empty])} hold{'s' * (len(empty) == 1)} no image"
        )
    if unlabelled := sum(image.label is None for image in images):
        parts = sorted({image.image_id.split("/")[0] for image in images if image.label is None})
        notes.append(
            f"{unlabelled:,} images in {_some([f'{part}/' for part in parts])} have no label: `caucus predict` takes them, and "
            f"pseudo_labels.data.path={place.name.rstrip('/')}/{parts[0]}"
        )
    return Listing("", "split folders", images, split_from="folders", passed_over=others, notes=notes)


def _find_prefix(part: str, found: Sequence[str]) -> str:
    """The folder of a split that holds its class folders: itself, or one below where all its images lie in a folder whose name says
    nothing, as `train/images`."""
    prefix = part
    while True:
        inside = [file[len(prefix) + 1 :] for file in found if file.startswith(f"{prefix}/")]
        tops = {file.partition("/")[0] for file in inside if "/" in file}
        if len(tops) != 1 or any(file.count("/") < 2 for file in inside):
            return prefix
        (name,) = tops
        if not says_nothing(name):
            return prefix
        prefix = f"{prefix}/{name}"


def _read_splits_below(place: Place, found: Sequence[str]) -> Listing:
    """Images of `cat/train/…`: split folders within class folders."""
    images = []
    for file in found:
        class_name, _, below = file.partition("/")
        split = find_split(below.split("/")[0])
        images.append(
            list_file(place, file, None if split == UNLABELLED else class_name, "" if split == UNLABELLED else split)
        )
    return Listing("", "class folders with split folders below", images, split_from="folders")


def _are_splits_below(place: Place, folders: Sequence[str]) -> bool:
    below = [_top(PartPlace(place, folder).folders()) for folder in folders]
    return len(below) > 1 and all(are_splits(names) and all(map(find_split, names)) for names in below)


def _class_folders(place: Place, folder: str) -> list[str]:
    return [name for name in _top(PartPlace(place, folder).folders()) if not is_system_folder(name)]


def _choose_spelling(found: Iterable[tuple[str, bool]]) -> dict[str, str]:
    """One spelling for class folders that differ by case between splits, by the folded name; that of the training folder wins."""
    spelling: dict[str, str] = {}
    for name, _ in sorted(found, key=lambda pair: pair[1]):
        spelling.setdefault(name.casefold(), name)
    return spelling


def _name_look_alikes(folders: Sequence[str]) -> list[str]:
    """What to say of classes that a person would call one and a computer two."""
    alike: dict[str, list[str]] = {}
    for name in folders:
        alike.setdefault("".join(name.casefold().replace("_", " ").replace("-", " ").split()), []).append(name)
    return [
        f"the classes {' and '.join(map(repr, names))} differ by case, spaces or dashes alone: rename one where they mean the same"
        for names in alike.values()
        if len(names) > 1
    ]


def _explain_no_classes(place: Place, folders: Sequence[str], found: Sequence[str]) -> str:
    if found and not folders:
        return (
            f"data.path {place.name} holds {len(found):,} images and no class folder: put the images of each class into a folder "
            "of its own, name a table of labels with data.path=, or say where a file's name has the label with "
            f"data.label_regex= (the first is {found[0]!r})"
        )
    if len(folders) == 1 and found:
        return (
            f"data.path {place.name} holds 1 class folder, {folders[0]}/: at least 2 classes are needed; where {folders[0]}/ is one "
            "of them, name the folder above it"
        )
    if archives := [file for file in place.files() if file.lower().endswith(_ARCHIVES) and not is_left_behind(file)]:
        remedy = (
            "name it with data.path=" if len(archives) == 1 else "name one with data.path=, or unpack them side by side"
        )
        return (
            f"data.path {place.name} holds no images in class folders, but {len(archives)} archive{'s' * (len(archives) > 1)}, "
            f"{_some(archives)}: {remedy}"
        )
    files = Counter(
        PurePosixPath(file).suffix.lower() or "no ending" for file in place.files() if not is_left_behind(file)
    )
    there = f" ({', '.join(f'{count:,} with {ending}' for ending, count in files.most_common(3))})" if files else ""
    return (
        f"data.path {place.name} holds no images in class folders{there}: put the images of each class into a folder of its own, or "
        "name a table with data.path="
    )


def _top(folders: Iterable[str]) -> list[str]:
    return [name for name in folders if "/" not in name]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
