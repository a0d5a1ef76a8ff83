"""The folder that keeps decoded pixels: where it is, how much it may hold, and what goes when it is full."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainables.errors import DataError

FOLDER_VARIABLE = "CAUCUS_CACHE"
"""Environment variable that says what `data.cache=auto` means on this machine: a folder, or `off`."""

CEILING_VARIABLE = "CAUCUS_CACHE_GB"
"""Environment variable with the most that a cache may hold, in 10^9 bytes."""

CEILING_GB = 50.0

LEAST_FREE_BYTES = 2**30
"""What a cache leaves free on its disk."""

ENTRY, DRAFT = "entry.json", ".part-"
"""The file of an entry that is written last, and how the names of folders start that are still being written."""

LOCKED = "pixels.npy"
"""The file by whose lock (flock) others see that an entry or a draft is in use. A process that ends, however it ends, lets go of it."""

_YOUNG_S = 3600
"""A draft may be without a lock for a moment: younger ones stay."""


@dataclass(frozen=True)
class Cache:
    """A folder with an entry for each set."""

    path: Path
    keeps_all: bool
    """Whether a set is kept, too, that is decoded in no time: where a person has named the folder in the sweep."""


class NoRoom(OSError):
    """A set does not fit into the cache, whatever is removed."""


def find_cache(setting: str, environment: Mapping[str, str] = os.environ) -> Cache | None:
    """The cache that `data.cache` = `setting` means; None where nothing is kept.

    `auto` is what `FOLDER_VARIABLE` names, else `caucus` in `XDG_CACHE_HOME`, else `~/.cache/caucus`. Nothing is created.
    """
    named = environment.get(FOLDER_VARIABLE, "").strip() if setting == "auto" else setting
    if named == "off":
        return None
    try:
        if named and named != "auto":
            return Cache(Path(named).expanduser().absolute() / "pixels", keeps_all=setting != "auto")
        home = environment.get("XDG_CACHE_HOME") or ""
        above = Path(home) if home.startswith("/") else Path.home() / ".cache"
    except RuntimeError:  # no home
        return None
    return Cache(above / "caucus" / "pixels", keeps_all=False)


def ceiling_bytes(environment: Mapping[str, str] = os.environ) -> int:
    """What a cache may hold. Raises `DataError` where `CEILING_VARIABLE` is no number."""
    raw = environment.get(CEILING_VARIABLE, "").strip()
    try:
        found = float(raw) if raw else CEILING_GB
        if not 0 <= found < float("inf"):
            raise ValueError
    except ValueError:
        raise DataError(f"{CEILING_VARIABLE} is {raw!r}: a number of 10^9 bytes, such as 20, or nothing") from None
    return int(found * 1e9)


def make_room(cache: Cache, needed_bytes: int) -> None:
    """Remove the entries that were not used for longest until `needed_bytes` more fit, below the ceiling and on the disk.

    What writers left that were killed goes first; what a process uses stays. Raises `NoRoom`, with nothing but such left-overs
    removed, where it would not fit all the same; and `OSError`.
    """
    cache.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_left_over(cache)
    found = sorted(_entries(cache))
    held = sum(size_bytes for _, size_bytes, _ in found)
    free = shutil.disk_usage(cache.path).free - LEAST_FREE_BYTES
    excess = max(held + needed_bytes - ceiling_bytes(), needed_bytes - free)
    removable = [(size_bytes, path) for _, size_bytes, path in found if excess > 0 and not is_used(path)]
    if excess > sum(size_bytes for size_bytes, _ in removable):
        raise NoRoom(
            f"{needed_bytes / 1e9:.3g} GB do not fit into {cache.path}, which may hold {ceiling_bytes() / 1e9:.3g} GB "
            f"({CEILING_VARIABLE}) on a disk with {max(0, free) / 1e9:.3g} GB free"
        )
    for size_bytes, path in removable:
        if excess <= 0:
            return
        remove(path)
        excess -= size_bytes


def remove(folder: Path) -> None:
    """Remove an entry or a draft: first its name, so that nobody reads half of it. Nothing is raised."""
    hidden = folder.with_name(f"{DRAFT}gone-{os.getpid()}-{time.monotonic_ns()}")
    with contextlib.suppress(OSError):
        folder.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)


def is_used(folder: Path) -> bool:
    """Whether a process holds the entry or the draft in `folder`."""
    try:
        with (folder / LOCKED).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except OSError:  # held; or a file system without locks, where nobody can know
        return True


def _entries(cache: Cache) -> Iterator[tuple[float, int, Path]]:
    """When each entry was last used, its size and its folder."""
    for folder in cache.path.iterdir():
        if folder.name.startswith("."):
            continue
        with contextlib.suppress(OSError):  # another process removes it just now
            used_s = (folder / ENTRY).stat().st_mtime
            yield used_s, sum(file.stat().st_size for file in folder.iterdir()), folder


def _remove_left_over(cache: Cache) -> None:
    """Remove what a killed process has left half written."""
    for folder in cache.path.glob(f"{DRAFT}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _YOUNG_S and not is_used(folder):
                shutil.rmtree(folder, ignore_errors=True)
