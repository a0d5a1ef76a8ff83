"""The ways in which a key of a trial may vary, and how each is drawn."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

DIGITS = 4
"""Significant digits of a drawn number: short to read, and the same on machines whose `exp` differs in the last bit."""

KINDS = ("choice", "uniform", "log", "int")

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Distribution:
    """How one key varies.

    choice     one of `values`, each as likely
    uniform    any number from `low` to `high`
    log        any number from `low` to `high`, its logarithm uniform
    int        a whole number from `low` to `high`, both included
    """

    kind: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    steps: int | None = None
    """Points of a `uniform` or `log` range in a grid."""

    def extremes(self) -> tuple[Value, ...]:
        """Values that are admissible only if all others are."""
        return self.values if self.kind == "choice" else (self._as_number(self.low), self._as_number(self.high))

    def draw(self, share: float) -> Value:
        """The value at `share` (0 to 1, exclusive) of the distribution."""
        if self.kind == "choice":
            return self.values[int(share * len(self.values))]
        if self.kind == "int":
            return int(self.low + math.floor(share * (self.high - self.low + 1)))
        return self._at(share)

    def mesh(self) -> tuple[Value, ...]:
        """The points of a grid. Raises `ValueError` where a range does not say how many."""
        if self.kind == "choice":
            return self.values
        if self.kind == "int" and self.steps is None:
            return tuple(range(int(self.low), int(self.high) + 1))
        if self.steps is None:
            raise ValueError(f"a grid needs the number of points: add `steps: 5` beside `{self.kind}`")
        points = (self._at(step / (self.steps - 1)) for step in range(self.steps))
        return tuple(dict.fromkeys(round(point) if self.kind == "int" else point for point in points))

    def _at(self, share: float) -> float:
        if self.kind == "log":
            return shorten(math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low))))
        return shorten(self.low + share * (self.high - self.low))

    def told(self) -> dict[str, Any]:
        """The form in a sweep file; `parse_distribution` is its inverse."""
        given = list(self.values) if self.kind == "choice" else [self._as_number(self.low), self._as_number(self.high)]
        return {self.kind: given} | ({} if self.steps is None else {"steps": self.steps})

    def _as_number(self, value: float) -> Value:
        return int(value) if self.kind == "int" else value


def parse_distribution(raw: Any) -> Distribution:
    """A distribution from its form in a sweep file, such as `{log: [1e-4, 1e-1]}`.

    Raises `ValueError` whose message names the value and the rule.
    """
    if not isinstance(raw, dict):
        raise ValueError(
            f"is {raw!r}, not a distribution: write {{choice: [...]}}, {{uniform: [low, high]}}, {{log: [low, high]}} or {{int: [low, high]}}"
        )
    raw = dict(raw)
    steps = raw.pop("steps", None)
    if len(raw) != 1 or next(iter(raw)) not in KINDS:
        raise ValueError(f"names {', '.join(map(str, raw)) or 'nothing'}: exactly one of {', '.join(KINDS)} is needed")
    kind, given = next(iter(raw.items()))
    if steps is not None and (kind == "choice" or not isinstance(steps, int) or isinstance(steps, bool) or steps < 2):
        raise ValueError(f"steps is {steps!r}: a whole number of at least 2, beside a range")
    if not isinstance(given, list):
        raise ValueError(f"{kind} is {given!r}: a list in square brackets is needed")
    if kind == "choice":
        return _parse_choice(given)
    return _parse_range(kind, given, steps)


def _parse_choice(given: list[Any]) -> Distribution:
    if not given:
        raise ValueError("choice is empty: name at least one value")
    for value in given:
        if not isinstance(value, str | int | float | bool | None):
            raise ValueError(f"choice holds {value!r}: only plain values can be chosen from")
    twice = [
        value
        for position, value in enumerate(given)
        if (type(value), value) in {(type(v), v) for v in given[:position]}
    ]
    if twice:
        raise ValueError(f"choice names {twice[0]!r} twice: keep one")
    return Distribution("choice", values=tuple(given))


def _parse_range(kind: str, given: list[Any], steps: int | None) -> Distribution:
    if len(given) != 2:
        raise ValueError(f"{kind} has {len(given)} value(s): exactly a low and a high one are needed")
    for bound in given:
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
            raise ValueError(f"{kind} holds {bound!r}: a number is needed")
        if kind == "int" and not isinstance(bound, int):
            raise ValueError(f"int holds {bound!r}: whole numbers are needed")
        if kind == "log" and bound <= 0:
            raise ValueError(f"log holds {bound!r}: both ends must be above zero")
    low, high = given
    if not low < high:
        raise ValueError(f"{kind} runs from {low!r} to {high!r}: the low end comes first and is lower")
    return Distribution(kind, low=float(low), high=float(high), steps=steps)


def shorten(value: float) -> float:
    """`value` to `DIGITS` significant digits.

    >>> shorten(0.00123456)
    0.001235
    """
    return float(f"{value:.{DIGITS}g}")


def share_of(seed: int, index: int, key: str) -> float:
    """The draw for `key` of trial `index`: a number from 0 to 1 that no other key, trial or machine changes.

    Each key has a stream of its own, so a key that is added to a space leaves the values of the others as they were.
    """
    digest = hashlib.sha256(f"{seed}/{index}/{key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
