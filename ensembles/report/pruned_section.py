"""The report's section on sparsified checkpoints: the curves that a run's store holds, as sentences, charts and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ensembles.pruned_curve import PrunedCurve, PrunedPoint, from_json
from ensembles.report.charts import Chart
from ensembles.report.pruned_chart import draw_pruned_curve
from trainables import layout
from trainables.errors import DamagedObject, ObjectMissing
from trainables.store import Store, get_json


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


def read_curves(store: Store, name: str, run: str) -> tuple[PrunedCurve, ...]:
    """All curves of a run, by key. One that cannot be read is left out: a report must not fail for it."""
    curves = []
    for found in store.find(layout.pruned_curves_prefix(name, run)):
        if found.key.endswith(".json"):
            try:
                curves.append(from_json(get_json(store, found.key)))
            except (DamagedObject, ObjectMissing):
                continue
    return tuple(curves)


def lay_out(curves: Sequence[PrunedCurve]) -> PrunedSection | None:
    """The section, None where nothing was sparsified."""
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
