"""The chart of accuracy against sparsity, for the report and as a file of its own."""

from __future__ import annotations

from ensembles.compression.pruned_curve import PrunedCurve
from ensembles.report.charts.charts import ACCENT, FAINT, INK, MUTED, Chart, blank, inline, page_style

PAPER = {"ink": "#1b1d21", "muted": "#5b626c", "line": "#e3e3dc", "faint": "#a9aeb6", "accent": "#1f5bb5"}
"""The report's colours in light, for a file that has no page around it."""

TICKS = (1, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002, 0.001)
"""Shares of weights; a logarithmic axis by itself would show the powers of ten alone."""


@page_style()
def draw_pruned_curve(curve: PrunedCurve, number: int = 0) -> Chart:
    """Validation accuracy over the share of weights that are left, before and after fine-tuning.

    `number` makes ids of charts unique on a page.
    """
    figure, axes = blank(height=4.2)
    unpruned, chosen = curve.unpruned, curve.chosen
    points = sorted(curve.points, key=lambda point: point.sparsity)
    left = [point.nonzero / unpruned.nonzero for point in points]
    axes.set_xscale("log")
    axes.axhline(unpruned.accuracy, color=FAINT, linewidth=1.2, linestyle=(0, (2, 3)), zorder=1)
    style = {"marker": "o", "markersize": 5}
    axes.plot(
        left, [point.before_accuracy for point in points], color=FAINT, linewidth=1.4, label="sparsified", **style
    )
    axes.plot(
        left,
        [point.accuracy for point in points],
        color=ACCENT,
        linewidth=1.8,
        label=f"sparsified, trained on for {curve.epochs} epoch{'s' * (curve.epochs != 1)}",
        **style,
    )
    for point, share in zip(points, left, strict=True):
        axes.annotate(
            f"{point.sparsity:.4g}",
            (share, point.accuracy),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            color=INK if point is chosen else MUTED,
        )
    if chosen:
        axes.plot(chosen.nonzero / unpruned.nonzero, chosen.accuracy, color=ACCENT, marker="o", markersize=10, zorder=4)
    axes.invert_xaxis()
    axes.margins(x=0.04, y=0.12)
    axes.set_xlabel("weights left")
    axes.set_ylabel("validation accuracy")
    shown = [tick for tick in TICKS if tick >= 0.95 * min(left)] if left else TICKS
    axes.set_xticks(shown, [f"{100 * tick:.4g}%" for tick in shown])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    axes.legend(loc="lower left", labelcolor=MUTED)
    caption = (
        f"Validation accuracy of {curve.trial_id}@{curve.epoch} over the share of its weights that are left, sparsified by "
        f"{curve.method}; each point has its sparsity. The dotted line is the checkpoint as trained, {unpruned.accuracy:.2%}."
    )
    if chosen:
        caption += f" The large point is the highest sparsity that loses no more than noise, {chosen.sparsity:.4g}."
    return Chart(inline(figure, f"pruned {number}", caption), caption)


def stand_alone(chart: Chart) -> str:
    """The chart as an SVG file, in the report's colours on white."""
    text = chart.svg.replace(
        "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ', 1
    )
    place = text.index(">") + 1
    text = f'{text[:place]}<rect width="100%" height="100%" fill="#ffffff"/>{text[place:]}'
    for name, colour in PAPER.items():
        text = text.replace(f"var(--{name})", colour)
    return text + "\n"
