"""A removal: objects of a store that can be deleted together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainables.results.checkpoint import CheckpointId


@dataclass(frozen=True)
class Removal:
    """Objects that can be deleted together.

    what        its kind, as the table shows it
    first       keys that are deleted before all others, so that no reader sees an incomplete checkpoint
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
        """Number of objects."""
        return len(self.first) + len(self.rest) + len(self.paths)


def by_kind(removals: Iterable[Removal]) -> dict[str, list[Removal]]:
    """Removals by kind, in the order of the first of each."""
    kinds: dict[str, list[Removal]] = {}
    for removal in removals:
        kinds.setdefault(removal.what, []).append(removal)
    return kinds


def count_objects(removals: Iterable[Removal]) -> int:
    """Number of objects of all removals."""
    return sum(removal.objects for removal in removals)
