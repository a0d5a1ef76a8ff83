"""Parquet and Arrow files that hold the images themselves, alone or as shards in a folder, as model hubs serve them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import BinaryIO

from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.base.image_files import has_image_ending, is_left_behind
from trainables.layouts.base.listing import ListedImage, Listing
from trainables.layouts.base.split_names import UNLABELLED, find_split
from trainables.layouts.tables.file_index import FileIndex
from trainables.layouts.tables.parquet_table import (
    choose_texts,
    find_class_names,
    find_kind,
    list_contents,
    read_cells,
    to_table,
)
from trainables.layouts.tables.table import ARROWS, open_root, read_table
from trainables.layouts.tables.table_columns import find_label_columns, find_named, refuse_without_labels
from trainables.layouts.tables.table_labels import clean_labels
from trainables.layouts.tables.table_splits import find_row_splits
from trainables.layouts.tables.table_text import Table
from trainables.places.open import Source
from trainables.places.place import Place, read_bytes

_METADATA = "metadata.parquet"
"""A table beside images, which is read as such."""


def matches_parquet(source: Source) -> bool:
    """Whether the source is a Parquet or Arrow file, or a folder with Parquet files and no image file."""
    if source.file:
        return source.suffix in ARROWS
    files = source.place.files()
    return bool(_shards(files)) and not any(has_image_ending(file) for file in files if not is_left_behind(file))


def read_parquet_images(source: Source, config: DataConfig) -> Listing:
    """The images of Parquet or Arrow files; ids are the names that are kept with the images, or the row and the shard's split.

    A shard's split is that of its file's name. A file without a column of images is a table of file names. Raises `DataError`.
    """
    shards = [source.file] if source.file else _shards(source.place.files())
    name = PurePosixPath(source.file or source.place.name.rstrip("/")).stem
    return list_shards(name, source, shards, config) or read_table(Source(source.place, shards[0]), config)


def list_shards(
    name: str,
    source: Source,
    shards: Sequence[str],
    config: DataConfig,
    features: str = "",
    find_shard_split: Callable[[str], str] | None = None,
) -> Listing | None:
    """The images of all shards; None where they hold no images. `features`: what describes the columns, where the files do not."""
    images: list[ListedImage] = []
    notes: dict[str, None] = {}
    columns: dict[str, None] = {}
    names: list[str] = []
    split_of = {shard: (find_shard_split or _split_by_name)(shard) for shard in shards}
    by_files = len(set(split_of.values())) > 1
    split_from = "the shards' names" if by_files else ""
    if by_files and not all(split_of.values()):
        unclear = [shard for shard in shards if not split_of[shard]]
        raise DataError(
            f"the names of {len(unclear)} of {len(shards)} shards in {source.place.name} say no split and those of others do "
            f"({unclear[0]}): call it train, validation or test, or name one file with data.path="
        )
    files = FileIndex(open_root(source, config), config.ending)
    for shard in shards:
        read = _Shard(source.place, shard, config, features)
        if not read.image_column:
            return None
        found, said, column_split = read.list_images(split_of[shard] if by_files else "", files, config)
        images += found
        notes |= dict.fromkeys(said)
        columns |= dict.fromkeys(read.table.columns)
        names = names or list(read.class_names)
        split_from = column_split or split_from
    images = with_unique_ids(images)
    found_labels = {image.label for image in images if image.label is not None}
    if len(found_labels) < 2:
        said_labels = f"one label, {next(iter(found_labels))!r}" if found_labels else "no label"
        raise DataError(f"{source.name} holds {said_labels}, at least 2 classes are needed")
    kind = "Arrow" if shards[0].endswith((".arrow", ".feather")) else "Parquet"
    return Listing(
        name,
        f"{len(shards)} {kind} file{'s' * (len(shards) > 1)} with images",
        images,
        class_names=[name for name in names if name in found_labels] if found_labels <= set(names) else (),
        split_from=split_from,
        notes=list(notes),
        columns=tuple(columns),
    )


class _Shard:
    """One file: its column of images, and the other columns as a table of texts."""

    def __init__(self, place: Place, shard: str, config: DataConfig, features: str) -> None:
        self.name = Source(place, shard).name
        try:
            data = read_bytes(place, shard)
        except OSError as error:
            raise DataError(f"{self.name} cannot be read: {error.strerror or error}") from None
        cells, told = read_cells(self.name, data)
        kinds = [(column, find_kind(found)) for column, found in cells.items()]
        self.image_column = find_content_column(self.name, kinds, config.image_column)
        self.class_names: Sequence[str] = ()
        if not self.image_column:
            return
        self.contents = cells[self.image_column]
        texts = choose_texts(cells)
        self._names = find_class_names(told) or find_class_names(features)
        self.table: Table = to_table(self.name, self._names, texts)
        if not texts:
            self.table = Table(self.name, (), [()] * len(self.contents), range(1, len(self.contents) + 1), unit="row")

    def list_images(self, split: str, files: FileIndex, config: DataConfig) -> tuple[list[ListedImage], list[str], str]:
        """The images, notes, and what gave the split where a column did."""
        table = self.table
        taken = {at for at, name in enumerate(table.columns) if name == config.label_column}
        splits = find_row_splits(table, config, taken)
        said = [split or row_split for row_split in splits.splits]
        may_lack = [part in ("test", UNLABELLED) for part in said]
        notes = list(splits.notes)
        labels: Sequence[str | None] = [None] * len(table.rows)
        place = self._find_labels(config, splits.places, all(may_lack), notes)
        if place is not None:
            column = table.columns[place]
            self.class_names = self._names.get(column, ())
            labels, more = clean_labels(
                table.column(place), may_lack, f"column {column!r} of {table.name}", table.where, config.rename or {}
            )
            notes += more
        shown = [(at, name) for at, name in enumerate(table.columns) if at != place]
        images = []
        for row, content in enumerate(list_contents(self.contents)):
            image_id, opened = _open_content(self.name, row, content, files)
            part = splits.splits[row] or split
            label = None if part == UNLABELLED else labels[row]
            image_id = image_id or f"{split or PurePosixPath(self.name).stem}/{row:05d}"
            cells = {name: table.rows[row][at] for at, name in shown}
            images.append(ListedImage(image_id, opened, label, part if label else "", cells))
        return images, notes, splits.split_from

    def _find_labels(self, config: DataConfig, taken: frozenset[int], may_lack: bool, notes: list[str]) -> int | None:
        table = self.table
        told = [at for at, name in enumerate(table.columns) if name in self._names]
        if config.label_column is not None and (config.label_column in table.columns or not may_lack):
            return find_named(table, "label_column", config.label_column)
        if len(told) == 1:
            return told[0]
        found = find_label_columns(table, None, taken)
        if found.is_one_hot or not found.places:
            if not may_lack:
                refuse_without_labels(table)
            return None
        notes += found.notes
        return found.places[0]


def find_content_column(name: str, kinds: Sequence[tuple[str, str]], wanted: str | None) -> str:
    """The column of images; "" where there is none. Raises `DataError` where there are several."""
    found = [column for column, kind in kinds if kind == "image"] or [
        column for column, kind in kinds if kind == "bytes"
    ]
    if wanted is not None and wanted in [column for column, kind in kinds if kind in ("image", "bytes")]:
        return wanted
    if wanted is not None and (found or wanted not in [column for column, _ in kinds]):
        table = Table(name, tuple(column for column, _ in kinds), (), ())
        if wanted in table.columns:
            raise DataError(f"column {wanted!r} of {name} holds no images: name one with data.image_column={found[0]}")
        find_named(table, "image_column", wanted)
    if len(found) > 1 and wanted is None:
        raise DataError(
            f"{name} has {len(found)} columns of images, {', '.join(found[:5])}: name one with data.image_column="
        )
    return found[0] if found and wanted is None else ""


def _open_content(
    name: str, row: int, content: tuple[str, Callable[[], bytes] | None], files: FileIndex
) -> tuple[str, Callable[[], BinaryIO]]:
    """The id of an image, "" where it has no name, and what opens it. Raises `DataError` for a row without bytes and file."""
    path, take = content
    if take is not None:
        return path, partial(open_bytes, take)
    if not path:
        raise DataError(
            f"row {row + 1} of {name} has neither bytes nor a path of an image: fill it in or remove the row"
        )
    match = files.find(path)
    if len(match.files) != 1:
        raise DataError(
            f"row {row + 1} of {name} has no bytes, and its path {path} is no file in {files.place.name}: name the folder that paths "
            "start from with data.root="
        )
    return match.files[0], partial(files.place.open, match.files[0])


def open_bytes(take: Callable[[], bytes]) -> BinaryIO:
    """An image whose bytes `take` returns, opened."""
    return io.BytesIO(take())


def with_unique_ids(images: Sequence[ListedImage]) -> list[ListedImage]:
    """The images, with their position after ids that are not unique: shards of one hub keep names that start anew."""
    counts: dict[str, int] = {}
    for image in images:
        counts[image.image_id] = counts.get(image.image_id, 0) + 1
    return [
        image if counts[image.image_id] == 1 else replace(image, image_id=f"{row:06d}/{image.image_id}")
        for row, image in enumerate(images)
    ]


def _split_by_name(shard: str) -> str:
    return next(filter(None, (find_split(PurePosixPath(part).stem) for part in reversed(shard.split("/")))), "")


def _shards(files: Sequence[str]) -> list[str]:
    return sorted(
        file
        for file in files
        if file.lower().endswith((".parquet", ".pq"))
        and not is_left_behind(file)
        and not file.lower().endswith(_METADATA)
    )
