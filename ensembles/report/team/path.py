"""The report's greedy path: the team's score after each pick, and its band over bootstraps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ensembles.report.charts.charts import Band, Chart, draw_greedy_path
from ensembles.report.charts.metric_text import MISSING, name_metric, show_score
from ensembles.team import Team
from trainables.results.checkpoint import CheckpointId

if TYPE_CHECKING:
    from ensembles.selection_bias.corrected import Corrected


@dataclass(frozen=True)
class PickRow:
    """One pick, with the score of the team after it."""

    number: int
    member: CheckpointId
    score: float
    shown: str
    kept: bool
    """Whether the pick is part of the final team."""
    band: Band | None
    """Low end, middle and high end over bootstraps, in the team's metric."""
    shown_band: str


@dataclass(frozen=True)
class PathSection:
    """What the section shows."""

    metric: str
    chart: Chart
    rows: tuple[PickRow, ...]
    has_band: bool


def lay_out(team: Team, corrected: Corrected | None) -> PathSection | None:
    """The section; None if the team was not selected pick by pick."""
    band = corrected.band if corrected else ()
    chart = draw_greedy_path(team, band)
    if chart is None:
        return None
    rows = []
    for number, (member, score) in enumerate(zip(team.picks, team.path, strict=True), start=1):
        at = band[number - 1] if number <= len(band) else None
        rows.append(
            PickRow(
                number=number,
                member=member,
                score=score,
                shown=show_score(team.metric, score),
                kept=number <= team.kept_picks,
                band=at,
                shown_band=_show(team, at) if at else MISSING,
            )
        )
    return PathSection(name_metric(team.metric), chart, tuple(rows), bool(band))


def _show(team: Team, band: Band) -> str:
    low, middle, high = (show_score(team.metric, value) for value in band)
    return f"{middle} ({low} to {high})"
