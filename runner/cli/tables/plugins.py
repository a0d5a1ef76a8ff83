"""The parts that can be exchanged as a table for a terminal, and as JSON."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from trainables.plugins.kinds import KINDS


def plugins_to_json() -> list[dict[str, Any]]:
    """A JSON object a kind: the key that names a part, the group of entry points, the built-in parts, and those of installed packages."""
    return [
        {
            "kind": kind.name,
            "key": kind.key,
            "entry_points": kind.group,
            "built_in": [name or "a folder" for name in kind.names],
            "installed": {name: entry.value for name, entry in sorted(kind.entries().items())},
        }
        for kind in KINDS
    ]


def show_plugins() -> Table:
    """A row a kind."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("kind", "named by", "built in", "installed"):
        table.add_column(heading)
    for one in plugins_to_json():
        installed = ", ".join(one["installed"])
        table.add_row(
            Text(one["kind"]), Text(one["key"]), Text(", ".join(one["built_in"])), Text(installed, style="bold")
        )
    return table
