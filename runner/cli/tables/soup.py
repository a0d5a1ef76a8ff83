"""The scores of a soup as a table for a terminal."""

from __future__ import annotations

from rich.table import Table

from ensembles.compression.soup_summary import SoupSummary


def show_soup(summary: SoupSummary) -> Table:
    """Table of the best single epoch, the soup, and the vote of its ingredients."""
    table = Table(title=f"{summary.kind.capitalize()} soup of {summary.trial_id}", title_justify="left", box=None)
    table.header_style, table.pad_edge = "dim", False
    table.add_column("", no_wrap=True)
    for heading in ("test accuracy", "95 % interval", "test NLL", "validation (chosen on)", "nets"):
        table.add_column(heading, justify="right", no_wrap=True)
    count = len(summary.ingredients)
    for label, score, nets in (
        ("best single epoch", summary.best, 1),
        (f"{summary.kind} soup of {count}", summary.soup, 1),
        (f"soft vote of the same {count}", summary.vote, count),
    ):
        low, high = score.test_ci95
        table.add_row(
            label,
            f"{score.test_accuracy:.2%}",
            f"{low:.2%} to {high:.2%}",
            f"{score.test_loss:.4f}",
            f"{score.validation_accuracy:.2%}",
            str(nets),
        )
    return table
