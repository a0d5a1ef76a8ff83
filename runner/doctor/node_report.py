"""Versions, GPUs and free space of a node of a Ray cluster, as a task on that node sees them."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from trainables.errors import CaucusError

TORCH = """
import torch
print(torch.__version__)
print(*[torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())], sep="\\n")
"""

TORCH_S = 60.0

DRIVER_FILE = Path("/proc/driver/nvidia/version")

PACKAGES = {"Ray": "ray", "Caucus": "caucus-sweeps"}


@dataclass(frozen=True)
class NodeReport:
    """One node as it sees itself."""

    versions: dict[str, str]
    """Versions of Python, Ray, torch and Caucus; "" for a package that is not installed."""
    torch_failure: str
    """Why torch cannot be imported; "" if it can."""
    gpus: tuple[str, ...]
    """The devices that torch sees, by name."""
    driver: str
    """The version of NVIDIA's driver; "" if there is none."""
    free_bytes: int
    """Free space on the disk of the temporary folder, where Ray and Caucus write."""
    store_failure: str | None
    """Why the store cannot be used from the node; "" if it can, None if no store was named."""


@dataclass(frozen=True)
class StoreProbe:
    """An object that a driver has written, and that a node should find."""

    uri: str
    endpoint_url: str | None
    key: str


def report_node(probe: StoreProbe | None) -> NodeReport:
    """The report of this machine. Takes seconds: torch is imported in a child process, as a trial would see it."""
    torch, failure, gpus = _ask_torch()
    versions = {"Python": platform.python_version(), "torch": torch}
    versions |= {name: _version(package) for name, package in PACKAGES.items()}
    store_failure = None if probe is None else _find_store_failure(probe)
    return NodeReport(versions, failure, gpus, _driver(), shutil.disk_usage(tempfile.gettempdir()).free, store_failure)


def read_clock() -> float:
    """The clock of this machine, in seconds since 1970."""
    return time.time()


def _ask_torch() -> tuple[str, str, tuple[str, ...]]:
    """Version of torch, why it cannot be imported, and the devices it sees. Ray may hide the GPUs from a task that asks for none."""
    env = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    with contextlib.suppress(
        OSError, KeyError, StopIteration
    ):  # the environment with which the node was started counts
        variables = (
            Path(f"/proc/{os.environ['RAY_RAYLET_PID']}/environ").read_bytes().decode(errors="replace").split("\0")
        )
        env["CUDA_VISIBLE_DEVICES"] = next(
            variable.partition("=")[2] for variable in variables if variable.startswith("CUDA_VISIBLE_DEVICES=")
        )
    try:
        done = subprocess.run(
            [sys.executable, "-c", TORCH], capture_output=True, text=True, env=env, timeout=TORCH_S, check=False
        )
    except subprocess.TimeoutExpired:
        return _version("torch"), f"took more than {TORCH_S:g} s", ()
    if done.returncode:
        why = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return _version("torch"), why[-1], ()
    found, *gpus = done.stdout.splitlines()
    return found, "", tuple(name for name in gpus if name)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _driver() -> str:
    """The version of NVIDIA's driver, from the kernel; "" if there is none."""
    with contextlib.suppress(OSError):
        parts = DRIVER_FILE.read_text(encoding="utf-8", errors="replace").split()
        return next((part for part in parts if part[0].isdigit() and "." in part), "")
    return ""


def _find_store_failure(probe: StoreProbe) -> str:
    from trainables.store.open import open_store

    try:
        store = open_store(probe.uri, probe.endpoint_url)
        store.check_writable()
        if store.stat(probe.key) is None:
            return (
                f"{probe.uri} does not hold there what the driver has just written: a folder has to be the same one on all "
                "nodes, so mount it everywhere, or take s3://"
            )
    except CaucusError as error:
        return str(error)
    return ""
