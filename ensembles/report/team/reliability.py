"""The report's section on confidence: reliability before and after calibration, and risk by coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ensembles.calibration.reliability import Bin
from ensembles.evaluation.evidence import Evidence
from ensembles.report.charts import svg
from ensembles.report.charts.charts import Chart

SIDE = 224.0
"""Side of a diagram, in units of the chart."""


@dataclass(frozen=True)
class BinRow:
    """Images whose confidence lies in (low, high], before and after calibration."""

    low: float
    high: float
    before: Bin
    after: Bin


@dataclass(frozen=True)
class ReliabilitySection:
    """What the section shows."""

    ece_before: float
    ece_after: float
    sentence: str
    chart: Chart
    rows: tuple[BinRow, ...]
    """Bins with images, before or after."""
    risk: tuple[tuple[float, float], ...]
    """Share of images answered, and the share of these that is wrong, at every tenth of coverage."""


def lay_out(evidence: Evidence | None) -> ReliabilitySection | None:
    """The section; None without evidence."""
    if evidence is None or not evidence.reliability_before:
        return None
    before, after = calibration_error(evidence.reliability_before), calibration_error(evidence.reliability_after)
    sentence = (
        f"As it votes, the team's confidence is {before:.4f} off its accuracy on average; calibrated on validation, {after:.4f} "
        "(expected calibration error on test)."
    )
    if after > before:
        sentence += " Calibration did not help here."
    return ReliabilitySection(
        ece_before=before,
        ece_after=after,
        sentence=sentence,
        chart=_draw(evidence),
        rows=tuple(
            BinRow(one.low, one.high, one, other)
            for one, other in zip(evidence.reliability_before, evidence.reliability_after, strict=True)
            if one.images or other.images
        ),
        risk=_tenths(evidence.risk_coverage),
    )


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error of bins.

    >>> calibration_error([Bin(0.0, 0.5, 25, 0.4, 0.6), Bin(0.5, 1.0, 75, 0.9, 0.9)])
    0.05
    """
    images = sum(one.images for one in bins)
    return round(sum(one.images * abs(one.confidence - one.accuracy) for one in bins) / images, 12) if images else 0.0


def _tenths(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The points nearest to every tenth of coverage, each once."""
    found = [min(points, key=lambda point: abs(point[0] - tenth / 10)) for tenth in range(1, 11)] if points else []
    return tuple(dict.fromkeys(found))


def _draw(evidence: Evidence) -> Chart:
    top = 26.0
    parts: list[str] = []
    for number, (title, bins) in enumerate(
        (("before", evidence.reliability_before), ("after calibration", evidence.reliability_after))
    ):
        parts += _diagram(48 + number * (SIDE + 62), top, title, bins)
    if evidence.risk_coverage:
        parts += _risk(48 + 2 * (SIDE + 62), top, evidence.risk_coverage)
    caption = (
        "Accuracy over confidence, before and after calibration: on the diagonal confidence can be taken at its word, below it "
        "promises too much. A dot's area grows with its images, the stroke is its distance. Right: how much of what is answered "
        "is wrong, if only the most confident share is answered."
    )
    return Chart(svg.svg(parts, top + SIDE + 40, caption), caption)


def _diagram(left: float, top: float, title: str, bins: Sequence[Bin]) -> list[str]:
    across, up = svg.Axis(0, 1, left, left + SIDE), svg.Axis(0, 1, top + SIDE, top)
    parts = [svg.label(left, top - 12, title, "k")]
    parts += svg.grid_y(up, left, left + SIDE, svg.as_percent)
    parts += svg.grid_x(across, top + SIDE, svg.as_percent, 5)
    parts.append(svg.label(left + SIDE / 2, top + SIDE + 31, "confidence", "m"))
    parts.append(svg.line(left, top + SIDE, left + SIDE, top, "guide"))
    most = max((one.images for one in bins), default=1)
    for one in bins:
        if one.images:
            x, y = across.place(one.confidence), up.place(one.accuracy)
            parts.append(svg.line(x, up.place(one.confidence), x, y, "span v"))
            tooltip = f"{one.images:,} images, confidence {one.confidence:.1%}, accuracy {one.accuracy:.1%}"
            parts.append(svg.dot(x, y, round(2 + 5 * (one.images / most) ** 0.5, 1), "dot v", title=tooltip))
    return parts


def _risk(left: float, top: float, points: Sequence[tuple[float, float]]) -> list[str]:
    worst = max(max(risk for _, risk in points), 1e-3)
    across, up = svg.Axis(0, 1, left, left + SIDE), svg.Axis(0, 1.08 * worst, top + SIDE, top)
    parts = [svg.label(left, top - 12, "risk by coverage", "k")]
    parts += svg.grid_y(up, left, left + SIDE, svg.as_percent)
    parts += svg.grid_x(across, top + SIDE, svg.as_percent, 5)
    parts.append(svg.label(left + SIDE / 2, top + SIDE + 31, "images answered", "m"))
    parts.append(svg.path([(across.place(share), up.place(risk)) for share, risk in points], "curve v"))
    return parts
