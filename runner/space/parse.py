"""Distributions from their form in a sweep file."""

from __future__ import annotations

import math
from typing import Any

from runner.space.distribution import KINDS, RANGES, Distribution, Value

HOW = "write {choice: [...]}, {uniform: [low, high]}, {log: [low, high]} or {int: [low, high]}"

BESIDE = {"steps": (*RANGES, "around", "range_test"), "factor": ("log", "around"), "by": ("uniform", "int", "around")}
"""What may stand beside which kind."""


def parse_distribution(raw: Any) -> Distribution:
    """A distribution from its form in a sweep file, such as `{log: [1e-4, 1e-1]}`.

    Raises `ValueError` whose message names the value and the rule.
    """
    if isinstance(raw, Distribution):
        return raw
    if not isinstance(raw, dict):
        raise ValueError(f"is {raw!r}, not a distribution: {HOW}")
    raw = dict(raw)
    when = _parse_when(raw.pop("when", {}))
    beside = {name: raw.pop(name) for name in BESIDE if name in raw}
    if len(raw) != 1 or next(iter(raw)) not in (*KINDS, "around", "range_test"):
        raise ValueError(f"names {', '.join(map(str, raw)) or 'nothing'}: exactly one of {', '.join(KINDS)} is needed")
    kind, given = next(iter(raw.items()))
    _check_beside(kind, beside)
    told: dict[str, Any] = {"when": when, **beside}
    if kind == "range_test":
        if given is not True:
            raise ValueError(f"range_test is {given!r}: write {{range_test: true}}")
        return Distribution(kind, **told)
    if kind == "around":
        if not isinstance(given, str) or not given:
            raise ValueError(f"around is {given!r}: name the stage whose best trial is the centre")
        if ("factor" in beside) == ("by" in beside):
            raise ValueError("around needs one of `factor: 3` and `by: 0.1`: how far its neighbours are")
        return Distribution(kind, around=given, **told)
    if not isinstance(given, list):
        raise ValueError(f"{kind} is {given!r}: a list in square brackets is needed")
    if kind == "choice":
        return Distribution(kind, values=_parse_choice(given), **told)
    low, high = _parse_bounds(kind, given)
    return Distribution(kind, low=low, high=high, **told)


def _parse_choice(given: list[Any]) -> tuple[Value, ...]:
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
    return tuple(given)


def _parse_bounds(kind: str, given: list[Any]) -> tuple[float, float]:
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
    return float(low), float(high)


def _check_beside(kind: str, beside: dict[str, Any]) -> None:
    """`steps`, `factor` and `by` are what their kind of range can use, and at most one says where a mesh's points are."""
    for name, value in beside.items():
        if name == "steps" and (kind == "choice" or not isinstance(value, int) or isinstance(value, bool) or value < 2):
            raise ValueError(f"steps is {value!r}: a whole number of at least 2, beside a range")
        if kind not in BESIDE[name]:
            raise ValueError(f"{name} means nothing beside {kind}: it goes with {', '.join(BESIDE[name])}")
        number = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
        if name == "factor" and not (number and value > 1):
            raise ValueError(f"factor is {value!r}: a number above 1, the ratio of neighbouring points")
        if name == "by" and not (number and value > 0 and (kind != "int" or isinstance(value, int))):
            raise ValueError(f"by is {value!r}: a number above 0 (whole with int), the distance of neighbouring points")
    if kind != "around" and len(beside) > 1:
        raise ValueError(f"{' and '.join(beside)} both say where the mesh's points are: keep one")


def _parse_when(given: Any) -> dict[str, tuple[Value, ...]]:
    if not isinstance(given, dict):
        raise ValueError(f"when is {given!r}: write {{optimizer.name: sgd}}, a key and its value or values")
    return {str(key): tuple(value) if isinstance(value, list) else (value,) for key, value in given.items()}
