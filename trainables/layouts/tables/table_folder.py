"""Folders of images with tables beside them that name the images: `metadata.csv`, or `train.csv` and `test.csv`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.base.image_files import is_left_behind, is_system_folder
from trainables.layouts.base.listing import Listing
from trainables.layouts.base.split_names import are_splits, find_split
from trainables.layouts.tables.column_names import rank_label
from trainables.layouts.tables.file_index import FileIndex
from trainables.layouts.tables.table import ARROWS, TEXTS, TablePart, list_parts, open_root, open_table
from trainables.layouts.tables.table_columns import find_image_column
from trainables.layouts.tables.table_files import some
from trainables.layouts.tables.table_text import Table, read_text
from trainables.places.open import Source
from trainables.places.part import PartPlace
from trainables.places.place import Place, read_head

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""Tables that Hugging Face's `imagefolder` reads; file names start from the table's folder."""

_HEAD_BYTES = 65_536
_WHOLE_BYTES = 32 * 2**20
"""Size up to which tables without lines are read to see whether they name images."""

_MOST_TABLES = 12
"""Tables of a folder that are looked into."""


def matches_table_folder(source: Source) -> bool:
    """Whether a folder has a table that names its images and their labels, and no class folders that do."""
    if source.file:
        return False
    tables = _find_tables(source.place)
    if not tables:
        return False
    index = FileIndex(source.place)
    if not index.images:
        return False
    if metadata := _metadata(tables):
        return not _are_class_folders(index.images) or _has_labels(source.place, metadata[0])
    if _are_class_folders(index.images):
        return any(_splits_folders(source.place, file, index) for file in _tables(tables, index.images))
    return any(_names_images(source.place, file, index) for file in _tables(tables, index.images))


def read_table_folder(source: Source, config: DataConfig) -> Listing:
    """The images of a folder that its tables name; tables that are called as splits are give the split. Raises `DataError`."""
    place = source.place
    files = _find_tables(place)
    name = place.name.rstrip("/").rpartition("/")[2] or "images"
    if metadata := _metadata(files):
        return _read_metadata(name, place, metadata, config)
    index = FileIndex(open_root(source, config), config.ending)
    tables = [file for file in _tables(files, index.images) if _names_images(place, file, index)]
    splits = {file: find_split(PurePosixPath(file).stem) for file in tables}
    notes = []
    if are_splits(PurePosixPath(file).stem for file in tables):
        chosen = [file for file in tables if splits[file]]
    else:
        chosen = [file for file in tables if splits[file] == "train"][:1] or tables
    if passed := [file for file in tables if file not in chosen]:
        notes.append(
            f"{some(passed)} of {place.name} name images, too, and are not read: name one with data.path= to use it"
        )
    if len(chosen) > 1 and not all(splits[file] for file in chosen):
        raise DataError(
            f"{len(chosen)} tables in {place.name} name its images, {some(chosen)}: name one with data.path="
        )
    several = len(chosen) > 1
    parts = [TablePart(open_table(place, file, config), index, "", splits[file] if several else "") for file in chosen]
    split_from = "the tables' names" if several else ""
    layout = f"images with {'tables' if several else 'a table'} ({some([PurePosixPath(file).name for file in chosen])})"
    listing = list_parts(name, layout, parts, config, split_from, is_whole=True)
    return _add(listing, notes)


def _read_metadata(name: str, place: Place, metadata: Sequence[str], config: DataConfig) -> Listing:
    folders = [file.rpartition("/")[0] for file in metadata]
    are_parts = len(metadata) > 1 and are_splits(folder.split("/")[-1] for folder in folders)
    parts = []
    for file, folder in zip(metadata, folders, strict=True):
        table = open_table(place, file, config)
        split = find_split(folder.split("/")[-1]) if are_parts else ""
        inner = PartPlace(place, folder) if folder else place
        parts.append(TablePart(table, FileIndex(inner, config.ending), f"{folder}/" if folder else "", split))
    if len(parts) == 1 and config.split_column is None:
        parts = _cut_by_folder(parts[0])
    by_folder = len({part.split for part in parts}) > 1
    return list_parts(
        name,
        f"images with a table ({PurePosixPath(metadata[0]).name})",
        parts,
        config,
        "folders" if by_folder else "",
        is_whole=True,
    )


