"""Who this process is, so that another one on the same machine can tell whether it is still there."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def describe_process() -> dict[str, Any]:
    """Host, process id, and what tells this process from a later one of the same id, where the system says that."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "machine": _machine(),
        "started": _started(os.getpid()),
    }


def process_has_exited(told: Mapping[str, Any]) -> bool:
    """Whether the process that described itself so has certainly ended. False where that cannot be known from here."""
    machine, pid, started = _machine(), told.get("pid"), told.get("started")
    if not machine or told.get("machine") != machine or not isinstance(pid, int) or not started:
        return False
    return bool(_started(pid) != started)


def _machine() -> str:
    """This boot of this machine, as seen from this process namespace: process ids mean the same only there. "" where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return ""


def _started(pid: int) -> str:
    """When the process began, in ticks since the boot; "" where there is none, or only one that nobody has waited for yet."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = told[told.rindex(")") + 2 :].split()  # the name before may hold spaces and brackets
    return "" if fields[0] in "ZX" else fields[19]
