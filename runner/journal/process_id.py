"""Identifies a process, so that another one on the same machine can determine whether it still runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def describe_process() -> dict[str, Any]:
    """Host, process id, and boot and start time, which distinguish this process from a later one with the same id (Linux only)."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "machine": _machine(),
        "started": _started(os.getpid()),
    }


def process_has_exited(description: Mapping[str, Any]) -> bool:
    """Whether the process with this description (of `describe_process`) has certainly ended. False where that cannot be known."""
    machine, pid, started = _machine(), description.get("pid"), description.get("started")
    if not machine or description.get("machine") != machine or not isinstance(pid, int) or not started:
        return False
    return bool(_started(pid) != started)


def _machine() -> str:
    """Boot id and process namespace: process ids are comparable only within both. "" where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return ""


def _started(pid: int) -> str:
    """Start time of the process, in ticks since the boot; "" where there is none, or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before may hold spaces and brackets
    return "" if fields[0] in "ZX" else fields[19]
