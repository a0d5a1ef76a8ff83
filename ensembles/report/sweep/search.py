"""The report's section on the search: a `SearchSummary` in the order and the bounds in which a page shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ensembles.analysis.ablation import Ablation, ArmRow, Contrast
from ensembles.analysis.pruning_audit import PruningAudit
from ensembles.analysis.search_summary import LineageStep, RangeCurve, SearchDecision, SearchSummary, StageRow
from ensembles.analysis.seed_noise import SeedGroup, SeedNoise
from ensembles.analysis.varied_keys import keys_that_vary, show_value
from ensembles.report.charts.charts import Chart, draw_range_test

FIRST_DECISIONS, LAST_DECISIONS = 12, 6
"""Decisions that are shown at once; those between them are folded."""
MOST_FOLDED = 500
"""Decisions that are folded: a mesh or a population may decide ten thousand times, and a page is no journal."""
MOST_GROUPS = 40
MOST_STEPS = 100
MOST_RANGE_CHARTS = 12

Sign = Literal["better", "worse", "open"]
"""Sign of a difference: its interval is above zero, below zero, or contains it."""


@dataclass(frozen=True)
class DecisionList:
    """Decisions in order: the first, the folded ones with the number of the first of them, and the last."""

    first: tuple[SearchDecision, ...]
    folded: tuple[SearchDecision, ...]
    more: int
    """Decisions that are neither folded nor shown; the run's events have them."""
    last: tuple[SearchDecision, ...]
    last_number: int
    """Number of the first of `last`, counted from 1."""


@dataclass(frozen=True)
class ArmLine:
    """A line of the table of the ablation. Positions of the interval's drawing are percents of its width."""

    row: ArmRow
    changes: tuple[tuple[str, str, str], ...]
    """Key, without, with."""
    sign: Sign
    """Sign of the difference in validation accuracy."""
    drawn: tuple[float, float, float] | None
    """Low end, difference, high end; without an interval all three are the difference. None without a pair."""


@dataclass(frozen=True)
class AblationTable:
    """The ablation with its drawing."""

    found: Ablation
    lines: tuple[ArmLine, ...]
    zero: float
    """Position of zero, in percents of the drawing's width."""


@dataclass(frozen=True)
class NoiseTable:
    """The groups that are shown, and the keys in which they differ."""

    found: SeedNoise
    keys: tuple[str, ...]
    lines: tuple[tuple[SeedGroup, tuple[str, ...]], ...]
    """Groups, each with its values of `keys`."""
    more: int
    """Groups with lower means, which are not shown."""
    tied: int
    """Groups that are tied with the best, which is not counted."""
    alone: int
    """Groups of a single seed."""


@dataclass(frozen=True)
class LineageTable:
    """The newest steps of the lineage."""

    keys: tuple[str, ...]
    lines: tuple[tuple[LineageStep, tuple[str, ...]], ...]
    earlier: int
    """Earlier steps, which are not shown."""


@dataclass(frozen=True)
class SearchSection:
    """What the section shows; each part may be missing."""

    decisions: DecisionList | None
    stages: tuple[tuple[StageRow, tuple[tuple[str, str], ...]], ...]
    """Stages, each with the values of its best trial."""
    ablation: AblationTable | None
    noise: NoiseTable | None
    audit: PruningAudit | None
    charts: tuple[Chart, ...]
    undrawn: tuple[RangeCurve, ...]
    lineage: LineageTable | None


def lay_out(summary: SearchSummary) -> SearchSection | None:
    """The section; None if there is nothing to show."""
    if summary.is_empty:
        return None
    drawn = [draw_range_test(curve, number) for number, curve in enumerate(summary.range_tests[:MOST_RANGE_CHARTS])]
    undrawn = [curve for curve, chart in zip(summary.range_tests, drawn, strict=False) if chart is None]
    return SearchSection(
        decisions=_fold(summary.decisions) if summary.decisions else None,
        stages=tuple((stage, _show(stage.chosen)) for stage in summary.stages),
        ablation=_lay_out_ablation(summary.ablation) if summary.ablation else None,
        noise=_lay_out_noise(summary.noise) if summary.noise else None,
        audit=summary.audit,
        charts=tuple(chart for chart in drawn if chart),
        undrawn=(*undrawn, *summary.range_tests[MOST_RANGE_CHARTS:]),
        lineage=_lay_out_lineage(summary.lineage) if summary.lineage else None,
    )


def _fold(decisions: tuple[SearchDecision, ...]) -> DecisionList:
    if len(decisions) <= FIRST_DECISIONS + LAST_DECISIONS + 1:  # folding a single one would save nothing
        return DecisionList(decisions, (), 0, (), len(decisions) + 1)
    between = decisions[FIRST_DECISIONS:-LAST_DECISIONS]
    return DecisionList(
        first=decisions[:FIRST_DECISIONS],
        folded=between[:MOST_FOLDED],
        more=max(0, len(between) - MOST_FOLDED),
        last=decisions[-LAST_DECISIONS:],
        last_number=len(decisions) - LAST_DECISIONS + 1,
    )


def _lay_out_ablation(found: Ablation) -> AblationTable:
    """Differences in validation accuracy on one scale, with zero on it."""
    ends = [0.0]
    for row in found.rows:
        if row.validation:
            ends += [row.validation.difference, *(row.validation.ci95 or ())]
    lowest, width = min(ends), max(max(ends) - min(ends), 1e-9)

    def place(difference: float) -> float:
        return round(4 + 92 * (difference - lowest) / width, 2)

    def draw(contrast: Contrast | None) -> tuple[float, float, float] | None:
        if contrast is None:
            return None
        low, high = contrast.ci95 or (contrast.difference, contrast.difference)
        return place(low), place(contrast.difference), place(high)

    lines = tuple(
        ArmLine(
            row=row,
            changes=tuple((change.key, show_value(change.without), show_value(change.with_)) for change in row.changes),
            sign=_sign(row.validation),
            drawn=draw(row.validation),
        )
        for row in found.rows
    )
    return AblationTable(found, lines, place(0.0))


def _sign(contrast: Contrast | None) -> Sign:
    if contrast is None or contrast.ci95 is None:
        return "open"
    return "better" if contrast.ci95[0] > 0 else "worse" if contrast.ci95[1] < 0 else "open"


def _lay_out_noise(found: SeedNoise) -> NoiseTable:
    keys = keys_that_vary(group.records[0] for group in found.groups)
    shown = found.groups[:MOST_GROUPS]
    return NoiseTable(
        found=found,
        keys=tuple(keys),
        lines=tuple((group, _values(group.records[0].config.flat(), keys)) for group in shown),
        more=len(found.groups) - len(shown),
        tied=sum(group.tied for group in found.groups) - 1,
        alone=sum(len(group.records) == 1 for group in found.groups),
    )


def _lay_out_lineage(steps: tuple[LineageStep, ...]) -> LineageTable:
    shown = steps[-MOST_STEPS:]
    keys = list(dict.fromkeys(key for step in steps for key in step.values))
    return LineageTable(
        keys=tuple(keys),
        lines=tuple((step, _values(step.values, keys)) for step in shown),
        earlier=len(steps) - len(shown),
    )


def _show(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((key, show_value(value)) for key, value in values.items())


def _values(values: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(show_value(values.get(key)) for key in keys)
