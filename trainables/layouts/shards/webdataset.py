"""WebDataset: tar archives in which files of one name and several endings are a sample, `00012.jpg` beside `00012.cls`."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.base.image_files import has_image_ending, is_left_behind
from trainables.layouts.base.listing import ListedImage, Listing, list_file
from trainables.layouts.base.split_names import UNLABELLED, find_split
from trainables.layouts.tables.file_index import ends_as_image
from trainables.layouts.tables.table_columns import find_label_columns, find_named
from trainables.layouts.tables.table_json import check_texts, to_cell
from trainables.layouts.tables.table_labels import clean_labels
from trainables.layouts.tables.table_text import Table
from trainables.places.archive import TARS, TarPlace
from trainables.places.open import Source
from trainables.places.place import Place, read_bytes

_LABEL_ENDINGS = ("cls", "json", "txt")
"""Files of a sample that may hold its label, the likeliest first."""

_LOOKED_INTO = 200
"""Files of a tar archive that tell whether it holds samples."""


def matches_webdataset(source: Source) -> bool:
    """Whether the source is a tar archive of samples, or a folder of such with no image file beside them."""
    if source.file:
        return False
    if isinstance(source.place, TarPlace):
        return _holds_samples(source.place)
    files = source.place.files()
    shards = [file for file in files if file.lower().endswith(TARS) and not is_left_behind(file)]
    if not shards or any(ends_as_image(file) and not is_left_behind(file) for file in files):
        return False
    return _holds_samples(_open_shard(source.place, shards[0]))


def read_webdataset(source: Source, config: DataConfig) -> Listing:
    """The images of all shards; the id is the sample's key, the split that of a shard's name. Raises `DataError`."""
    if isinstance(source.place, TarPlace):
        shards = {PurePosixPath(source.place.name).name: source.place}
    else:
        names = [file for file in source.place.files() if file.lower().endswith(TARS) and not is_left_behind(file)]
        shards = {name: _open_shard(source.place, name) for name in names}
    splits = {name: _split_of(name) for name in shards}
    by_files = len(set(splits.values())) > 1
    keys = Counter(key for place in shards.values() for key in _samples(place.in_order()))
    images: list[ListedImage] = []
    notes: dict[str, None] = {}
    columns: dict[str, None] = {}
    for name, place in shards.items():
        prefix = f"{PurePosixPath(name).name.partition('.')[0]}/"
        found, said, table = _read_shard(place, splits[name] if by_files else "", config)
        for image in found:
            image_id = image.image_id if keys[image.image_id] == 1 else prefix + image.image_id
            images.append(replace(image, image_id=image_id))
        notes |= dict.fromkeys(said)
        columns |= dict.fromkeys(table.columns)
    labels = {image.label for image in images if image.label is not None}
    if len(labels) < 2:
        said_labels = f"one label, {next(iter(labels))!r}" if labels else "no label"
        raise DataError(f"{source.name} holds {said_labels}, at least 2 classes are needed")
    return Listing(
        PurePosixPath(source.place.name.rstrip("/")).name.partition(".")[0] or "images",
        f"WebDataset ({len(shards)} tar archive{'s' * (len(shards) > 1)})",
        images,
        split_from="the shards' names" if by_files else "",
        notes=list(notes),
        columns=tuple(columns),
    )


def _open_shard(place: Place, file: str) -> TarPlace:
    name = Source(place, file).name
    try:
        return TarPlace(name, place.open(file))
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from None


def _holds_samples(place: TarPlace) -> bool:
    """Whether at least half of the first images have a file of the same name with a label."""
    samples = _samples(list(islice(place.in_order(), _LOOKED_INTO)))
    with_image = [parts for parts in samples.values() if any(has_image_ending(f"x.{end}") for end in parts)]
    labelled = sum(any(end in parts for end in _LABEL_ENDINGS) for parts in with_image)
    return bool(with_image) and 2 * labelled >= len(with_image)


def _samples(files: Sequence[str]) -> dict[str, dict[str, str]]:
    """The files of each sample by their ending in lower case: what follows the first dot of the name, as WebDataset has it."""
    samples: dict[str, dict[str, str]] = defaultdict(dict)
    for file in files:
        if is_left_behind(file):
            continue
        folder, slash, name = file.rpartition("/")
        stem, _, ending = name.partition(".")
        samples[folder + slash + stem][ending.lower()] = file
    return samples


def _read_shard(place: TarPlace, split: str, config: DataConfig) -> tuple[list[ListedImage], list[str], Table]:
    samples = {
        key: (parts, image)
        for key, parts in _samples(place.in_order()).items()
        if (image := next((file for end, file in parts.items() if has_image_ending(f"x.{end}")), ""))
    }
    rows = [_read_row(place, parts) for parts, _ in samples.values()]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    texts = [[row.get(column, "") for column in columns] for row in rows]
    table = Table(place.name, tuple(columns), texts, range(1, len(rows) + 1), unit="sample")
    table = check_texts(place.name, table)
    may_lack = split in ("test", UNLABELLED)
    at, notes = _find_label(table, config, may_lack)
    labels: Sequence[str | None] = [None] * len(rows)
    if at is not None:
        keys = list(samples)
        labels, more = clean_labels(
            table.column(at),
            [may_lack] * len(rows),
            f"column {table.columns[at]!r} of {place.name}",
            lambda row: f"sample {keys[row]} of {place.name}",
            config.rename or {},
        )
        notes += more
    images = []
    for (key, (_, image)), row, found in zip(samples.items(), rows, labels, strict=True):
        label = None if split == UNLABELLED else found
        cells = {column: cell for column, cell in row.items() if at is None or column != table.columns[at]}
        images.append(list_file(place, image, label, split if label else "", key, cells))
    return images, notes, table


def _find_label(table: Table, config: DataConfig, may_lack: bool) -> tuple[int | None, list[str]]:
    """The column with the labels: the configured one, `cls`, one of the JSON keys, or `txt` where its words recur."""
    if config.label_column is not None and (config.label_column in table.columns or not may_lack):
        return find_named(table, "label_column", config.label_column), []
    if "cls" in table.columns:
        return table.columns.index("cls"), []
    text = [at for at, name in enumerate(table.columns) if name == "txt"]
    found = find_label_columns(table, None, text)
    if len(found.places) == 1:
        return found.places[0], list(found.notes)
    if text and len(set(table.column(text[0]))) <= max(2, len(table.rows) / 2):
        note = f"the .txt files of {table.name} have words that recur: they are taken for labels; data.label_column= names another"
        return text[0], [note]
    if may_lack or not table.rows:
        return None, []
    raise DataError(
        f"{table.name} has no label of its samples, neither as .cls nor under a known key of .json nor as a recurring word in .txt: "
        f"name one of {', '.join(map(repr, table.columns[:12])) or 'none'} with data.label_column="
    )


def _read_row(place: TarPlace, parts: Mapping[str, str]) -> dict[str, str]:
    """The cells of a sample: its `.cls` and `.txt`, and the keys of its `.json`. Raises `DataError`."""
    row: dict[str, str] = {}
    for ending in _LABEL_ENDINGS:
        if ending not in parts:
            continue
        file = parts[ending]
        try:
            text = read_bytes(place, file).decode("utf-8-sig").strip()
            if ending != "json":
                row[ending] = text
                continue
            found: Any = json.loads(text)
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{file} in {place.name} cannot be read ({error}): write the archive again") from None
        if isinstance(found, dict):
            row |= {str(key): to_cell(value) for key, value in found.items() if key not in row}
        else:
            row["json"] = to_cell(found)
    return row


def _split_of(name: str) -> str:
    return next(filter(None, (find_split(part.partition(".")[0]) for part in reversed(name.split("/")))), "")
