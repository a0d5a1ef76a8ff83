"""The report's section on sparsified checkpoints: the curves that a run's store holds, as sentences, charts and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ensembles.compression.pruned_curve import PrunedCurve, PrunedPoint
from ensembles.report.charts.charts import Chart
from ensembles.report.charts.pruned import draw_pruned_curve


@dataclass(frozen=True)
class CurveView:
    """One curve as the report shows it."""

    curve: PrunedCurve
    title: str
    chart: Chart
    rows: tuple[PrunedPoint, ...]
    """The checkpoint as trained, then sparsity rising."""


@dataclass(frozen=True)
class PrunedSection:
    """What the section shows."""

    curves: tuple[CurveView, ...]


def lay_out(curves: Sequence[PrunedCurve]) -> PrunedSection | None:
    """The section; None if nothing was sparsified."""
    shown = tuple(
        CurveView(
            curve=curve,
            title=f"{'By magnitude' if curve.method == 'magnitude' else 'By channel'}",
            chart=draw_pruned_curve(curve, number),
            rows=(curve.unpruned, *curve.points),
        )
        for number, curve in enumerate(curves)
    )
    return PrunedSection(shown) if shown else None
