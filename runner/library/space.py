"""What a program writes in place of a value that is to be searched: `optimizer={"lr": log(1e-3, 1e-1)}`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Searched:
    """A key's distribution, in its form in a sweep file."""

    payload: dict[str, Any]


def log(low: float, high: float, **beside: Any) -> Searched:
    """A number from `low` to `high` whose logarithm is uniform. `steps=5` or `factor=3` beside it for a grid."""
    return Searched({"log": [low, high], **beside})


def uniform(low: float, high: float, **beside: Any) -> Searched:
    """A number from `low` to `high`. `steps=5` or `by=0.1` beside it for a grid."""
    return Searched({"uniform": [low, high], **beside})


def integers(low: int, high: int, **beside: Any) -> Searched:
    """A whole number from `low` to `high`, both included."""
    return Searched({"int": [low, high], **beside})


def choice(*values: str | float | bool | None) -> Searched:
    """One of `values`, each as likely."""
    return Searched({"choice": list(values)})
