"""The NVIDIA driver of this machine, and whether it is new enough for the CUDA that torch was built for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

LEAST_DRIVER = {11: 450, 12: 525, 13: 580}
"""The oldest driver branch for each major version of CUDA on which all of its versions run, by NVIDIA's "CUDA Compatibility,
Minor Version Compatibility" (docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html, read in 2026-11)."""

VERSION_FILE = Path("/proc/driver/nvidia/version")
"""The kernel module's version; visible in containers too, with or without a GPU."""

SMI = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
SMI_TIMEOUT_S = 20.0


def least_driver(cuda: str) -> int | None:
    """The oldest driver for a version of CUDA; None if the text is no version, or newer than this table.

    >>> least_driver("13.2"), least_driver("12.8"), least_driver("99.0")
    (580, 525, None)
    """
    major = re.match(r"\d+", cuda)
    return LEAST_DRIVER.get(int(major[0])) if major else None


def find_fault(driver: str, cuda: str) -> str:
    """Why `driver` is too old for a torch that is built for `cuda`; "" if it is not, or if that is unknown.

    >>> find_fault("535.183.01", "13.2")
    'driver 535.183.01 is older than CUDA 13.2 needs (580)'
    >>> find_fault("595.91.07", "13.2")
    ''
    """
    least, branch = least_driver(cuda), re.match(r"\d+", driver)
    if least is None or branch is None or int(branch[0]) >= least:
        return ""
    return f"driver {driver} is older than CUDA {cuda} needs ({least})"


def find_driver() -> str:
    """The version of this machine's NVIDIA driver, such as `595.91.07`; "" if none is loaded."""
    try:
        return parse_version_file(VERSION_FILE.read_text())
    except OSError:
        pass  # none, or Windows' Linux, whose driver is the one of Windows
    try:
        done = subprocess.run(SMI, capture_output=True, text=True, timeout=SMI_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return parse_smi(done.stdout) if done.returncode == 0 else ""


def parse_version_file(text: str) -> str:
    """The driver's version in `/proc/driver/nvidia/version`; the compiler's, below it, is another.

    >>> parse_version_file("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  595.91.07  Release Build  (dvs)")
    '595.91.07'
    """
    found = re.search(r"^NVRM version:.*?Module\b.*?\s(\d{2,4}(?:\.\d+)+)\s", text + "\n", re.MULTILINE)
    return found[1] if found else ""


def parse_smi(text: str) -> str:
    """The driver's version in what nvidia-smi prints, a line a GPU.

    >>> parse_smi("595.91.07\\n595.91.07\\n")
    '595.91.07'
    """
    lines = text.split()
    return lines[0] if lines and re.fullmatch(r"\d{2,4}(\.\d+)+", lines[0]) else ""
