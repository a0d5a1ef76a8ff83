"""The trials of a run as a table for a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from ensembles.analysis.varied_keys import keys_that_vary, show_value
from runner.journal.state import RunState
from runner.runs.trial_table import one_line
from trainables.metric import name_metric
from trainables.results.record import TrialRecord, TrialState, metric_of, rank

STATE_STYLES: dict[TrialState, str] = {
    "waiting": "dim",
    "running": "bold cyan",
    "paused": "cyan",
    "finished": "green",
    "pruned": "yellow",
    "diverged": "red",
    "failed": "bold red",
    "stopped": "magenta",
}


def show_trials(state: RunState, most: int, title: str) -> Table:
    """The best `most` trials and the running ones: rank, score, epoch, state with its reason, and the keys that vary."""
    ranked = rank(list(state.trials.values()))
    varying, metric = keys_that_vary(ranked), metric_of(ranked)
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)
    for heading, justify in (
        ("rank", "right"),
        ("trial", "left"),
        ("validation" if metric == "accuracy" else name_metric(metric), "right"),
        ("loss", "right"),
        ("epoch", "right"),
        ("state", "left"),
    ):
        # On a narrow terminal the reasons are cut first: rich narrows columns that may wrap before others.
        table.add_column(heading, justify=justify, no_wrap=heading != "state")  # type: ignore[arg-type]
    for key in varying:
        table.add_column(key.rpartition(".")[2], justify="right", no_wrap=True)
    for place, record in enumerate(ranked, start=1):
        if place <= most or record.state == "running":
            table.add_row(*_row(place, record, varying))
    hidden = len(ranked) - table.row_count
    if hidden > 0:
        table.caption, table.caption_justify, table.caption_style = f"and {hidden} more", "left", "dim"
    return table


def _row(place: int, record: TrialRecord, varying: list[str]) -> list[Text]:
    best = record.best
    config = record.config.flat()
    shown_state = Text(
        one_line(record.reason) or record.state, STATE_STYLES[record.state], overflow="ellipsis", no_wrap=True
    )
    return [
        Text(str(place) if best else "-"),
        Text(record.trial_id),
        Text(best.shown_score if best else "-", style="bold"),
        Text(f"{best.validation_loss:.4f}" if best else "-"),
        Text(str(record.epochs[-1].epoch) if record.epochs else "-"),
        shown_state,
        *(Text(show_value(config.get(key))) for key in varying),
    ]
