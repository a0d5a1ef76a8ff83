"""The installed distribution: its name in a package index, its version, and how to install what is missing.

The name is not `caucus`: in the package index that is another project's program, with a command of the same name.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path

NAME = "caucus-sweeps"
"""What pip takes. The command, and the word in all records, stay `caucus`."""

COMMAND = "caucus"
ENTRY = "runner.cli.main:main"

CHECKOUT = Path(__file__).parents[1]
"""The folder of the three packages: a checkout, or where packages are installed."""

PACKAGES = ("trainables", "ensembles", "runner")


def installed_version() -> str:
    """The version of Caucus that is installed."""
    return version(NAME)


def install_command(extra: str) -> str:
    """What to type to get the packages of the extra `extra`: from the checkout that this code runs from, else from an index.

    >>> install_command("timm").startswith("pip install --editable ")
    True
    """
    if (CHECKOUT / "pyproject.toml").is_file():
        return f"pip install --editable '{CHECKOUT}[{extra}]'"
    return f"pip install '{NAME}[{extra}]'"


def setup_command() -> str:
    """What to type to install Caucus anew, with the versions that it was tested with where this is a checkout."""
    return "make setup" if (CHECKOUT / "pyproject.toml").is_file() else f"pip install --upgrade {NAME}"


def find_foreign_command() -> EntryPoint | None:
    """The command `caucus` of another project that is installed beside ours, if there is one."""
    found = entry_points(group="console_scripts", name=COMMAND)
    return next((entry for entry in found if entry.value != ENTRY), None)
