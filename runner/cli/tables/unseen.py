"""What unseen groups and sources cost, as a table for a terminal."""

from __future__ import annotations

from rich.table import Table

from trainables.data.floor import SIDE_PX
from trainables.data.unseen import Unseen


def show_unseen(found: Unseen) -> Table:
    """Table of what the nearest neighbour is right on: over all images, then for each source."""
    title = f"Nearest neighbour on {SIDE_PX} x {SIDE_PX} pixels of {found.images:,} images"
    table = Table(title=title, title_justify="left", box=None)
    table.header_style, table.pad_edge = "dim", False
    table.add_column("", no_wrap=True)
    for heading in ("images", "right", "without the source"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("dealt at random", f"{found.images:,}", f"{found.dealt:.1%}", "")
    if found.groups is not None:
        table.add_row("groups kept whole", f"{found.images:,}", f"{found.groups:.1%}", "")
    for source in found.sources:
        table.add_row(f"source {source.source}", f"{source.images:,}", f"{source.seen:.1%}", f"{source.unseen:.1%}")
    return table
