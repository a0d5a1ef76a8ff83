"""The report's maps of agreement: disagreement of members, correlation of their errors, and accuracy against diversity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.evaluation.evidence import Evidence
from ensembles.report.charts import svg
from ensembles.report.charts.charts import Chart
from ensembles.report.charts.metric_text import MISSING, describe_direction, name_metric, show_score
from ensembles.report.team.team import heaviest_first
from ensembles.team import Team

MOST_MEMBERS = 30
"""Members in the maps: the heaviest ones."""


@dataclass(frozen=True)
class Map:
    """One number for every two members, as a chart and as a table."""

    title: str
    chart: Chart
    names: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class DiversityRow:
    """One member: how good it is alone, and how often it differs from the others."""

    number: int
    name: str
    disagreement: float
    """Mean over the other members of the share of test images on which both predict different classes."""
    solo: float
    shown_solo: str


@dataclass(frozen=True)
class AgreementSection:
    """What the section shows."""

    sentence: str
    maps: tuple[Map, ...]
    more: int
    """Lighter members that are not in the maps."""
    diversity: Chart
    rows: tuple[DiversityRow, ...]
    metric: str


def lay_out(team: Team, evidence: Evidence | None) -> AgreementSection | None:
    """The section; None without evidence, or if the team has one member."""
    if evidence is None or len(team.members) < 2:
        return None
    order = heaviest_first(team)
    shown = order[:MOST_MEMBERS]
    names = tuple(f"{number} {team.members[position]}" for number, position in enumerate(shown, start=1))
    square = np.ix_(shown, shown)
    rows = tuple(_diversity(team, evidence, order))
    return AgreementSection(
        sentence=_describe(evidence),
        maps=(
            _map(
                "Disagreement",
                "Share of test images on which two members predict different classes; the deeper, the more.",
                evidence.disagreement[square],
                names,
                "{:.1%}",
            ),
            _map(
                "Error correlation",
                "Correlation of being wrong on test: 1 where two are wrong on the same images, 0 where by chance; the deeper, the more alike.",
                evidence.error_correlation[square],
                names,
                "{:.2f}",
            ),
        ),
        more=len(order) - len(shown),
        diversity=_draw_diversity(team, rows),
        rows=rows,
        metric=name_metric(team.metric),
    )


def _describe(evidence: Evidence) -> str:
    pairs = np.triu_indices(len(evidence.disagreement), 1)
    apart, alike = evidence.disagreement[pairs], evidence.error_correlation[pairs]
    return (
        f"Two members differ on {apart.mean():.1%} of the test images on average ({apart.min():.1%} to {apart.max():.1%}), "
        f"and their errors correlate by {alike.mean():.2f}. At least one has {evidence.any_correct:.2%} right: no choice "
        "among their answers can exceed that."
    )


def _map(title: str, description: str, values: npt.NDArray[np.float64], names: tuple[str, ...], show: str) -> Map:
    off = values.copy()
    np.fill_diagonal(off, np.nan)  # a member agrees with itself
    numbers = [str(number) for number in range(1, len(names) + 1)]
    low, high = float(np.nanmin(off)), float(np.nanmax(off))
    cells = tuple(tuple(MISSING if np.isnan(value) else show.format(value) for value in row) for row in off.tolist())
    drawn = svg.heat_map(off, list(names), numbers, show, f"{title}. {description}", (low, high), signed=low < 0)
    return Map(title, Chart(drawn, description), names, cells, tuple(map(tuple, values.tolist())))


def _diversity(team: Team, evidence: Evidence, order: list[int]) -> list[DiversityRow]:
    others = len(order) - 1
    return [
        DiversityRow(
            number=number,
            name=str(team.members[position]),
            disagreement=float(np.delete(evidence.disagreement[position], position).sum() / others),
            solo=float(evidence.solo[position]),
            shown_solo=show_score(team.metric, float(evidence.solo[position])),
        )
        for number, position in enumerate(order, start=1)
    ]


def _draw_diversity(team: Team, rows: tuple[DiversityRow, ...]) -> Chart:
    left, right, top, bottom = 62.0, svg.WIDTH - 20, 12.0, 222.0
    across = svg.spread([row.disagreement for row in rows], left + 8, right - 14)
    up = svg.spread([row.solo for row in rows], bottom - 8, top + 10)
    share = team.metric in ("accuracy", "balanced_accuracy")
    parts = [
        *svg.grid_y(up, left, right, svg.as_percent if share else svg.as_number),
        *svg.grid_x(across, bottom, svg.as_percent),
        svg.label((left + right) / 2, bottom + 31, "disagreement with the other members, on test", "m"),
        svg.label(12, (top + bottom) / 2, f"{name_metric(team.metric)} alone, on validation", "m", turn=-90),
    ]
    taken: list[tuple[float, float]] = []
    for row in rows:
        x, y = across.place(row.disagreement), up.place(row.solo)
        trial = row.name.partition("@")[0]
        parts.append(svg.dot(x, y, 4.5, "dot v", trial, f"{row.number} {row.name}: {row.shown_solo}"))
        if all(abs(x - other) > 16 or abs(y - at) > 11 for other, at in taken):
            parts.append(svg.label(x + 6.5, y - 4, str(row.number)))
            taken.append((x, y))
    caption = (
        f"Each member by how often it differs from the others and its {name_metric(team.metric)} alone on validation "
        f"({describe_direction(team.metric)}). Numbers are those of the table of the team. A good member is good alone or differs; "
        "diversity by itself is worth nothing (Abe 2023)."
    )
    return Chart(svg.svg(parts, bottom + 38, caption), caption)
