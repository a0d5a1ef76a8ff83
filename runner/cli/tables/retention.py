"""What can be deleted from a store, as a table for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.table import Table

from ensembles.selection.retention import CHANGED, KEPT_EQUAL
from runner.retention.removal import by_kind
from runner.retention.retention import Retention


def show_retention(found: Retention) -> Table:
    """Table of the removals by kind (number, objects, bytes), with the total, and of the checkpoints that stay, by reason."""
    verb = "deleted" if found.deleted else "can go"
    table = Table(box=None, header_style="dim", pad_edge=False, title_justify="left", title_style="bold")
    table.title = f"{found.store.uri}: what {'was' if found.deleted else 'can be'} deleted"
    table.add_column("what", overflow="fold")
    for heading in ("number", "objects", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    for what, many in by_kind(found.removals).items():
        size = sum(one.size_bytes for one in many)
        table.add_row(what, f"{len(many):,}", f"{sum(one.objects for one in many):,}", show_bytes(size))
    table.add_row(f"all that {verb}", f"{len(found.removals):,}", f"{found.objects:,}", show_bytes(found.size_bytes))
    table.add_section()
    for reason, count in Counter(found.kept.values()).items():
        table.add_row(f"stays: {reason}", f"{count:,}", "", "", style="dim")
    table.add_row("all checkpoints that stay", f"{len(found.kept):,}", "", show_bytes(found.kept_bytes), style="dim")
    return table


def describe_consequences(found: Retention) -> Iterator[str]:
    """Lines below the table: what stays equal, what changes, and how to delete."""
    yield f"Stays as it is: {'; '.join(KEPT_EQUAL)}."
    yield f"Changes: {'; '.join(CHANGED)}."
    yield from found.notes
    if not found.deleted and found.objects:
        yield "Nothing was deleted: --delete does it, on a store that no sweep is writing to."


def show_bytes(count: int) -> str:
    """Bytes in the largest unit in which there is at least one.

    >>> show_bytes(999), show_bytes(2_400_000_000)
    ('999 B', '2.40 GB')
    """
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:.2f} {unit}"
    return f"{count} B"
