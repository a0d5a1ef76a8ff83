"""The installed distribution: its name in a package index, its version, and how to install what is missing.

The name is not `caucus`, because the package index has another project of that name, whose command is `caucus` too.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path

NAME = "caucus-sweeps"
"""The name for pip. The command and the name in all records stay `caucus`."""

COMMAND = "caucus"
ENTRY = "runner.cli.main:main"

CHECKOUT = Path(__file__).parents[1]
"""The folder of the three packages: a checkout, or where packages are installed."""

PACKAGES = ("trainables", "ensembles", "runner")


def installed_version() -> str:
    """The version of Caucus that is installed."""
    return version(NAME)


def install_command(extra: str) -> str:
    """The command that installs the extra `extra`: from the checkout that this code runs from, else from a package index.

    >>> install_command("timm").startswith("pip install --editable ")
    True
    """
    if (CHECKOUT / "pyproject.toml").is_file():
        return f"pip install --editable '{CHECKOUT}[{extra}]'"
    return f"pip install '{NAME}[{extra}]'"


def setup_command() -> str:
    """The command that installs Caucus again. In a checkout it installs the versions that Caucus was tested with."""
    return "make setup" if (CHECKOUT / "pyproject.toml").is_file() else f"pip install --upgrade {NAME}"


def find_foreign_command() -> EntryPoint | None:
    """The entry point `caucus` of another installed project; None where there is none."""
    found = entry_points(group="console_scripts", name=COMMAND)
    return next((entry for entry in found if entry.value != ENTRY), None)
