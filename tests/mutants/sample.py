"""Which mutants are tried, and by which tests: those of the code that decides, drawn by a seed and evenly over its rooms."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path

from tests.mutants.operators import Mutant, is_another_program, make_mutants

EQUAL = Path(__file__).with_name("equal.txt")
"""The mutants that do what the code does, each with the reason."""

ROOMS: Mapping[str, tuple[str, ...]] = {
    "ensembles/voting": ("*",),
    "ensembles/selection": ("*",),
    "ensembles/selection/greedy": ("*",),
    "ensembles/calibration": ("*",),
    "ensembles/selection_bias": ("*",),
    "ensembles/evaluation": ("verdict", "comparison"),
    "ensembles/nights": ("compare",),
    "runner/journal": ("journal", "lease", "state"),
    "runner/control": ("budget",),
    "runner/schedulers": ("*",),
    "runner/retention": ("retention", "reference_set"),
    "trainables/splits": ("split",),
}
"""What decides who votes, what a vote says, what a trial may cost and what is deleted: a folder, and files of it."""


def list_modules(root: Path, room: str) -> list[str]:
    """The paths of a room's modules, from the root; a face has nothing to decide."""
    found = {path for name in ROOMS[room] for path in (root / room).glob(f"{name}.py") if path.stem != "__init__"}
    return sorted(path.relative_to(root).as_posix() for path in found)


def list_tests(root: Path, path: str) -> list[str]:
    """What tests a module, in the order in which a fault is likely to be found: its examples, its own tests, those of its room."""
    module = Path(path)
    folder = root / "tests" / module.parent
    own = folder / f"test_{module.stem}.py"
    others = sorted(file for file in folder.glob("test_*.py") if file != own)
    files = [root / path, *([own] if own.exists() else []), *others]
    return [file.relative_to(root).as_posix() for file in files]


def draw(root: Path, seed: int) -> Iterator[tuple[int, str, Mutant]]:
    """All mutants with their numbers and rooms, one of each room in turn, in an order that follows from `seed` alone."""
    rooms = []
    for room in ROOMS:
        made = _make_all(root, room)
        random.Random(f"{seed}/{room}").shuffle(made)
        rooms.append([(room, mutant) for mutant in made])
    turns = (each for turn in zip_longest(*rooms) for each in turn if each is not None)
    for number, (room, mutant) in enumerate(turns):
        if is_another_program((root / mutant.path).read_bytes(), mutant.source):
            yield number, room, mutant


def list_names(root: Path) -> set[str]:
    """The names of all mutants."""
    return {mutant.name for room in ROOMS for mutant in _make_all(root, room)}


def _make_all(root: Path, room: str) -> list[Mutant]:
    return [mutant for path in list_modules(root, room) for mutant in make_mutants(path, (root / path).read_bytes())]


def read_equal(lines: Iterable[str]) -> dict[str, str]:
    """Reasons by the name of a mutant: its line begins at the margin, its reason is what is indented below. Raises `ValueError`
    for one without a reason."""
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        if line.startswith("#") or not line.strip():
            continue
        if line[0].isspace():
            found[name] = f"{found[name]} {line.strip()}".strip()
        else:
            name = line.strip()
            found[name] = ""
    if without := [name for name, reason in found.items() if not reason]:
        raise ValueError(f"{EQUAL.name} says of {without[0]!r} not why it is equal in effect: write it below, indented")
    return found