def _cut_by_folder(part: TablePart) -> list[TablePart]:
    """A part for each split, where all file names of the table start with folders that are called as splits are."""
    table = part.table
    try:
        at, _ = find_image_column(table, None, part.index.has)
    except DataError:
        return [part]
    splits = [
        find_split(name.replace("\\", "/").removeprefix("./").partition("/")[0]) if "/" in name else ""
        for name in table.column(at)
    ]
    if not all(splits) or "train" not in splits or len(set(splits)) < 2:
        return [part]
    return [
        TablePart(
            Table(
                table.name,
                table.columns,
                [row for row, found in zip(table.rows, splits, strict=True) if found == split],
                [line for line, found in zip(table.lines, splits, strict=True) if found == split],
                table.notes,
                table.has_header,
                table.unit,
            ),
            part.index,
            part.prefix,
            split,
        )
        for split in dict.fromkeys(splits)
    ]


def _find_tables(place: Place) -> list[str]:
    """All files with the ending of a table. Looked for first: most folders of images have none."""
    return [file for file in place.files() if file.lower().endswith((*TEXTS, *ARROWS)) and not is_left_behind(file)]


def _metadata(files: Sequence[str]) -> list[str]:
    """The tables of Hugging Face's form: at the top, or in folders one or two levels below."""
    found = [file for file in files if PurePosixPath(file).name in _METADATA and file.count("/") < 3]
    top = [file for file in found if "/" not in file]
    return top[:1] or found


def _tables(files: Sequence[str], images: Sequence[str]) -> list[str]:
    """The tables that are looked into: those near the top, `.txt` last, since many are no tables, as `007.txt` for `007.jpg`."""
    stems = {PurePosixPath(file).stem for file in images}
    found = [file for file in files if file.count("/") < 2 and PurePosixPath(file).stem not in stems]
    return sorted(found, key=lambda file: (file.count("/"), file.lower().endswith(".txt"), file))[:_MOST_TABLES]


def _are_class_folders(images: Sequence[str]) -> bool:
    """Whether images lie in two or more folders of one level whose names are no splits, or in such folders of splits."""
    parts = [file.split("/")[:-1] for file in images]
    parts = [part for part in parts if part and not is_system_folder(part[0])]
    while parts and all(len(part) > 1 for part in parts) and len({part[0] for part in parts}) == 1:
        parts = [part[1:] for part in parts]
    parts = [part for part in parts if part]
    if any(find_split(part[0]) for part in parts):
        parts = [part[1:] for part in parts if find_split(part[0]) and len(part) > 1]
    return len({part[0] for part in parts}) > 1


def _splits_folders(place: Place, file: str, index: FileIndex) -> bool:
    """Whether a table gives several labels to images of one folder, so that the folders are no classes, but parts."""
    table = _read_start(place, file)
    ranks = (
        [(rank, at) for at, name in enumerate(table.columns) if (rank := rank_label(name)) is not None] if table else []
    )
    if table is None or not ranks or not _names_images(place, file, index):
        return False
    try:
        image_at, _ = find_image_column(table, None, lambda name: bool(index.find(name).files))
    except DataError:
        return False
    labels: dict[str, set[str]] = {}
    for row in table.rows[:500]:
        for found in index.find(row[image_at]).files[:1]:
            labels.setdefault(found.rpartition("/")[0], set()).add(row[min(ranks)[1]])
    return any(len(found) > 1 for found in labels.values())


def _names_images(place: Place, file: str, index: FileIndex) -> bool:
    """Whether the head of a table has a column with names of images of the folder."""
    table = _read_start(place, file)
    if table is None or not table.rows:
        return False
    split = find_split(PurePosixPath(file).stem)
    named = list(table.rows[:: max(1, len(table.rows) // 20)])
    return any(
        2 * sum(bool(index.find(row[at], split).files) for row in named if row[at]) > len(named)
        for at, column in enumerate(table.columns)
        if rank_label(column) is None
    )


def _has_labels(place: Place, file: str) -> bool:
    table = _read_start(place, file)
    return table is not None and any(rank_label(column) is not None for column in table.columns)


def _read_start(place: Place, file: str) -> Table | None:
    """The first rows of a table; None where it is none, or cannot be read by its start alone."""
    suffix = PurePosixPath(file).suffix.lower()
    try:
        if suffix in ARROWS or suffix == ".json":
            if len(read_head(place, file, _WHOLE_BYTES)) == _WHOLE_BYTES:
                return None
            return open_table(place, file, _ANY)
        head = read_head(place, file, _HEAD_BYTES)
        if len(head) == _HEAD_BYTES:
            head = head[: head.rfind(b"\n") + 1] or head
        return read_text(file, head, suffix)
    except (DataError, OSError):
        return None


_ANY = DataConfig(path="any")
"""How tables are read before a configuration is known."""


def _add(listing: Listing, notes: Sequence[str]) -> Listing:
    return Listing(
        listing.name,
        listing.layout,
        listing.images,
        split_from=listing.split_from,
        passed_over=listing.passed_over,
        notes=[*listing.notes, *notes],
        columns=listing.columns,
    )
