"""The report's charts as inline SVG that take their colours from the page."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.report.charts.charts import Chart, draw_learning_curves
    from ensembles.report.charts.cost import draw_costs
    from ensembles.report.charts.pruned import draw_pruned_curve
    from ensembles.report.charts.sweep import draw_parallel

__all__ = ["Chart", "draw_costs", "draw_learning_curves", "draw_parallel", "draw_pruned_curve"]

__getattr__ = lazy_names(
    __name__,
    {
        "charts": (
            "Chart",
            "draw_learning_curves",
        ),
        "cost": ("draw_costs",),
        "pruned": ("draw_pruned_curve",),
        "sweep": ("draw_parallel",),
    },
)
