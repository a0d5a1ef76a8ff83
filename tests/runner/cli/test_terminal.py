"""What a terminal would obey does not reach it, and rich's own marks are words."""

from __future__ import annotations

import io
import sys

import pytest
from rich.live import Live
from rich.table import Table
from rich.text import Text

from runner.cli.terminal import PIPE_WIDTH, Terminal, make_inert, print_line

CLEARS = "\x1b[2J\x1b]0;title\x07\x9b31m\u202egnp.exe"
"""Clears the screen, names the window, turns red (in one byte), and turns the direction of reading."""


def test_control_characters_are_marked_and_all_others_stay() -> None:
    assert make_inert(CLEARS) == "\ufffd[2J\ufffd]0;title\ufffd\ufffd31m\ufffdgnp.exe"
    assert make_inert("naïve 画像\n\t✓") == "naïve 画像\n\t✓"
    assert make_inert("a\rb") == "a\ufffdb"


def test_lines_tables_and_live_tables_are_inert(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    print_line(CLEARS)
    console = Terminal()
    table = Table("name", CLEARS)
    table.add_row(CLEARS, Text(CLEARS))
    console.print(CLEARS)
    console.print(table)
    console.out(CLEARS)
    with Live(table, console=console):
        pass
    assert not set(written.getvalue()) & set("\x1b\x07\x9b\u202e")
    assert written.getvalue().count("gnp") >= 7  # rich counts what a terminal obeys as nothing, so a cell may be cut


def test_richs_own_marks_are_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    text = "[/nothing] [link=https://elsewhere]here[/link] :smile:"
    Terminal().print(text)
    table = Table("name")
    table.add_row(text)
    Terminal().print(table)
    assert written.getvalue().count(text) == 2


def test_a_pipe_is_wide_enough_for_every_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert Terminal().width == PIPE_WIDTH
