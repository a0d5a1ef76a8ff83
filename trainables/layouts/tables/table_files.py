"""Finds the file that each row of a table means, and says in what names differ from the files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from trainables.errors import DataError
from trainables.layouts.tables.file_index import FileIndex

_LONGEST_SHOWN = 200
"""Letters of a name that a message shows."""

DIFFERENCES = {
    "slashes": "have backslashes between folders",
    "escapes": "are written as in an address",
    "prefix": "start with folders that are not there: data.root= names the folder that they start from",
    "folder": "lie in folders below: data.root= names the folder that they start from",
    "ending": "lack their ending {ending}: data.ending={ending} says so",
    "other ending": "end otherwise than the files",
    "case": "differ from the files in case or in the form of letters",
    "zeros": "lost their leading zeros",
}
"""In what the name in a table may differ from that of the file."""


def find_files(
    table: str, index: FileIndex, names: Sequence[str], wheres: Sequence[str], splits: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The file of each name, and notes on names that are not exact. `wheres` are their lines.

    Raises `DataError` that names the lines for names that lead out of the place, and for those that mean no file, or several.
    """
    root = index.place.name
    files, missing, outside, ambiguous = [], [], [], []
    counts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, where, split in zip(names, wheres, splits, strict=True):
        match = index.find(name, split)
        if len(match.files) == 1:
            files.append(match.files[0])
            for word in match.differs:
                counts[word].append((name, match.files[0]))
        elif match.files:
            ambiguous.append(f"{name} ({where}) is {' or '.join(match.files[:3])}")
        elif match.is_outside:
            outside.append(f"{name} ({where})")
        else:
            missing.append(name)
    if outside:
        raise DataError(
            f"{table} names files outside {root}: {some(outside)}: name a folder above them with data.root="
        )
    if ambiguous:
        raise DataError(
            f"{len(ambiguous)} file names of {table} mean several files in {root}: {some(ambiguous)}: write the whole path, or name "
            "the folder that file names start from with data.root="
        )
    if missing:
        raise DataError(_explain_missing(table, index, len(set(names)), sorted(set(missing))))
    return files, [describe_difference(word, found) for word, found in counts.items()]


def some(names: Sequence[str]) -> str:
    """The first three names, and the number of the others."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(show, names[:3])) + more


def show(name: str) -> str:
    """A name as messages have it: in one line, and not longer than a person reads."""
    name = name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}…"
    return name if name.isprintable() else ascii(name)


def _explain_missing(table: str, index: FileIndex, count: int, missing: Sequence[str]) -> str:
    there = len(index.images)
    near = index.nearest(missing[0])
    held = f"{there:,} images lie there" + (f", the nearest to {show(missing[0])} is {show(near)}" if near else "")
    return (
        f"{table} names {count} files, {len(missing)} of them are not in {index.place.name}: {some(missing)}: "
        f"add them, or name the folder that file names start from with data.root= ({held if there else 'no image lies there'})"
    )


def describe_difference(word: str, found: Sequence[tuple[str, str]]) -> str:
    """What to say of names that differ from their files by `word`, a key of `DIFFERENCES`: how many, and the first of them."""
    name, file = found[0]
    says = DIFFERENCES[word].format(ending=PurePosixPath(file).suffix)
    what = "1 file name" if len(found) == 1 else f"{len(found):,} file names"
    return f"{what} {says} ({show(name)} is {show(file)})"
