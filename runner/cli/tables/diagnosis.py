"""The diagnoses of a run's trials as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ensembles.diagnosis.diagnose import Diagnosis
from ensembles.report.sweep.diagnosis import describe_evidence, format_overrides

STYLES = {"healthy": "green", "unknown": "dim"}


def show_diagnoses(diagnoses: Sequence[Diagnosis], most: int, title: str) -> Table:
    """The first `most` diagnoses: trial, verdict, evidence, and what to try as overrides for the command line."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)
    for heading in ("trial", "verdict"):
        table.add_column(heading, no_wrap=True)
    table.add_column("evidence")
    table.add_column("try")
    for found in diagnoses[:most]:
        verdict = Text(found.verdict, STYLES.get(found.verdict, "yellow"))
        table.add_row(
            Text(found.trial_id), verdict, Text(describe_evidence(found)), Text(format_overrides(found), "bold")
        )
    if (hidden := len(diagnoses) - table.row_count) > 0:
        table.caption, table.caption_justify, table.caption_style = f"and {hidden} more", "left", "dim"
    return table
