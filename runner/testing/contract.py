"""A promise of a contract as an object that can be named, called and parametrized; and how a broken one is described."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Made = TypeVar("Made")
Make = Callable[[], Made]
"""Makes a new object of the kind that is checked, as a run that begins would."""

LONGEST_SHOWN = 400
"""Characters of a value that a message shows."""


@dataclass(frozen=True)
class Check(Generic[Made]):
    """One promise of a contract: `str(check)` is the promise, `check(make)` finds out whether it is kept.

    `make` returns a new object whenever it is called. Raises `AssertionError`, with the promise, what was expected and
    what was found. Whatever else the object raises is passed on, with the promise as a note. In a test:

        @pytest.mark.parametrize("check", store_checks(), ids=str)
        def test_mine_is_a_store(check, tmp_path):
            check(lambda: MyStore(tmp_path))
    """

    promise: str
    examine: Callable[[Make[Made]], None]

    def __call__(self, make: Make[Made]) -> None:
        """Raise `AssertionError` unless what `make` returns keeps the promise."""
        try:
            self.examine(make)
        except AssertionError as error:
            raise AssertionError(f"{self.promise}: {error}") from error
        except Exception as error:
            error.add_note(f"This was raised while it was checked whether: {self.promise}")
            raise

    def __str__(self) -> str:
        return self.promise


def name_check(examine: Callable[[Make[Made]], None], promise: str = "") -> Check[Made]:
    """The check whose promise is the docstring of `examine`, a sentence, unless it is given."""
    sentence = promise or inspect.getdoc(examine) or ""
    return Check(" ".join(sentence.split()).removesuffix("."), examine)


def run_checks(checks: Iterable[Check[Made]], make: Make[Made]) -> None:
    """Run all `checks`. Raises one `AssertionError` that lists all promises that are broken."""
    broken = []
    for check in checks:
        try:
            check(make)
        except AssertionError as error:
            broken.append(error)
    if broken:
        listed = "\n".join(f"- {error}" for error in broken)
        raise AssertionError(f"{len(broken)} promise(s) broken:\n{listed}") from broken[0]


def expect(holds: object, message: str) -> None:
    """Raise `AssertionError` with `message`, which says what is wrong and what was expected, unless it holds."""
    if not holds:
        raise AssertionError(message)


def expect_equal(what: str, found: object, expected: object) -> None:
    """Raise `AssertionError` with both values unless they are equal."""
    if found != expected:
        raise AssertionError(f"{what} is {show(found)}, expected {show(expected)}")


def expect_raises(kind: type[Exception], what: str, act: Callable[[], object]) -> Exception:
    """The error of this kind that `act` raises. Raises `AssertionError` where it raises none."""
    try:
        found = act()
    except kind as error:
        return error
    raise AssertionError(f"{what} returned {show(found)}, expected {kind.__name__}")


def show(value: object) -> str:
    """`repr(value)`, cut where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}… ({len(text)} characters)"
