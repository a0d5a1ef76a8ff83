"""Validation errors as sentences: pydantic's problems in plain words, with the nearest known key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from runner.config.search import NAME_PATTERN


def list_problems(error: ValidationError, model: type[BaseModel], where: str, raw: dict[str, Any]) -> Iterator[str]:
    """One sentence for each key of `raw` that `model` rejects; `where` names the file that it comes from."""
    found: dict[str, list[Any]] = {}
    for problem in error.errors():
        found.setdefault(".".join(_place(problem, raw)), []).append(problem)
    for key, problems in found.items():  # a key that may be one of several kinds has a problem with each
        problem = problems[0]
        if problem["type"] == "extra_forbidden":
            *above, last = _place(problem, raw)
            yield f"{where}: {key}: no such key{nearest(last, _siblings(model, above))}"
        elif problem["type"] == "missing":
            yield f"{where}: {key} is missing"
        elif problem["type"] == "value_error":
            yield f"{where}: {key + ': ' if key else ''}{problem['ctx']['error']}"
        else:
            yield f"{where}: {key} is {show_value(problem['input'])}: {_join(problems)}"


def _join(problems: list[Any]) -> str:
    """The rules of a key that may have several types: must be a valid string, or a valid integer."""
    first, *others = dict.fromkeys(map(rule, problems))
    return ", or ".join([first, *(other.removeprefix("must be ") for other in others)])


def _place(problem: Any, raw: Any) -> list[str]:
    """The keys that lead to a problem, without pydantic's names of union members and validators."""
    place, at = [], raw
    for part in problem["loc"]:
        if (isinstance(at, dict) and part in at) or (
            isinstance(at, list | tuple) and isinstance(part, int) and part < len(at)
        ):
            at = at[part]
        elif not (isinstance(at, dict) and problem["type"] == "missing" and part == problem["loc"][-1]):
            continue
        place.append(str(part))
    return place


LONGEST_VALUE = 200
"""Characters of a value in a message: a number may have thousands of digits."""


def show_value(value: object) -> str:
    """`value` as it may have been typed, cut where it is long.

    >>> show_value("many"), show_value([1, None])
    ("'many'", '[1, None]')
    """
    try:
        shown = repr(value)
    except ValueError:  # Python prints no whole number of more than 4300 digits
        return "a number of thousands of digits"
    return shown if len(shown) <= LONGEST_VALUE else f"{shown[: LONGEST_VALUE - 1]}…"


_RULES = (
    (
        re.compile(r"Input should be a valid (dictionary|mapping)( or instance of \w+)?"),
        "must be a mapping of keys to values",
    ),
    (re.compile(r"Input should be a valid tuple"), "must be a list"),
    (
        re.compile(rf"String should match pattern '{re.escape(NAME_PATTERN)}'"),
        "must be letters, digits, dots, dashes and underscores, at most 100",
    ),
    (re.compile(r"Value error, "), ""),
    (re.compile(r"(\w+) should have (.*?) after validation"), r"must have \2"),
    (re.compile(r"\w+ should "), "must "),
)
"""Patterns of pydantic's messages, and what replaces them."""


def rule(problem: Any) -> str:
    """Pydantic's rule as a clause: "input should be a valid integer" becomes "must be a valid integer"."""
    message: str = problem["msg"]
    for theirs, ours in _RULES:
        if theirs.match(message):
            return theirs.sub(ours, message, count=1)
    return message


def _siblings(model: type[BaseModel], place: list[str]) -> list[str]:
    for part in place:
        field = model.model_fields.get(part)
        below = field.annotation if field else None
        if not (isinstance(below, type) and issubclass(below, BaseModel)):
            return []
        model = below
    return list(model.model_fields)


def nearest(word: str, known: list[str]) -> str:
    """A hint at the known word nearest to `word`, or all of them where none is near.

    >>> nearest("optimzer.lr", ["optimizer.lr", "model.width"])
    '; did you mean optimizer.lr?'
    """
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    tail = [] if close else [name for name in known if name.rsplit(".", 1)[-1] == word.rsplit(".", 1)[-1]]
    if close or tail:
        return f"; did you mean {(close or tail)[0]}?"
    return f"; known are {', '.join(known)}" if known else ""
