"""Tables of file names and labels: CSV, JSON, Parquet and Arrow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.base.listing import ListedImage, Listing, list_file
from trainables.layouts.base.split_names import UNLABELLED
from trainables.layouts.tables.file_index import FileIndex
from trainables.layouts.tables.table_columns import (
    find_image_column,
    find_label_columns,
    read_one_hot,
    refuse_without_labels,
)
from trainables.layouts.tables.table_files import find_files, some
from trainables.layouts.tables.table_json import NULL
from trainables.layouts.tables.table_labels import clean_labels
from trainables.layouts.tables.table_splits import find_row_splits
from trainables.layouts.tables.table_text import Table, read_text
from trainables.places.open import Source, open_source
from trainables.places.place import Place, read_bytes

TEXTS = (".csv", ".tsv", ".tab", ".psv", ".txt", ".lst", ".jsonl", ".ndjson", ".json")
ARROWS = (".parquet", ".pq", ".arrow", ".feather")


@dataclass(frozen=True)
class TablePart:
    """A table, and what is known of it from outside: its split, and where its file names start."""

    table: Table
    index: FileIndex
    prefix: str = ""
    """What ids have before the file's name: the folder of the index within the source."""
    split: str = ""
    """The split of all rows, as the name of the table's file says it; "" where it says none."""


def matches_table(source: Source) -> bool:
    """Whether the source is a file with the ending of a table."""
    return source.suffix in (*TEXTS, *ARROWS)


def read_table(source: Source, config: DataConfig) -> Listing:
    """The images that a table names; ids are the paths below `data.root`, by default the table's folder.

    Raises `DataError` where the table is not readable, lacks a column or a value, names files that are not there or outside the
    root, or one file with two labels.
    """
    part = TablePart(open_table(source.place, source.file, config), FileIndex(open_root(source, config), config.ending))
    name = PurePosixPath(source.file).stem
    return list_parts(name, f"a table ({PurePosixPath(source.file).name})", [part], config)


def open_root(source: Source, config: DataConfig) -> Place:
    """The place that file names start from."""
    if config.root is None:
        return source.place
    root = open_source(config.root, config.endpoint_url, "data.root")
    if root.file:
        raise DataError(f"data.root {config.root} is a file: name the folder that file names start from")
    return root.place


def open_table(place: Place, file: str, config: DataConfig) -> Table:
    """The table in a file of any of the formats. Raises `DataError`."""
    source = Source(place, file)
    try:
        data = read_bytes(place, file)
    except OSError as error:
        raise DataError(f"{source.name} cannot be read: {error.strerror or error}") from None
    if source.suffix in ARROWS:
        from trainables.layouts.tables.parquet_table import read_arrow_table

        return read_arrow_table(source.name, data)
    return read_text(source.name, data, source.suffix, config.delimiter, config.header)


def list_parts(
    name: str,
    layout: str,
    parts: Sequence[TablePart],
    config: DataConfig,
    split_from: str = "",
    is_whole: bool = False,
) -> Listing:
    """The images of one or more tables. `is_whole`: all images of the place are meant, not those in the folders of named ones."""
    notes: list[str] = []
    found: dict[str, ListedImage] = {}
    lines: dict[str, str] = {}
    twice: list[str] = []
    repeated: Counter[str] = Counter()
    columns: dict[str, None] = {}
    for part in parts:
        images, wheres, column_split, said = _read_part(part, config)
        notes += [note for note in said if note not in notes]
        split_from = column_split or split_from
        columns |= dict.fromkeys(part.table.columns)
        for image, where in zip(images, wheres, strict=True):
            known = found.setdefault(image.image_id, image)
            first = lines.setdefault(image.image_id, where)
            if known is image:
                continue
            if known.label == image.label and (known.split == image.split or not config.keep_split):
                repeated[image.image_id] += 1
            else:
                twice.append(f"{image.image_id} ({_join_lines(first, where)})")
    table = parts[0].table.name
    if twice:
        raise DataError(
            f"{table} names files twice: {some(twice)}: keep one line a file, they differ in label or split"
        )
    if repeated:
        notes.append(
            f"{len(repeated):,} files are in several rows with the same label ({some(list(repeated))}): each is taken once"
        )
    _refuse_too_few(parts, config, found)
    notes += _count_unnamed(parts, found, is_whole)
    if len({image.split for image in found.values() if image.label is not None}) < 2:
        split_from = "" if all(image.label is not None for image in found.values()) else split_from
    return Listing(name, layout, list(found.values()), split_from=split_from, notes=notes, columns=tuple(columns))


