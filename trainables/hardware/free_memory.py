"""The memory that this process could take now, on this machine and within the limit of its container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")

_UNLIMITED_BYTES = 2**60
"""A limit above this is none: version 1 of cgroups says "unlimited" with the largest number that it has."""


def free_memory_bytes() -> int:
    """Memory that this process could take now, without swapping and within the limits of its container.

    A container is killed at its own limit, whatever the machine has; caches of files that can go count as free.
    """
    return max(0, min([_available_bytes(), *_left_in_groups()]))


def _left_in_groups() -> Iterator[int]:
    """What each group of processes that this one belongs to, and each above it, leaves (cgroups, versions 1 and 2)."""
    own = _own_groups()
    # Within a container its own group is mounted at the top, and the path that the kernel tells may not be there.
    for folder in _upwards(_CGROUP, own.get("", "/")):
        yield from _left(folder, "memory.max", "memory.current", "inactive_file")
    for folder in _upwards(_CGROUP / "memory", own.get("memory", "/")):
        yield from _left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _own_groups() -> dict[str, str]:
    """The path of this process's group by controller; that of version 2, which has one for all, under ""."""
    found: dict[str, str] = {}
    try:
        for line in _OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            found |= dict.fromkeys(controllers.split(","), path)
    except (OSError, ValueError):
        pass
    return found


def _upwards(top: Path, path: str) -> Iterator[Path]:
    """`top`, and each folder on the way down to `path`."""
    folder = top
    yield folder
    for part in path.strip("/").split("/"):
        if part not in ("", "..", "."):
            folder /= part
            yield folder


def _left(folder: Path, limit: str, used: str, cache: str) -> Iterator[int]:
    """The bytes that one group leaves, by the names of its files and of the cache that can go; nothing where it has no limit."""
    try:
        most = (folder / limit).read_text().strip()
        if most == "max" or int(most) >= _UNLIMITED_BYTES:
            return
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        yield int(most) - int((folder / used).read_text()) + int(statistics.get(cache, 0))
    except (OSError, ValueError):
        return


def _available_bytes() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2  # macOS does not report free memory
