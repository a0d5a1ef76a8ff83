"""The result of `caucus run` as one JSON object, and as a table for a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ensembles.evaluation.by_source import describe_sources
from ensembles.evaluation.score import Score
from ensembles.evaluation.verdict import Verdict
from ensembles.report.sweep.pseudo_labels import lay_out
from runner.config.duration import show_duration
from runner.evaluation.to_json import conclusion_to_json
from runner.pipeline import RunResult
from runner.runs.trial_table import one_line
from trainables.metric import name_metric, show_score
from trainables.results.record import TrialState

COUNTED: tuple[TrialState, ...] = ("finished", "pruned", "failed", "diverged", "stopped")


def result_to_json(result: RunResult) -> dict[str, Any]:
    """The JSON object of `caucus run --json`. `best` and `ensemble` are null where there was nothing to vote on."""
    counts = result.state.counts()
    payload: dict[str, Any] = {
        "run": result.run,
        "outcome": result.outcome,
        "reason": result.reason,
        "trials": {name: counts.get(name, 0) for name in COUNTED},
        "epochs_trained": result.epochs_trained,
        "best": None,
        "ensemble": None,
        "votes": None,
        "verdict": None,
        "wall_s": round(result.wall_s, 3),
        "busy_s": round(result.busy_s, 3),
        "slots": result.state.slots,
    }
    return payload | (conclusion_to_json(result.conclusion) if result.conclusion else {}) | {"report": result.report}


def show_result(result: RunResult, console: Console) -> None:
    """Print the result of a run: failed trials, the verdict's table and sentences, and the path of the report."""

    def print_text(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    for trial in result.state.trials.values():
        if trial.state in ("failed", "diverged"):
            print_text(f"{trial.trial_id} {trial.state}: {one_line(trial.reason)}")
    if result.conclusion:
        console.print()
        console.print(show_verdict(result.conclusion.verdict, len(result.conclusion.team.members)))
        console.print()
        for sentence in result.conclusion.verdict.sentences:
            console.print(sentence, markup=False, highlight=False)
        if told := describe_sources(result.conclusion.sources):
            print_text(told)
        for line in result.conclusion.verdict.blind_spots:
            print_text(line)
        if result.conclusion.pseudo:
            print_text(f"pseudo-labels: {' '.join(lay_out(result.conclusion.pseudo).sentences)}")
    trained = f"{result.epochs_trained} epochs trained" if result.epochs_trained else "nothing to train"
    reason = f": {one_line(result.reason)}" if result.reason else ""
    print_text(f"{result.run}: {result.outcome}{reason}; {trained}, {show_duration(result.wall_s)}")
    if result.report:
        print_text(f"report: {result.report}")


def show_verdict(verdict: Verdict, members: int) -> Table:
    """Table of the best single checkpoint and the votes on the untouched test split, with intervals."""
    table = Table(
        title="On the test split, which nothing was chosen on",
        title_justify="left",
        title_style="bold",
        box=None,
        header_style="dim",
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    asked = verdict.in_metric
    if asked:
        table.add_column(f"test {name_metric(asked.metric)}", justify="right", no_wrap=True)
    for heading in ("test accuracy", "95 % interval", "NLL", "ECE", "validation (chosen on)", "corrected"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows: list[tuple[str, Score]] = [("best single", verdict.best)]
    rows += [(f"{how} vote of {members}", score) for how, score in verdict.votes.items()]
    for label, score in rows:
        is_configured = label.startswith(verdict.vote)
        low, high = score.ci95
        asked_for = [show_score(asked.metric, score.test_score)] if asked and score.test_score is not None else []
        cells = (
            label,
            *asked_for,
            f"{score.test_accuracy:.2%}",
            f"{low:.2%} to {high:.2%}",
            f"{score.test_nll:.4f}",
            f"{score.test_ece:.4f}",
            f"{score.validation_accuracy:.2%}",
            f"{score.corrected.value:.2%}" if score.corrected else "-",
        )
        table.add_row(*(Text(cell, style="bold" if is_configured else "") for cell in cells))
    return table