def _read_part(part: TablePart, config: DataConfig) -> tuple[list[ListedImage], list[str], str, list[str]]:
    """Images, their lines, what gave the split, and notes."""
    table = part.table
    image_at, notes = find_image_column(
        table, config.image_column, lambda name: bool(part.index.find(name, part.split).files)
    )
    taken = {image_at} | {at for at, name in enumerate(table.columns) if name == config.label_column}
    splits = find_row_splits(table, config, taken)
    said = [part.split or split for split in splits.splits]
    may_lack = [split in ("test", UNLABELLED) for split in said]
    wanted = config.label_column
    if wanted is not None and wanted not in table.columns and all(may_lack):
        wanted = None
    labelled = find_label_columns(table, wanted, {image_at} | splits.places)
    if not labelled.places and not (may_lack and all(may_lack)):
        refuse_without_labels(table)
    notes += [*table.notes, *splits.notes, *labelled.notes]
    if not table.has_header and None in (config.image_column, config.label_column):
        has_labels = f", column {table.columns[labelled.places[0]]} the labels" if labelled.places else ""
        notes.append(
            f"{table.name} has no header: column {table.columns[image_at]} has the file names{has_labels}: data.header=true takes "
            "its first line as one, data.image_column= and data.label_column= name others"
        )
    labels: Sequence[str | None] = [None] * len(table.rows)
    if labelled.places:
        at = labelled.places[0]
        what = f"column {table.columns[at]!r} of {table.name}"
        cells = read_one_hot(table, labelled.places) if labelled.is_one_hot else table.column(at)
        labels, more = clean_labels(cells, may_lack, what, table.where, config.rename or {})
        notes += more
    names = table.column(image_at)
    for row, name in enumerate(names):
        if name in ("", NULL):
            raise DataError(f"{table.where(row)} has no {table.columns[image_at]}: fill it in or remove the line")
    wheres = [f"{table.unit} {line}" for line in table.lines]
    files, more = find_files(table.name, part.index, names, wheres, said)
    notes += more
    images = []
    hidden = {image_at, *labelled.places}
    shown = [(at, name) for at, name in enumerate(table.columns) if at not in hidden]
    for row, (file, label) in enumerate(zip(files, labels, strict=True)):
        split = splits.splits[row] or part.split
        if split == UNLABELLED:
            label = None
        cells_of_row = {name: table.rows[row][at] for at, name in shown}
        images.append(
            list_file(part.index.place, file, label, split if label else "", part.prefix + file, cells_of_row)
        )
    return images, [table.where(row) for row in range(len(files))], splits.split_from, notes


def _refuse_too_few(parts: Sequence[TablePart], config: DataConfig, found: dict[str, ListedImage]) -> None:
    labels = sorted({image.label for image in found.values() if image.label is not None})
    if len(labels) < 2:
        said = f"one label, {labels[0]!r}," if labels else "no label"
        column = config.label_column or "label"
        raise DataError(f"{parts[0].table.name} holds {said} in column {column!r}, at least 2 classes are needed")


def _count_unnamed(parts: Sequence[TablePart], found: dict[str, ListedImage], is_whole: bool) -> list[str]:
    count = 0
    for prefix, index in {part.prefix: part.index for part in parts}.items():
        named = {image_id.removeprefix(prefix) for image_id in found if image_id.startswith(prefix)}
        count += len((set(index.images) if is_whole else index.images_beside(list(named))) - named)
    if not count:
        return []
    return [f"{count:,} image{' is' if count == 1 else 's are'} in no row of {parts[0].table.name}, and not used"]


def _join_lines(first: str, second: str) -> str:
    """Two rows as messages name them: "lines 2 and 4", where they are of one table."""
    (line, _, table), (other, _, others) = first.partition(" of "), second.partition(" of ")
    unit, number = line.split(" ")
    return f"{unit}s {number} and {other.split(' ')[1]}" if table == others else f"{first} and {second}"
