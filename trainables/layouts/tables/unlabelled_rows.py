"""Tables whose labels are not looked at: the image of each row, in the order of the rows, whether it can be read or not."""

from __future__ import annotations

import contextlib
import errno
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import PurePosixPath

from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.base.listing import ListedImage, Listing
from trainables.layouts.base.unlabelled_files import LazyImages, list_bad
from trainables.layouts.tables.file_index import FileIndex
from trainables.layouts.tables.parquet_images import find_content_column, open_bytes
from trainables.layouts.tables.parquet_table import choose_texts, find_kind, list_contents, read_cells, to_table
from trainables.layouts.tables.table import ARROWS, open_root, open_table
from trainables.layouts.tables.table_columns import find_image_column
from trainables.layouts.tables.table_files import describe_difference, show
from trainables.layouts.tables.table_json import NULL
from trainables.layouts.tables.table_text import Table
from trainables.places.open import Source
from trainables.places.place import read_bytes

_NO_DELIMITER = "\x1f"
"""A character that no line of a table of file names has."""


class RowImages:
    """The images of rows, and in what their names differ from those of the files.

    A row's image is made when it is asked for: a table may have a million rows, and fewer names.
    """

    def __init__(self, index: FileIndex) -> None:
        self._index = index
        self._names: list[str] = []
        self._targets: list[str | Callable[[], bytes]] = []
        """For each row the file, or what returns the image's bytes; or why there is neither."""
        self._bad: set[int] = set()
        self._missing = 0
        self._differs: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def add(self, name: str) -> None:
        """Add a row that names a file, or nothing."""
        file, reason = self._find(name)
        if reason:
            self._bad.add(len(self._names))
        self._names.append("" if name == NULL else name)
        self._targets.append(file or reason)

    def add_content(self, name: str, take: Callable[[], bytes]) -> None:
        """Add a row that holds an image, with the name that is kept with it."""
        self._names.append(name)
        self._targets.append(take)

    @property
    def images(self) -> LazyImages:
        """The images in the order of the rows; the id is what the row says, or its position from 0."""
        return LazyImages(range(len(self._names)), self._make)

    @property
    def notes(self) -> list[str]:
        """What to say of names that are not exact, and of those that no file has."""
        notes = [describe_difference(word, found) for word, found in self._differs.items()]
        if self._missing:
            notes.append(
                f"{self._missing:,} of {len(self._names):,} images are not in {self._index.place.name}: data.root= names the folder "
                "that file names start from"
            )
        return notes

    def _find(self, name: str) -> tuple[str, str]:
        """The file that a name means, or why there is none."""
        if name in ("", NULL):
            return "", "its row of the table names no image"
        match = self._index.find(name)
        if len(match.files) == 1:
            for word in match.differs:
                self._differs[word].append((name, match.files[0]))
            return match.files[0], ""
        if match.files:
            said = " or ".join(map(show, match.files[:3]))
            return (
                "",
                f"means several files, {said}: write the whole path, or name the folder that it starts from with data.root=",
            )
        if match.is_outside:
            return "", f"lies outside {self._index.place.name}: name a folder above it with data.root="
        self._missing += 1
        return "", os.strerror(errno.ENOENT)

    def _make(self, row: int) -> ListedImage:
        name, target = self._names[row] or str(row), self._targets[row]
        if row in self._bad:
            return list_bad(name, str(target))
        opened = partial(self._index.place.open, target) if isinstance(target, str) else partial(open_bytes, target)
        return ListedImage(name, opened, None)


def list_rows(source: Source, config: DataConfig) -> Listing:
    """The image that each row of a table names or holds. Ids are the names in the table, which may recur, or positions from 0.

    A row without an image, or with one that is not there, is listed, and cannot be opened. Raises `DataError` where the table cannot
    be read, or has no column that names images.
    """
    index = FileIndex(open_root(source, config), config.ending)
    rows = RowImages(index)
    if source.suffix in ARROWS:
        table = _read_contents(source, config, rows)
        if table is None:
            return _list(source, rows)
        at, said = _find_names(table, config, index)
    else:
        table, at, said = _open_text(source, config, index)
    notes = list(table.notes)
    for name in table.column(at):
        rows.add(name)
    if not table.has_header and config.image_column is None:
        notes.append(
            f"{table.name} has no header: column {table.columns[at]} has the file names: data.header=true takes its first line as "
            "one, data.image_column= names another"
        )
    return _list(source, rows, [*notes, *said])


def _open_text(source: Source, config: DataConfig, index: FileIndex) -> tuple[Table, int, list[str]]:
    """A table of texts, its column of file names, and what to say of it. A list of names with blanks in them is one column."""
    table = open_table(source.place, source.file, config)
    try:
        return table, *_find_names(table, config, index)
    except DataError:
        if config.delimiter is not None or table.unit != "line":
            raise
        with contextlib.suppress(DataError):
            config = config.model_copy(update={"delimiter": _NO_DELIMITER})
            table = open_table(source.place, source.file, config)
            return table, *_find_names(table, config, index)
        raise


def _find_names(table: Table, config: DataConfig, index: FileIndex) -> tuple[int, list[str]]:
    return find_image_column(table, config.image_column, lambda name: bool(index.find(name).files))


def list_held(source: Source, config: DataConfig) -> Listing | None:
    """The images that a Parquet or Arrow file holds; None where it holds none, and names files at most. Raises `DataError`."""
    rows = RowImages(FileIndex(source.place, config.ending))
    return _list(source, rows) if _read_contents(source, config, rows) is None else None


def _read_contents(source: Source, config: DataConfig, rows: RowImages) -> Table | None:
    """Adds the images that a Parquet or Arrow file holds to `rows`; where it holds none, its columns as a table."""
    try:
        data = read_bytes(source.place, source.file)
    except OSError as error:
        raise DataError(f"{source.name} cannot be read: {error.strerror or error}") from None
    cells, _ = read_cells(source.name, data)
    kinds = [(column, find_kind(found)) for column, found in cells.items()]
    column = find_content_column(source.name, kinds, config.image_column)
    if not column:
        return to_table(source.name, {}, choose_texts(cells))
    for path, take in list_contents(cells[column]):
        if take is None:
            rows.add(path)
        else:
            rows.add_content(path, take)
    return None


def _list(source: Source, rows: RowImages, notes: Sequence[str] = ()) -> Listing:
    name = PurePosixPath(source.file).name
    return Listing(name, f"a table ({name})", rows.images, notes=[*notes, *rows.notes])
