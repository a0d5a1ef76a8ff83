"""The scores over the folds of a sweep, as one JSON object and as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from ensembles.evaluation.over_folds import FoldsSummary
from runner.cli.tables.result import result_to_json
from runner.pipeline import RunResult

MOST_ROWS = 20


def folds_to_json(results: Sequence[RunResult], summary: FoldsSummary | None) -> dict[str, Any]:
    """The JSON object of `caucus run --json` with `data.folds`: the result of each fold, and the scores over all; null where a fold is
    not done."""
    over_all = {**asdict(summary), "sentences": list(summary.sentences)} if summary else None
    return {"folds": [result_to_json(result) for result in results], "over_all_folds": over_all}


def show_folds(summary: FoldsSummary, console: Console) -> None:
    """Print the configurations, best on validation first, and the sentences."""
    table = Table(title=f"Over {summary.folds} folds", title_justify="left", box=None, pad_edge=False)
    table.header_style, table.title_style = "dim", "bold"
    for heading in ("validation (chosen on)", "sd", "test accuracy", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("configuration")
    for score in summary.configurations[:MOST_ROWS]:
        low, high = score.ci95
        table.add_row(
            f"{score.merit:.4f}",
            f"{score.merit_sd:.4f}",
            f"{score.accuracy:.2%}",
            f"{low:.2%} to {high:.2%}",
            score.settings or "the only one",
        )
    console.print()
    console.print(table)
    console.print()
    if (more := len(summary.configurations) - MOST_ROWS) and more > 0:
        console.print(f"{more} more configurations are in the --json output.", highlight=False)
    if summary.elsewhere:
        console.print(f"{summary.elsewhere} configurations are not in every fold, and have no score.", highlight=False)
    for sentence in summary.sentences:
        console.print(sentence, highlight=False, soft_wrap=True)
