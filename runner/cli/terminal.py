"""Words for a terminal. Reasons, names and messages come from data sets and stores, and a terminal obeys some characters."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

PIPE_WIDTH = 160

_KEPT = "\n\t"
_TURNING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Change the direction of what follows, so that words read as others."""

_INERT = {code: "\ufffd" for code in (*range(32), *range(127, 160), *_TURNING) if chr(code) not in _KEPT}


def make_inert(text: str) -> str:
    """`text` with a mark in place of each character that a terminal would obey; line breaks and tabulators stay.

    >>> make_inert("a\\x1b[2Jb"), make_inert("über\\n")
    ('a�[2Jb', 'über\\n')
    """
    return text.translate(_INERT)


def say(text: str, file: TextIO | None = None) -> None:
    """Print a line at once; to standard output, unless `file` is named."""
    print(make_inert(text), file=file or sys.stdout, flush=True)


class Terminal(Console):
    """A console on which no word is a command: neither to the terminal, nor to rich, whose own marks are plain words here.

    A terminal's own width; for a file or a pipe, whose width nobody knows, enough for every table.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)
        if not self.is_terminal:
            self.width = PIPE_WIDTH

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See `Console.render`. Segments that are control codes are rich's own: moving the cursor of a live table."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(make_inert(segment.text), segment.style)

    def out(self, *objects: Any, **options: Any) -> None:
        """See `Console.out`, which does not render."""
        super().out(*(make_inert(str(one)) for one in objects), **options)
