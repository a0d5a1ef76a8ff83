"""Clusters that `ray start` has started or joined on this machine, wherever they keep their files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

ADDRESS_FILE = "ray_current_cluster"
"""A file with the address of the cluster, which only `ray start` writes, into the folder of its `--temp-dir`. `ray stop` deletes
only the one in the default folder, so the file may be left from an earlier cluster."""


def find_started(command_lines: Iterable[list[str]] | None = None) -> dict[str, Path]:
    """The address of each cluster that `ray start` has started or joined here, and the file that holds it.

    A private Ray of another program has a raylet, too, but no file with its address. `command_lines` are those of the
    processes to search; by default, all processes of this user and of root.
    """
    found: dict[str, Path] = {}
    for arguments in _list_processes() if command_lines is None else command_lines:
        if not arguments or Path(arguments[0]).name != "raylet":
            continue
        options = dict(
            argument.lstrip("-").split("=", 1)
            for argument in arguments[1:]
            if argument.startswith("--") and "=" in argument
        )
        folder, address = options.get("temp_dir") or options.get("temp-dir"), options.get("gcs-address")
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
    """Whether a process lives in a container inside this one: its PID namespace is another one, and its files are elsewhere."""
    line = next((line for line in (entry / "status").read_text().splitlines() if line.startswith("NSpid:")), "")
    return len(line.split()) > 2
