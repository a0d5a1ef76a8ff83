"""What a soup is worth, as the table that a person reads."""

from __future__ import annotations

from rich.table import Table

from ensembles.compression.soup_summary import SoupSummary


def show_soup(story: SoupSummary) -> Table:
    """The best single epoch, the soup, and the vote of what went into it."""
    table = Table(title=f"{story.kind.capitalize()} soup of {story.trial_id}", title_justify="left", box=None)
    table.header_style, table.pad_edge = "dim", False
    table.add_column("", no_wrap=True)
    for heading in ("test accuracy", "95 % interval", "test NLL", "validation (chosen on)", "nets"):
        table.add_column(heading, justify="right", no_wrap=True)
    count = len(story.ingredients)
    for label, told, nets in (
        ("best single epoch", story.best, 1),
        (f"{story.kind} soup of {count}", story.soup, 1),
        (f"soft vote of the same {count}", story.vote, count),
    ):
        low, high = told.test_ci95
        table.add_row(
            label,
            f"{told.test_accuracy:.2%}",
            f"{low:.2%} to {high:.2%}",
            f"{told.test_loss:.4f}",
            f"{told.validation_accuracy:.2%}",
            str(nets),
        )
    return table
