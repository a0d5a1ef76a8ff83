"""A repeated vote of a stored run for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ensembles.evaluation.by_source import describe_sources
from ensembles.evaluation.score import Score
from runner.evaluation.revote import Revote, Row
from trainables.metric import Metric, name_metric, show_score

WIDE = 110
"""Least width of a terminal, in characters, at which likelihood and calibration are shown as well."""


def show_revote(revote: Revote, console: Console) -> None:
    """Print the table, the verdict, and the notes."""
    console.print(lay_out(revote, console.width >= WIDE))
    console.print()
    for line in list_notes(revote):
        console.print(line, markup=False, highlight=False)


def lay_out(revote: Revote, wide: bool) -> Table:
    """A table with a row for each selection and vote, the configured one in bold, and the baselines of the verdict."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1))
    table.add_column("choice", no_wrap=True)
    table.add_column("vote", no_wrap=True)
    asked = revote.conclusion.verdict.in_metric
    headings = ["of", *([name_metric(asked.metric)] if asked else []), "selected", "corrected", "", "test", ""] + (
        ["NLL", "at best T", "ECE", "calibrated"] if wide else []
    )
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in revote.rows:
        style = "bold" if row.configured else ""
        table.add_row(
            *(
                Text(cell, style=style)
                for cell in (row.team.how, row.vote, *_cells(row, wide, asked.metric if asked else None))
            )
        )
    return table


def _cells(row: Row, wide: bool, metric: Metric | None) -> Iterator[str]:
    score = row.score
    yield str(score.members)
    if metric:
        yield "-" if score.test_score is None else show_score(metric, score.test_score)
    yield _percent(score.validation_accuracy)
    yield _percent(score.corrected.value) if score.corrected else "-"
    yield _interval(score.corrected.ci95) if score.corrected else ""
    yield _percent(score.test_accuracy)
    yield _interval(score.ci95)
    if wide:
        yield from _more(score)


def _more(score: Score) -> Iterator[str]:
    for value in (score.test_nll, score.test_nll_best_temperature, score.test_ece, score.test_ece_calibrated):
        yield "-" if value is None else f"{value:.4f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _interval(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.1f}-{100 * ends[1]:.1f}"


def list_notes(revote: Revote) -> Iterator[str]:
    """The meaning of the columns, the verdict, checkpoints that were left out, and the ledger."""
    verdict, corrected = revote.conclusion.verdict, revote.conclusion.corrected
    how = (
        f"corrected on images that {corrected.repetitions} repetitions of the selection did not see; "
        if corrected
        else ""
    )
    if asked := verdict.in_metric:
        yield f"{name_metric(asked.metric)[:1].upper()}{name_metric(asked.metric)[1:]}: on {verdict.test_images:,} test images, calibrated."
    yield (
        f"Accuracy in %: as selected on {verdict.validation_images:,} validation images; {how}"
        f"on {verdict.test_images:,} test images; with 95 % intervals."
    )
    yield from verdict.sentences
    if told := describe_sources(revote.conclusion.sources):
        yield told
    yield from verdict.blind_spots
    if left_out := revote.conclusion.left_out:
        member, reason = left_out[0]
        yield f"{len(left_out)} could not vote, such as {member}: {reason}"
    uses = " and ".join(f"{use.split} for {use.decisions}" for use in revote.ledger.uses)
    if revote.ledger.refused:
        yield f"This look at test is not counted, because the store does not take it: {revote.ledger.refused}"
    yield f"Decisions on this data so far: {uses}. The same look again counts once."
    yield from (f"Warning: {warning}." for warning in revote.ledger.warnings)
