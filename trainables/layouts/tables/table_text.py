"""Tables as text: CSV with any delimiter, JSON lines and JSON, from their bytes."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from trainables.errors import DataError
from trainables.layouts.base.image_files import has_image_ending
from trainables.layouts.tables.column_names import is_usual

DELIMITERS = ",;\t|"
"""Delimiters that are looked for; blanks are taken where none of them cuts the lines into equal numbers of cells."""

SAMPLE_ROWS = 300
"""Rows that decide on the delimiter, and on whether there is a header."""

_BYTE_ORDERS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


@dataclass(frozen=True)
class Table:
    """A table of texts. Every row has a cell a column, "" where none was written; cells have no blanks at their ends."""

    name: str
    """The table as messages name it."""
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]
    """Number of each row's first line, as an editor counts; where there are no lines, of the row, from 1."""
    notes: tuple[str, ...] = ()
    has_header: bool = True
    unit: str = "line"
    """What `lines` counts."""

    def where(self, row: int) -> str:
        """A row as messages name it: "line 7 of labels.csv"."""
        return f"{self.unit} {self.lines[row]} of {self.name}"

    def column(self, place: int) -> list[str]:
        """The cells of a column."""
        return [row[place] for row in self.rows]


def read_text(name: str, data: bytes, suffix: str, delimiter: str | None = None, header: bool | None = None) -> Table:
    """The table in `data`, which `suffix` says to be `.json`, `.jsonl` or `.ndjson`, or else text with delimiters.

    `delimiter` and `header` None are found. Raises `DataError` that names the line.
    """
    from trainables.layouts.tables.table_json import read_json, read_json_lines

    text, notes = decode(name, data)
    if suffix == ".json":
        table = read_json(name, text)
    elif suffix in (".jsonl", ".ndjson"):
        table = read_json_lines(name, text)
    else:
        table = read_delimited(name, text, suffix, delimiter, header)
    return Table(name, table.columns, table.rows, table.lines, (*notes, *table.notes), table.has_header, table.unit)


def decode(name: str, data: bytes) -> tuple[str, list[str]]:
    """The text of a file in UTF-8, in UTF-16 with a byte-order mark, or in Windows-1252, which a note then says."""
    encoding = next((known for mark, known in _BYTE_ORDERS if data.startswith(mark)), "")
    notes = []
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        try:
            text = "" if encoding else data.decode("cp1252")
        except UnicodeDecodeError:
            text = ""
        if not text:
            raise DataError(f"{name} is no text in UTF-8 ({error}): save it as such") from None
        notes.append(f"{name} is not in UTF-8 and is read as Windows-1252: save it in UTF-8 where letters look wrong")
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise DataError(f"{name} is no text in UTF-8 (line {line} has a null character): save it as such")
    return text, notes


def read_delimited(name: str, text: str, suffix: str, delimiter: str | None, header: bool | None) -> Table:
    """A table with one row a line. Lines with `#` before the first row are comments, one of which may be the header."""
    comments, body = _cut_comments(text)
    delimiter = delimiter or _find_delimiter(body, suffix)
    rows, lines = [], []
    after = len(comments)
    reader = _cells(body, delimiter)
    try:
        for line, row in reader:
            after = len(comments) + line
            if any(row):
                rows.append(row)
                lines.append(after)
    except csv.Error as error:
        raise DataError(f"{name} is no CSV in UTF-8 (after line {after}: {error}): save it as such") from None
    first: list[str] = []
    if header or (header is None and _has_header(rows)):
        first, rows, lines = (rows[0], rows[1:], lines[1:]) if rows else ([], [], [])
    elif header is None and rows:
        first = _header_in(comments, delimiter, len(rows[0]))
    columns = [" ".join(name.split()) for name in first] or [
        str(place) for place in range(max(map(len, rows), default=0))
    ]
    for row, line in zip(rows, lines, strict=True):
        if any(row[len(columns) :]):
            raise DataError(
                f"line {line} of {name} has {len(row)} cells, and there are {len(columns)} columns: put quotes round cells "
                "that hold the delimiter, or name it with data.delimiter="
            )
    padding = [""] * len(columns)
    padded = [[*row, *padding[len(row) :]][: len(columns)] for row in rows]
    return Table(name, tuple(columns), padded, lines, has_header=bool(first) or not rows)


def _cut_comments(text: str) -> tuple[list[str], str]:
    comments = []
    while text.startswith("#"):
        line, _, text = text.partition("\n")
        comments.append(line)
    return comments, text


def _cells(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line and cells of each row. Raises `csv.Error`."""
    lines = (
        (line.strip(" ") for line in io.StringIO(text, newline=""))
        if delimiter == " "
        else io.StringIO(text, newline="")
    )
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " ", strict=True)
    before = 0
    for row in reader:
        yield before + 1, [cell.strip() for cell in row]
        before = reader.line_num


def _find_delimiter(text: str, suffix: str) -> str:
    """The delimiter that cuts most of the first rows into the same number of cells, of equals the one with most cells."""
    best, chosen = (0.5, 0), ""
    order = "\t,;|" if suffix in (".tsv", ".tab") else DELIMITERS
    for delimiter in order:
        share, cells = _evenness(text, delimiter)
        if cells > 1 and (share, cells) > best:
            best, chosen = (share, cells), delimiter
    if not chosen:
        share, cells = _evenness(text, " ")
        chosen = " " if cells > 1 and share == 1 else ""
    return chosen or order[0]


def _evenness(text: str, delimiter: str) -> tuple[float, int]:
    """The share of the first rows that have the commonest number of cells, and that number; (0, 0) where quotes do not fit."""
    try:
        widths = [len(row) for _, row in islice(_cells(text, delimiter), SAMPLE_ROWS) if any(row)]
    except csv.Error:
        return 0.0, 0
    if not widths:
        return 0.0, 0
    counts = Counter(widths)
    cells = max(counts, key=lambda width: (counts[width], width))
    return counts[cells] / len(widths), cells


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has names of columns: it has a usual one, or nothing that is a file name, a number or a label below."""
    if not rows:
        return True
    first, below = rows[0], rows[1:SAMPLE_ROWS]
    if any(has_image_ending(cell) for cell in first):
        return False
    recurs = [
        bool(cell) and any(place < len(row) and row[place] == cell for row in below) for place, cell in enumerate(first)
    ]
    if any(is_usual(cell) and not again for cell, again in zip(first, recurs, strict=True)):
        return True
    return not any(recurs) and not any(_is_number(cell) for cell in first)


def _header_in(comments: Sequence[str], delimiter: str, width: int) -> list[str]:
    """The column names in a comment, as `#Image CLASS-ID SPECIES`; [] where none has as many cells as the rows and a usual name."""
    for comment in comments:
        try:
            row = next(iter(_cells(comment.lstrip("#"), delimiter)), (0, []))[1]
        except csv.Error:
            continue
        if len(row) == width and any(map(is_usual, row)) and not any(":" in cell for cell in row):
            return row
    return []


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
