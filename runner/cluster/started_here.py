"""Clusters that `ray start` has started or joined on this machine, wherever they keep their files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

ADDRESS_FILE = "ray_current_cluster"
"""What `ray start`, and nothing else, writes into the folder of its `--temp-dir`: the address of the cluster. `ray stop` forgets only
the one in the default folder, so the file may be of a cluster of before."""


def find_started(command_lines: Iterable[list[str]] | None = None) -> dict[str, Path]:
    """The address of each cluster that has a raylet here, was meant by `ray start`, and the file that says so.

    A Ray that another program has started for itself has such a raylet, too, but no file with its address. `command_lines` are those of
    the processes to look among; left out, all of this machine that are this user's or root's.
    """
    found: dict[str, Path] = {}
    for words in _list_processes() if command_lines is None else command_lines:
        if not words or Path(words[0]).name != "raylet":
            continue
        told = dict(word.lstrip("-").split("=", 1) for word in words[1:] if word.startswith("--") and "=" in word)
        folder, address = told.get("temp_dir") or told.get("temp-dir"), told.get("gcs-address")
        if not folder or not address or address in found:
            continue
        with contextlib.suppress(OSError):
            path = Path(folder) / ADDRESS_FILE
            if path.read_text(encoding="utf-8", errors="replace").strip() == address:
                found[address] = path
    return found


def _list_processes() -> Iterator[list[str]]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone in the meantime
            if entry.stat().st_uid in (os.getuid(), 0) and not _is_contained(entry):
                yield (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")


def _is_contained(entry: Path) -> bool:
    """Whether a process lives in a container below this one: it counts its processes anew, and its files are elsewhere."""
    told = next((line for line in (entry / "status").read_text().splitlines() if line.startswith("NSpid:")), "")
    return len(told.split()) > 2
