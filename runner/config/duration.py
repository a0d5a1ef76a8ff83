"""Durations as people write them: `90s`, `10m`, `1h30m`."""

from __future__ import annotations

import re

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: object) -> float:
    """Seconds in a duration such as `45s`, `10m`, `1h30m`, `2d`, or a plain number of seconds.

    Raises `ValueError` whose message names the rule.

    >>> parse_duration("1h30m"), parse_duration(90)
    (5400.0, 90.0)
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        seconds = float(text)
    elif isinstance(text, str) and re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
        seconds = sum(float(count) * UNITS_S[unit] for count, _, unit in re.findall(r"(\d+(\.\d+)?)([smhd])", text))
    else:
        raise ValueError("a duration is written like 90s, 10m or 1h30m")
    if seconds <= 0:
        raise ValueError("a duration is more than zero")
    return seconds


def show_duration(seconds: float) -> str:
    """Seconds for a person, in at most two units.

    >>> show_duration(0.25), show_duration(75), show_duration(5400), show_duration(200000)
    ('0.2 s', '1 m 15 s', '1 h 30 m', '2 d 7 h')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    while parts[0][0] == 0 and len(parts) > 1:
        parts.pop(0)
    return " ".join(f"{count} {unit}" for count, unit in parts[:2])
