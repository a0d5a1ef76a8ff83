"""Safe output on a terminal: reasons, names and messages come from data sets and stores, and may contain control characters."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from typing_extensions import override

PIPE_WIDTH = 160

_ALLOWED = "\n\t"
_DIRECTION_CONTROLS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Characters that change the direction of the text that follows, which can disguise it."""

_INERT = {code: "\ufffd" for code in (*range(32), *range(127, 160), *_DIRECTION_CONTROLS) if chr(code) not in _ALLOWED}


def make_inert(text: str) -> str:
    """`text` with a replacement character for each control character; line breaks and tabs stay.

    >>> make_inert("a\\x1b[2Jb"), make_inert("über\\n")
    ('a�[2Jb', 'über\\n')
    """
    return text.translate(_INERT)


def print_line(text: str, file: TextIO | None = None) -> None:
    """Print a line at once, to standard output unless `file` is given."""
    print(make_inert(text), file=file or sys.stdout, flush=True)


class Terminal(Console):
    """A console that shows all text literally: control characters are replaced, and rich's markup is plain text.

    It has the width of the terminal; for a file or a pipe, whose width is unknown, it is wide enough for every table.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)
        if not self.is_terminal:
            self.width = PIPE_WIDTH

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        # Segments that are control codes come from rich: they move the cursor of a live table.
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(make_inert(segment.text), segment.style)

    @override
    def out(self, *objects: Any, **options: Any) -> None:
        # `Console.out` does not call `render`.
        super().out(*(make_inert(str(one)) for one in objects), **options)
