"""Makes labels of the cells of a table: words that mean none, numbers that pandas wrote, several labels in one cell."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from trainables.errors import DataError

MACHINE_WORDS = ("NaN", "nan", "null", "NULL", "<NA>", "#N/A", "NaT", "None")
"""What pandas, R, databases and spreadsheets write where there is no value: such an image has no label."""

_DOUBTFUL_WORDS = (
    "none",
    "na",
    "n/a",
    "unknown",
    "unlabeled",
    "unlabelled",
    "undefined",
    "-",
    "--",
    "?",
    "null",
    "nan",
)
"""What people write, in lower case, for no label or for a class of its own."""

_INTEGER = re.compile(r"[+-]?\d+(\.0*)?")
_SEPARATORS = ("|", ";", ",", "/", "+", "&", " ")


def clean_labels(
    cells: Sequence[str],
    may_lack: Sequence[bool],
    what: str,
    where: Callable[[int], str],
    rename: Mapping[str, str | None],
) -> tuple[list[str | None], list[str]]:
    """The label of each cell, None where it has none, and what to say of them.

    `may_lack` are rows of a part that needs no labels; `what` names the column, and `where(row)` a row. Words that `rename` names
    are labels. Raises `DataError` for an empty cell of another row, and where cells hold several labels.
    """
    cells = _plain_numbers([cell.strip() for cell in cells])
    refuse_several(cells, what, where)
    single = {cell: _unwrap(cell) for cell in set(cells)}
    cells = [single[cell] for cell in cells]
    labels: list[str | None] = []
    lacking: Counter[str] = Counter()
    for row, cell in enumerate(cells):
        if not cell and not may_lack[row]:
            raise DataError(f"{where(row)} has no label: fill it in or remove the line")
        if cell in MACHINE_WORDS and cell not in rename:
            labels.append(None)
            lacking[cell] += not may_lack[row]
        else:
            labels.append(cell or None)
    notes = [
        f"{_count(count, 'row has', 'rows have')} {word} as label: they are taken as unlabelled; data.rename={{{word}: name}} makes "
        "a class of them"
        for word, count in lacking.items()
        if count
    ]
    found = Counter(label for label in labels if label is not None)
    notes += [
        f"{_count(count, 'row has', 'rows have')} the label {word!r}, which is taken as a class: where it means none, "
        f"data.rename={{{word!r}: null}} leaves them out"
        for word, count in found.items()
        if word.casefold() in _DOUBTFUL_WORDS and word not in rename
    ]
    return labels, [*notes, *name_look_alikes([label for label in found if label not in rename])]


def name_look_alikes(labels: Collection[str]) -> list[str]:
    """What to say of labels that differ by case, spaces, dashes, leading zeros or the form of their letters alone."""
    alike: dict[str, list[str]] = defaultdict(list)
    for label in sorted(labels):
        folded = re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", label).casefold())
        alike[(folded.lstrip("0") or "0") if folded.isdecimal() else folded or label].append(label)
    return [
        f"the labels {' and '.join(map(_show, names))} differ by case, spaces, dashes or the form of letters alone: "
        f"data.rename={{{_show(names[1])}: {_show(names[0])}}} makes them one class"
        for names in alike.values()
        if len(names) > 1
    ]


def refuse_several(labels: Sequence[str], what: str, where: Callable[[int], str]) -> None:
    """Raise `DataError` where cells hold several labels: a list, or words that elsewhere are labels of their own."""
    several = _find_several(set(labels))
    rows = [row for row, label in enumerate(labels) if label in several]
    if rows:
        raise DataError(
            f"{len(rows):,} of {len(labels):,} labels in {what} are several at once ({labels[rows[0]]!r} in {where(rows[0])}): one label "
            "a picture is needed: keep one, or name another column with data.label_column="
        )


def _find_several(labels: Collection[str]) -> set[str]:
    found = {label for label in labels if _list_length(label) > 1}
    for separator in _SEPARATORS:
        parts = {
            label: [part.strip() for part in label.split(separator) if part.strip()]
            for label in labels
            if separator in label
        }
        uses = Counter(part for split in parts.values() for part in set(split))
        for label, split in parts.items():
            # `polar bear` and `brown bear` share a word; only words that are labels of their own, or that recur on both sides of
            # a bar, are labels.
            known = [part in labels or (separator in "|;" and uses[part] > 1) for part in split]
            if len(split) > 1 and all(known):
                found.add(label)
    return found


def _list_length(label: str) -> int:
    """How many labels a list in a cell holds, written by JSON, Python or numpy; 0 where it is no list."""
    if not (label.startswith("[") and label.endswith("]")):
        return 0
    try:
        return len(json.loads(label))
    except (ValueError, RecursionError):
        inner = label[1:-1].strip()
        return len(re.split(r"\s*,\s*|(?<=['\"])\s+(?=['\"])|(?<=\d)\s+(?=\d)", inner)) if inner else 0


def _unwrap(label: str) -> str:
    """The only label of a list; another label as it is."""
    return label[1:-1].strip().strip("'\"") or label if _list_length(label) == 1 else label


def _plain_numbers(cells: Sequence[str]) -> list[str]:
    """`1.0` as `1`, where all labels are whole numbers: pandas writes a decimal point as soon as one is missing."""
    labels = {cell for cell in cells if cell and cell not in MACHINE_WORDS}
    if not labels or not all(map(_INTEGER.fullmatch, labels)):
        return list(cells)
    plain = {label: label.partition(".")[0] for label in labels}
    return [plain.get(cell, cell) for cell in cells]


def _show(label: str) -> str:
    """A label in quotes; letters that look the same and are not are written as numbers."""
    return repr(label) if unicodedata.normalize("NFC", label) == label else ascii(label)


def _count(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"
