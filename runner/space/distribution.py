"""Distributions of a key of a trial: how each is sampled, and the points of its mesh."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

DIGITS = 4
"""Significant digits of a drawn number: short to read, and the same on machines whose `exp` differs in the last bit."""

KINDS = ("choice", "uniform", "log", "int")

RANGES = ("uniform", "log", "int")

CENTRED_STEPS = 3
"""Points of a mesh around a value, where `steps` is left out: below, at and above it."""

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Distribution:
    """How one key varies.

    choice      one of `values`, each as likely
    uniform     any number from `low` to `high`
    log         any number from `low` to `high`, its logarithm uniform
    int         a whole number from `low` to `high`, both included
    around      centred on the value of the best trial of stage `around`; `resolve` turns it into one of the above
    range_test  as `log`, between the bounds that a learning-rate range test finds for each architecture
    """

    kind: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    steps: int | None = None
    """Points of a mesh."""
    factor: float | None = None
    """Ratio of neighbouring points of a mesh, in place of `steps`; with `around`, of the neighbours to the centre."""
    by: float | None = None
    """Distance of neighbouring points of a mesh, in place of `steps`; with `around`, of the neighbours to the centre."""
    around: str = ""
    """The stage whose best trial is the centre."""
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    """This key varies only where each of these keys has one of these values; elsewhere it keeps its fixed value."""

    def extremes(self) -> tuple[Value, ...]:
        """The values to validate: if these are admissible, so are all others."""
        if self.kind == "choice":
            return self.values
        return (self._as_number(self.low), self._as_number(self.high)) if self.kind in RANGES else ()

    def draw(self, share: float) -> Value:
        """The value at `share` (0 to 1, exclusive) of the distribution."""
        if self.kind == "choice":
            return self.values[int(share * len(self.values))]
        if self.kind == "int":
            return int(self.low + math.floor(share * (self.high - self.low + 1)))
        return self._at(share)

    def holds(self, value: Value) -> bool:
        """Whether `value` may be drawn."""
        if self.kind == "choice":
            return any(type(value) is type(one) and value == one for one in self.values)
        if isinstance(value, bool) or not isinstance(value, int if self.kind == "int" else int | float):
            return False
        return shorten(self.low) <= value <= shorten(self.high)

    @property
    def points(self) -> int:
        """How many points the mesh has. Raises `ValueError` where a range does not say how many."""
        if self.kind == "choice":
            return len(self.values)
        if self.factor is not None:
            return math.floor(math.log(self.high / self.low) / math.log(self.factor) + 1e-9) + 1
        if self.by is not None:
            return math.floor((self.high - self.low) / self.by + 1e-9) + 1
        if self.kind == "int":
            whole = int(self.high - self.low) + 1
            return whole if self.steps is None else min(self.steps, whole)
        if self.steps is None:
            other = "factor: 10" if self.kind == "log" else "by: 0.1"
            raise ValueError(f"a mesh needs its points: add `steps: 5` or `{other}` beside `{self.kind}`")
        return self.steps

    def point(self, index: int, shift: float = 0.0) -> Value:
        """The mesh's point `index`, counted from 0; a range also has points beyond its ends.

        `shift` moves it by that share of the distance to its neighbour.
        """
        if self.kind == "choice":
            return self.values[index]
        at = index + shift
        if self.factor is not None:
            value = self.low * self.factor**at
        elif self.by is not None:
            value = self.low + self.by * at
        elif self.kind == "log":
            value = math.exp(math.log(self.low) + at * (math.log(self.high) - math.log(self.low)) / (self.points - 1))
        else:
            value = self.low + at * (self.high - self.low) / max(1, self.points - 1)
        return round(value) if self.kind == "int" else shorten(value)

    def mesh(self) -> tuple[Value, ...]:
        """All points without duplicates. Raises `ValueError` where a range does not say how many."""
        return tuple(dict.fromkeys(self.point(index) for index in range(self.points)))

    @property
    def can_grow(self) -> bool:
        """Whether the mesh can be extended past its borders."""
        return self.kind in RANGES or self.kind == "around"

    def resolve(self, centre: Value, admits: Callable[[Value], bool]) -> Distribution:
        """The range around `centre`, without the points that `admits` refuses; the other points do not move.

        Raises `ValueError` where the centre is no number.
        """
        if isinstance(centre, bool) or not isinstance(centre, int | float):
            raise ValueError(f"is around {centre!r}, which is no number")
        kind = "log" if self.factor is not None else "int" if isinstance(centre, int) else "uniform"
        away = ((self.steps or CENTRED_STEPS) - 1) / 2

        def at(distance: float) -> float:
            return centre * self.factor**distance if self.factor is not None else centre + (self.by or 1) * distance

        def inside(distance: float) -> float:
            step = -1 if distance > 0 else 1
            while distance and not admits(shorten(at(distance)) if kind != "int" else round(at(distance))):
                distance = distance + step if abs(distance) >= 1 else 0.0
            return at(distance)

        low, high = inside(-away), inside(away)
        return Distribution(kind, low=low, high=high, factor=self.factor, by=self.by, when=self.when)

    def between(self, low: float, high: float) -> Distribution:
        """A `range_test` whose bounds have been found."""
        return replace(self, kind="log", low=shorten(low), high=shorten(high))

    def to_dict(self) -> dict[str, Any]:
        """The form in a sweep file; `parse_distribution` is its inverse."""
        content: Any = list(self.values)
        if self.kind in RANGES:
            content = [self._as_number(self.low), self._as_number(self.high)]
        elif self.kind == "around":
            content = self.around
        elif self.kind == "range_test":
            content = True
        extras = {name: value for name in ("steps", "factor", "by") if (value := getattr(self, name)) is not None}
        when = {key: list(values) for key, values in self.when.items()}
        return {self.kind: content, **extras, **({"when": when} if when else {})}

    def _at(self, share: float) -> float:
        if self.kind == "log":
            return shorten(math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low))))
        return shorten(self.low + share * (self.high - self.low))

    def _as_number(self, value: float) -> Value:
        return int(value) if self.kind == "int" else value


def shorten(value: float) -> float:
    """`value` to `DIGITS` significant digits.

    >>> shorten(0.00123456)
    0.001235
    """
    return float(f"{value:.{DIGITS}g}")
