"""Finds the columns of a table that hold file names and labels."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from trainables.errors import DataError
from trainables.layouts.tables.column_names import plain, rank_image, rank_label
from trainables.layouts.tables.table_files import some
from trainables.layouts.tables.table_text import Table

_SAMPLE_ROWS = 40
"""Rows whose cells are looked up among the files, spread over the table."""

_NAMED = 12
"""Columns that a message names; a table of pixels has a thousand."""

_INDEX_NAMES = ("", "index", "unnamed0", "row", "rowid", "number", "no", "nr")
"""Columns that count rows, in the form of `plain`."""

_FEWEST_PIXELS = 16
_PIXEL = re.compile(r"(?i)(pixel|px|p)?[ _-]?[0-9]+|[0-9]+x[0-9]+")
"""Columns of pixels: `pixel17`, `1x1`, or a number alone."""


@dataclass(frozen=True)
class LabelColumns:
    """The columns with the labels: one, or a one-hot set with a column a class."""

    places: tuple[int, ...] = ()
    """() where the table has no labels."""
    notes: tuple[str, ...] = ()

    @property
    def is_one_hot(self) -> bool:
        """Whether each class has a column with 0 and 1."""
        return len(self.places) > 1


def find_named(table: Table, key: str, column: str) -> int:
    """The place of the column that the config key `key` names. Raises `DataError` where there is none, or two."""
    columns = list(table.columns)
    if columns.count(column) == 1:
        return columns.index(column)
    if column in columns:
        raise DataError(f"{table.name} has {columns.count(column)} columns called {column!r}: rename all but one")
    near = difflib.get_close_matches(column, columns, 1)
    near = near or [name for name in columns if plain(name) == plain(column)][:1]
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise DataError(
        f"{table.name} has no column {column!r}, only {_list_columns(table)}: name one with data.{key}={hint}"
    )


def find_image_column(table: Table, wanted: str | None, is_file: Callable[[str], bool]) -> tuple[int, list[str]]:
    """The place of the column with file names, and what to say of it.

    It is the one called `wanted`; else one with a usual name; else one whose cells are names of files. Raises `DataError`.
    """
    if wanted is not None:
        return find_named(table, "image_column", wanted), []
    usual = sorted((rank, place) for place, name in enumerate(table.columns) if (rank := rank_image(name)) is not None)
    named = [place for _, place in usual]
    others = [place for place in range(len(table.columns)) if place not in named and _is_varied(table, place)]
    place = next((place for place in [*named, *others] if _has_files(table, place, is_file)), None)
    if place is None and named:
        place = named[0]
    if place is None:
        _refuse_pixels(table)
        return find_named(table, "image_column", "image"), []
    if not table.has_header or table.columns[place] in ("image", "file_name"):
        return place, []
    name = table.columns[place]
    return place, [
        f"column {name} of {table.name} has the file names: data.image_column={name} says so, or name another"
    ]


def find_label_columns(table: Table, wanted: str | None, taken: Collection[int]) -> LabelColumns:
    """The columns with labels, other than those in `taken`.

    The one called `wanted`; else one with a usual name; else columns with 0 and 1 of which each row has a single 1; else the only
    column whose cells recur. No column where there is none. Raises `DataError` where several columns could be meant.
    """
    if wanted is not None:
        return LabelColumns((find_named(table, "label_column", wanted),))
    left = [place for place in range(len(table.columns)) if place not in taken]
    usual = sorted((rank, place) for place in left if (rank := rank_label(table.columns[place])) is not None)
    named = [place for _, place in usual if any(table.column(place))]
    if named:
        name = table.columns[named[0]]
        if list(table.columns).count(name) > 1:
            find_named(table, "label_column", name)
        others = [table.columns[place] for place in named[1:]]
        more = f"; {some(others)} could be meant, too" if others else ""
        return LabelColumns((named[0],), () if name == "label" else (_say(table, name, more),))
    left = [place for place in left if plain(table.columns[place]) not in _INDEX_NAMES]
    if one_hot := _find_one_hot(table, left):
        names = [table.columns[place] for place in one_hot]
        return LabelColumns(
            one_hot,
            (
                f"the {len(names)} columns {some(names)} of {table.name} have 0 and a single 1 in each row: they are taken as "
                "classes; data.label_column= names another column",
            ),
        )
    if len(left) > 1:
        left = [place for place in left if _recurs(table, place)]
    if len(left) > 1:
        names = [table.columns[place] for place in left]
        raise DataError(
            f"{len(names)} columns of {table.name} could have the labels, {some(names)}: name one with data.label_column="
        )
    if not left or not any(table.column(left[0])):
        return LabelColumns()
    name = table.columns[left[0]]
    return LabelColumns((left[0],), (_say(table, name),) if table.has_header else ())


def refuse_without_labels(table: Table) -> None:
    """Raise `DataError` for a table in which no column has labels."""
    find_named(table, "label_column", "label")
    raise DataError(f"{table.name} holds no label in column 'label', at least 2 classes are needed")


def read_one_hot(table: Table, places: Sequence[int]) -> list[str]:
    """The label of each row of a one-hot set: the name of the column with 1. Raises `DataError` for rows with several or none."""
    labels, several = [], []
    for at, row in enumerate(table.rows):
        ones = [table.columns[place] for place in places if _bit(row[place])]
        if not ones:
            raise DataError(
                f"{table.unit} {table.lines[at]} of {table.name} has no label, all of {some([table.columns[place] for place in places])} "
                "are 0: fill it in or remove the line"
            )
        if len(ones) > 1:
            several.append((at, ones))
        labels.append(ones[0])
    if several:
        at, ones = several[0]
        raise DataError(
            f"{len(several):,} of {len(table.rows):,} rows of {table.name} have several labels ({table.unit} {table.lines[at]} has "
            f"{some(ones)}): one label a picture is needed: keep one, or name another column with data.label_column="
        )
    return labels


def _refuse_pixels(table: Table) -> None:
    """Raise `DataError` for a table that has pixels as numbers: in a column, or in a column each."""
    numbered = [name for name in table.columns if _PIXEL.fullmatch(name)]
    if len(numbered) >= _FEWEST_PIXELS or any(plain(name) == "pixels" for name in table.columns):
        raise DataError(
            f"{table.name} holds pixels as numbers, which is not read: save the images as files in class folders, or images and labels "
            "as arrays with numpy.savez"
        )


def _find_one_hot(table: Table, left: Sequence[int]) -> tuple[int, ...]:
    """The columns of `left` that hold 0 and 1 alone, if they are labels: most rows have at least one, and many a single one."""
    bits = [place for place in left if table.rows and all(_bit(cell) is not None for cell in table.column(place))]
    sums = [sum(bool(_bit(row[place])) for place in bits) for row in table.rows]
    if len(bits) < 2 or not sums:
        return ()
    if all(count == 1 for count in sums):
        return tuple(bits)
    return tuple(bits) if len(bits) > 2 and sum(count == 1 for count in sums) > len(sums) / 4 else ()


def _bit(cell: str) -> bool | None:
    if cell in ("1", "1.0", "True", "true"):
        return True
    return False if cell in ("0", "0.0", "False", "false") else None


def _has_files(table: Table, place: int, is_file: Callable[[str], bool]) -> bool:
    """Whether at least half of the cells, of a sample, are names of files."""
    step = max(1, len(table.rows) // _SAMPLE_ROWS)
    names = [row[place] for row in table.rows[::step] if row[place]]
    return bool(names) and 2 * sum(map(is_file, names)) >= len(names)


def _is_varied(table: Table, place: int) -> bool:
    return 2 * len(set(table.column(place))) > len(table.rows)


def _recurs(table: Table, place: int) -> bool:
    """Whether the cells of a column recur as labels do: two values or more, each twice on average."""
    return 2 <= len(set(table.column(place))) <= len(table.rows) / 2


def _say(table: Table, name: str, more: str = "") -> str:
    return f"column {name} of {table.name} has the labels: data.label_column={name} says so, or name another{more}"


def _list_columns(table: Table) -> str:
    named = ", ".join(repr(name[:60]) for name in table.columns[:_NAMED]) + (
        ", …" if len(table.columns) > _NAMED else ""
    )
    return named or "an empty header"
