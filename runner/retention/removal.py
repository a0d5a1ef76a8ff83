"""Something of a store that can go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainables.results.checkpoint import CheckpointId


@dataclass(frozen=True)
class Removal:
    """Something that can go.

    what        its kind, as the table shows it
    first       keys that are deleted before all others, so that no reader sees half of it
    rest        the other keys
    paths       files of a folder store that are no objects
    """

    what: str
    first: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    size_bytes: int = 0
    checkpoint: CheckpointId | None = None

    @property
    def objects(self) -> int:
        """How many objects it has."""
        return len(self.first) + len(self.rest) + len(self.paths)


def by_kind(doomed: Iterable[Removal]) -> dict[str, list[Removal]]:
    """What goes, by kind, in the order of the first of each."""
    kinds: dict[str, list[Removal]] = {}
    for one in doomed:
        kinds.setdefault(one.what, []).append(one)
    return kinds


def count_objects(many: Iterable[Removal]) -> int:
    """How many objects they have together."""
    return sum(one.objects for one in many)
