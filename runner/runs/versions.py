"""Versions of the packages that decide a run's numbers."""

from __future__ import annotations

import platform
from importlib.metadata import version

from trainables.distribution import installed_version


def versions() -> dict[str, str]:
    """Versions of the packages that decide numbers, for the record; imports none of them."""
    packages = {name: version(name) for name in ("torch", "ray", "numpy", "pyarrow")}
    return {"python": platform.python_version(), "caucus": installed_version(), **packages}
