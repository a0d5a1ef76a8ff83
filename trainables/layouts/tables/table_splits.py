"""Finds the split of each row of a table, from a column with names of splits or with yes and no."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from trainables.config.data import DataConfig
from trainables.errors import DataError
from trainables.layouts.base.split_names import find_split, find_truth
from trainables.layouts.tables.column_names import names_split, split_of_yes
from trainables.layouts.tables.table_columns import find_named
from trainables.layouts.tables.table_files import some
from trainables.layouts.tables.table_text import Table


@dataclass(frozen=True)
class RowSplits:
    """The split of each row, one of `layout.SPLITS`, `UNLABELLED`, or "" where none came."""

    splits: Sequence[str]
    split_from: str = ""
    places: frozenset[int] = frozenset()
    """The columns that say it, or that look as if they did."""
    notes: tuple[str, ...] = ()


def find_row_splits(table: Table, config: DataConfig, taken: Collection[int]) -> RowSplits:
    """The splits that a column of the table says, other than those in `taken`: the configured one, or one with such a name.

    A column whose name or cells look like a split and that is not used is said in a note. Raises `DataError` where the configured
    column is not there or holds something else, and where a column with the name of a split holds splits and other cells.
    """
    none = [""] * len(table.rows)
    if config.split_column is not None:
        place = find_named(table, "split_column", config.split_column)
        splits = _read(table, place)
        _refuse_others(table, place, splits)
        return _use(table, [place], splits)
    left = [place for place in range(len(table.columns)) if place not in taken]
    called = [place for place in left if names_split(table.columns[place])]
    named = [place for place in called if _may_be_splits(table, place)]
    found = {place: _read(table, place) for place in named}
    words = [place for place in named if all(found[place]) and not _says_yes(table, place)]
    answers = [place for place in named if all(found[place]) and _says_yes(table, place)]
    unused = [place for place in named if place not in words and place not in answers]
    unused += [place for place in called if place not in named and _are_letters(set(table.column(place)))]
    notes = [_explain_unused(table, place) for place in unused]
    for place in named if config.keep_split else ():
        if 2 * sum(map(bool, found[place])) > len(table.rows) and not _says_yes(table, place):
            _refuse_others(table, place, found[place])
    notes += [
        f"column {table.columns[place]} of {table.name} holds {some(_values(table, place))}, and is not taken for a split: "
        f"data.split_column={table.columns[place]} uses it"
        for place in left
        if place not in named and _looks_like_splits(table, place)
    ]
    if not words and not answers:
        return RowSplits(none, places=frozenset(named), notes=tuple(notes))
    places = words[:1] or answers
    notes += [
        f"column {table.columns[place]} of {table.name} is not taken for the split, because {table.columns[places[0]]} is: "
        f"data.split_column={table.columns[place]} uses it"
        for place in [*words, *answers]
        if place not in places
    ]
    splits = found[words[0]] if words else _join(table, answers, found)
    used = _use(table, places, splits)
    return RowSplits(used.splits, used.split_from, frozenset(named), (*used.notes, *notes))


def _use(table: Table, places: Sequence[int], splits: Sequence[str]) -> RowSplits:
    names = " and ".join(table.columns[place] for place in places)
    none = [""] * len(table.rows)
    if len(set(splits)) < 2:
        value = splits[0] if splits else "nothing"
        note = f"column {names} of {table.name} says {value} in every row, which is no split"
        return RowSplits(none, places=frozenset(places), notes=(note,))
    return RowSplits(splits, f"column {names}", frozenset(places))


def _read(table: Table, place: int) -> list[str]:
    """The split of each row by one column; "" for cells that say none."""
    cells = table.column(place)
    if _says_yes(table, place):
        yes = _split_of_yes(table, place)
        no = "test" if yes == "train" else "train"
        return ["" if not yes else yes if find_truth(cell) else no for cell in cells]
    known = {cell: find_split(cell) for cell in set(cells)}
    return [known[cell] for cell in cells]


def _says_yes(table: Table, place: int) -> bool:
    """Whether a column holds yes and no alone; an empty cell is a no beside a yes."""
    cells = set(table.column(place))
    return cells != {""} and all(find_truth(cell) is not None for cell in cells)


def _split_of_yes(table: Table, place: int) -> str:
    name = table.columns[place]
    found = split_of_yes(name) or find_split(name.casefold().removeprefix("is_"))
    return found if found in ("train", "validation", "test") else ""


def _join(table: Table, places: Sequence[int], found: dict[int, list[str]]) -> list[str]:
    """One split a row from columns as `is_valid` and `is_test`: what is in neither is for training."""
    if len(places) == 1:
        return found[places[0]]
    joined = []
    for at, row in enumerate(table.rows):
        said = {_split_of_yes(table, place) for place in places if find_truth(row[place])}
        if len(said) > 1:
            names = " and ".join(table.columns[place] for place in places if find_truth(row[place]))
            raise DataError(
                f"{table.unit} {table.lines[at]} of {table.name} has yes in {names}: an image is in one split alone"
            )
        joined.append(said.pop() if said else "train")
    return joined


def _refuse_others(table: Table, place: int, splits: Sequence[str]) -> None:
    name = table.columns[place]
    if _says_yes(table, place) and not _split_of_yes(table, place):
        raise DataError(
            f"column {name} of {table.name} holds {some(_values(table, place))}, and its name does not say of which split: write "
            "train, val and test, or call it is_valid or is_test"
        )
    if at := [at for at, split in enumerate(splits) if not split]:
        cell = table.rows[at[0]][place]
        raise DataError(
            f"{table.unit} {table.lines[at[0]]} of {table.name} has {cell!r} in column {name}, which is no split: write train, val or "
            "test, or deal all images anew with data.keep_split=false"
        )


def _explain_unused(table: Table, place: int) -> str:
    name = table.columns[place]
    return (
        f"column {name} of {table.name} has the name of a split and holds {some(_values(table, place))}: it is not used; write train, "
        f"val and test to use it, or data.group={name} keeps equal ones together"
    )


def _may_be_splits(table: Table, place: int) -> bool:
    """Whether a column holds a split, or numbers, which may stand for splits; else it is another column of that name."""
    values = set(table.column(place))
    return any(map(find_split, values)) or all(
        not cell or cell.isdecimal() or find_truth(cell) is not None for cell in values
    )


def _are_letters(values: set[str]) -> bool:
    """Whether the cells of a column are a few letters that may stand for splits, as T, V and S."""
    return 1 < len(values - {""}) <= 4 and all(len(value) < 3 for value in values)


def _looks_like_splits(table: Table, place: int) -> bool:
    values = {cell for cell in table.column(place) if cell}
    return len({find_split(value) for value in values}) > 1 and all(map(find_split, values))


def _values(table: Table, place: int) -> list[str]:
    return sorted(cell or repr(cell) for cell in set(table.column(place)))
