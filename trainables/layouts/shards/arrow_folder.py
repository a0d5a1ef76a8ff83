"""Folders that `save_to_disk` of Hugging Face's `datasets` writes: Arrow streams beside `state.json`, also one a split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePosixPath

from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.base.listing import Listing
from trainables.layouts.base.split_names import find_split
from trainables.layouts.tables.parquet_images import list_shards
from trainables.places.open import Source
from trainables.places.place import Place, read_bytes

_STATE, _INFO, _SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"


def matches_arrow_folder(source: Source) -> bool:
    """Whether a folder holds `state.json` beside `.arrow` files, or `dataset_dict.json` above such folders."""
    if source.file:
        return False
    files = source.place.files()
    if not any(file.endswith(".arrow") for file in files):
        return False
    return _STATE in files or _SPLITS in files


def read_arrow_folder(source: Source, config: DataConfig) -> Listing:
    """The images of a saved data set, in its splits where it has some. Raises `DataError`."""
    place = source.place
    states = [file for file in place.files() if PurePosixPath(file).name == _STATE]
    if not states:
        raise DataError(f"{place.name} has {_SPLITS} and no folder with {_STATE}: copy it again as a whole")
    shards: dict[str, str] = {}
    features = ""
    for state in states:
        folder = state.removesuffix(_STATE)
        features = features or _read_features(place, f"{folder}{_INFO}")
        split = find_split(folder.rstrip("/").rpartition("/")[2]) if folder else ""
        shards |= dict.fromkeys(_list_files(place, folder), split)
    name = place.name.rstrip("/").rpartition("/")[2] or "images"
    listing = list_shards(name, source, list(shards), config, features, shards.__getitem__)
    if listing is None:
        raise DataError(
            f"{place.name} has no column of images: name one with data.image_column=, or save the images with the set"
        )
    by_folders = len(set(shards.values())) > 1 and not listing.split_from.startswith("column ")
    return Listing(
        listing.name,
        "a saved data set (Arrow)",
        listing.images,
        class_names=listing.class_names,
        split_from="folders" if by_folders and listing.split_from else listing.split_from,
        notes=listing.notes,
        columns=listing.columns,
    )


def _list_files(place: Place, folder: str) -> Sequence[str]:
    """The Arrow files of a folder that its `state.json` names; caches lie beside them. Raises `DataError`."""
    state = _read_object(place, folder + _STATE)
    told = state.get("_data_files")
    names = [part.get("filename") for part in told if isinstance(part, dict)] if isinstance(told, list) else []
    files = [f"{folder}{name}" for name in names if isinstance(name, str)]
    if not files:
        raise DataError(
            f"{place.name}/{folder}{_STATE} names no file under `_data_files`: copy the folder again as a whole"
        )
    if missing := sorted(set(files) - set(place.files())):
        raise DataError(
            f"{place.name}/{folder}{_STATE} names {missing[0]}, which is not there: copy the folder again as a whole"
        )
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise DataError(f"{place.name}/{folder} is a selection of rows of its files: save it after `flatten_indices()`")
    return files


def _read_features(place: Place, file: str) -> str:
    """What `dataset_info.json` says of the columns, as JSON; "" where it is not there."""
    if file not in place.files():
        return ""
    return json.dumps({"info": _read_object(place, file)})


def _read_object(place: Place, file: str) -> dict[str, object]:
    try:
        found = json.loads(read_bytes(place, file))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{place.name}/{file} is no JSON ({error}): copy the folder again as a whole") from None
    if not isinstance(found, dict):
        raise DataError(f"{place.name}/{file} is no JSON object: copy the folder again as a whole")
    return found
