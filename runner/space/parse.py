"""Distributions from their form in a sweep file."""

from __future__ import annotations

import math
from typing import Any

from runner.space.distribution import KINDS, RANGES, Distribution, Value

HOW = "write {choice: [...]}, {uniform: [low, high]}, {log: [low, high]} or {int: [low, high]}"

EXTRAS = {"steps": (*RANGES, "around", "range_test"), "factor": ("log", "around"), "by": ("uniform", "int", "around")}
"""For each option of a range, the kinds that it may accompany."""


def parse_distribution(raw: Any) -> Distribution:
    """The distribution that a sweep file writes as, for example, `{log: [1e-4, 1e-1]}`.

    Raises `ValueError` whose message names the value and the rule.
    """
    if isinstance(raw, Distribution):
        return raw
    if not isinstance(raw, dict):
        raise ValueError(f"is {raw!r}, not a distribution: {HOW}")
    raw = dict(raw)
    when = _parse_when(raw.pop("when", {}))
    extras = {name: raw.pop(name) for name in EXTRAS if name in raw}
    if len(raw) != 1 or next(iter(raw)) not in (*KINDS, "around", "range_test"):
        raise ValueError(f"names {', '.join(map(str, raw)) or 'nothing'}: exactly one of {', '.join(KINDS)} is needed")
    kind, value = next(iter(raw.items()))
    _check_extras(kind, extras)
    options: dict[str, Any] = {"when": when, **extras}
    if kind == "range_test":
        if value is not True:
            raise ValueError(f"range_test is {value!r}: write {{range_test: true}}")
        return Distribution(kind, **options)
    if kind == "around":
        if not isinstance(value, str) or not value:
            raise ValueError(f"around is {value!r}: name the stage whose best trial is the centre")
        if ("factor" in extras) == ("by" in extras):
            raise ValueError("around needs one of `factor: 3` and `by: 0.1`: how far its neighbours are")
        return Distribution(kind, around=value, **options)
    if not isinstance(value, list):
        raise ValueError(f"{kind} is {value!r}: a list in square brackets is needed")
    if kind == "choice":
        return Distribution(kind, values=_parse_choice(value), **options)
    low, high = _parse_bounds(kind, value)
    return Distribution(kind, low=low, high=high, **options)


def _parse_choice(values: list[Any]) -> tuple[Value, ...]:
    if not values:
        raise ValueError("choice is empty: name at least one value")
    for value in values:
        if not isinstance(value, str | int | float | bool | None):
            raise ValueError(f"choice holds {value!r}: only plain values can be chosen from")
    twice = [
        value
        for position, value in enumerate(values)
        if (type(value), value) in {(type(v), v) for v in values[:position]}
    ]
    if twice:
        raise ValueError(f"choice names {twice[0]!r} twice: keep one")
    return tuple(values)


def _parse_bounds(kind: str, bounds: list[Any]) -> tuple[float, float]:
    if len(bounds) != 2:
        raise ValueError(f"{kind} has {len(bounds)} value(s): exactly a low and a high one are needed")
    for bound in bounds:
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
            raise ValueError(f"{kind} holds {bound!r}: a number is needed")
        if kind == "int" and not isinstance(bound, int):
            raise ValueError(f"int holds {bound!r}: whole numbers are needed")
        if kind == "log" and bound <= 0:
            raise ValueError(f"log holds {bound!r}: both ends must be above zero")
    low, high = bounds
    if not low < high:
        raise ValueError(f"{kind} runs from {low!r} to {high!r}: the low end comes first and is lower")
    return float(low), float(high)


def _check_extras(kind: str, extras: dict[str, Any]) -> None:
    """Check `steps`, `factor` and `by`: the kind of range can use them, and at most one places the mesh's points.

    Raises `ValueError`.
    """
    for name, value in extras.items():
        if name == "steps" and (kind == "choice" or not isinstance(value, int) or isinstance(value, bool) or value < 2):
            raise ValueError(f"steps is {value!r}: a whole number of at least 2, beside a range")
        if kind not in EXTRAS[name]:
            raise ValueError(f"{name} means nothing beside {kind}: it goes with {', '.join(EXTRAS[name])}")
        number = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
        if name == "factor" and not (number and value > 1):
            raise ValueError(f"factor is {value!r}: a number above 1, the ratio of neighbouring points")
        if name == "by" and not (number and value > 0 and (kind != "int" or isinstance(value, int))):
            raise ValueError(f"by is {value!r}: a number above 0 (whole with int), the distance of neighbouring points")
    if kind != "around" and len(extras) > 1:
        raise ValueError(f"{' and '.join(extras)} both say where the mesh's points are: keep one")


def _parse_when(conditions: Any) -> dict[str, tuple[Value, ...]]:
    if not isinstance(conditions, dict):
        raise ValueError(f"when is {conditions!r}: write {{optimizer.name: sgd}}, a key and its value or values")
    return {str(key): tuple(value) if isinstance(value, list) else (value,) for key, value in conditions.items()}
