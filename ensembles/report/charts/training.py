"""Charts of a trial's training: statistics over its epochs, and of its layers at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ensembles.report.charts.charts import ACCENT, FAINT, INK, MUTED, Chart, blank_grid, inline, page_style
from trainables.results.layer_statistics import LayerStatistics
from trainables.results.record import EpochResult, TrialRecord

GOOD_RATIO = (1e-4, 1e-2)
"""An update of about a thousandth of the weights is what a healthy net takes (Karpathy, CS231n, 2015); the band is a
factor of ten to either side."""

MOST_LAYERS = 24
"""Histograms of a trial; of more layers, so many evenly chosen ones."""
COLUMNS = 4


@page_style()
def draw_statistics(record: TrialRecord) -> Chart | None:
    """Losses with their gap, update ratio, gradient norm and dead share over the epochs; None if the trial was not monitored."""
    seen = [epoch for epoch in record.epochs if epoch.fit_loss is not None]
    if not seen:
        return None
    figure, axes = blank_grid(height=2.9, width=12, rows=1, columns=4)
    epochs = np.array([epoch.epoch for epoch in seen])
    dots: dict[str, Any] = {"marker": "o", "markersize": 3} if len(seen) == 1 else {}

    fit, validation = _values(seen, "fit_loss"), _values(seen, "validation_loss")
    axes[0].fill_between(epochs, fit, validation, color=ACCENT, alpha=0.14, linewidth=0)
    axes[0].plot(epochs, fit, color=FAINT, linewidth=1.6, label="training", **dots)
    axes[0].plot(epochs, validation, color=ACCENT, linewidth=1.6, label="validation", **dots)
    axes[0].set_title("loss, nats")
    axes[0].legend(labelcolor=MUTED, fontsize=8.5)

    ratio = _values(seen, "update_ratio")
    axes[1].axhspan(*GOOD_RATIO, color=ACCENT, alpha=0.10, linewidth=0)
    axes[1].set_title("step / weights")
    positive = ratio[ratio > 0]
    _plot_log(axes[1], epochs, ratio, dots)
    low, high = GOOD_RATIO
    if len(positive):
        low, high = min(low, float(positive.min())), max(high, float(positive.max()))
    axes[1].set_ylim(low / 2, high * 2)

    axes[2].set_title("gradient norm")
    _plot_log(axes[2], epochs, _values(seen, "grad_norm"), dots)

    axes[3].set_title("dead units, worst layer")
    axes[3].plot(epochs, _values(seen, "dead_share"), color=ACCENT, linewidth=1.6, **dots)
    axes[3].set_ylim(-0.03, 1.03)
    axes[3].yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    for one in axes:
        one.title.set(color=INK, fontsize=10)
        one.set_xlabel("epoch")
        one.xaxis.get_major_locator().set_params(integer=True, nbins=5)
        one.margins(x=0.04)
    caption = describe_training(seen)
    return Chart(inline(figure, f"watched {record.trial_id}", caption), caption)


@page_style()
def draw_layers(layers: Sequence[LayerStatistics], name: str) -> Chart | None:
    """Histograms of what enters each non-linearity as small multiples; None without any. `name` makes ids of charts unique."""
    drawn = [layer for layer in layers if layer.histogram and _edges(layer)]
    if not drawn:
        return None
    shown = drawn
    if len(drawn) > MOST_LAYERS:
        shown = [drawn[round(place)] for place in np.linspace(0, len(drawn) - 1, MOST_LAYERS)]
    rows = math.ceil(len(shown) / COLUMNS)
    figure, axes = blank_grid(height=1.65 * rows, width=12, rows=rows, columns=COLUMNS)
    for one, layer in zip(axes, shown, strict=False):
        edges = _edges(layer)
        assert edges is not None, "only layers with edges are drawn"
        one.stairs(
            layer.histogram,
            np.linspace(*edges, len(layer.histogram) + 1),
            fill=True,
            color=ACCENT,
            alpha=0.75,
            linewidth=0,
        )
        one.axvline(0, color=MUTED, linewidth=1.0, zorder=3)
        one.set_title(_short(f"{layer.layer} {layer.kind}"), fontsize=9, color=INK, loc="left")
        one.set_yticks([])
        one.xaxis.get_major_locator().set_params(nbins=4)
        one.tick_params(labelsize=8)
    for one in axes[len(shown) :]:
        one.set_visible(False)
    caption = "What enters each non-linearity; the line is zero."
    if len(shown) < len(drawn):
        caption = f"What enters {len(shown)} of {len(drawn)} non-linearities, evenly chosen; the line is zero."
    return Chart(inline(figure, f"layers {name}", caption), caption)


def describe_training(seen: Sequence[EpochResult]) -> str:
    """The last epoch as text: losses, gap, update ratio, gradient norm, dead share."""
    last = seen[-1]
    parts = [
        f"Epoch {last.epoch}: loss {last.fit_loss:.4g} on training images, {last.validation_loss:.4g} on validation"
    ]
    if last.fit_accuracy is not None:
        gap = 100 * (last.fit_accuracy - last.validation_accuracy)
        parts.append(f"accuracy {last.fit_accuracy:.1%} and {last.validation_accuracy:.1%}, a gap of {gap:+.1f} points")
    if last.update_ratio is not None:
        low, high = GOOD_RATIO
        where = "below" if last.update_ratio < low else "above" if last.update_ratio > high else "inside"
        parts.append(f"a step moves the weights by {last.update_ratio:.2g} of their norm, {where} the band")
    if last.grad_norm is not None:
        parts.append(f"gradient norm {last.grad_norm:.3g}")
    if last.dead_share is not None:
        parts.append(f"{last.dead_share:.1%} of the units dead in the worst layer")
    return "; ".join(parts) + "."


def _values(epochs: Sequence[EpochResult], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One field over the epochs, NaN where it is missing: a line has a gap there."""
    return np.array([math.nan if (value := getattr(epoch, name)) is None else value for epoch in epochs], np.float64)


def _plot_log(axes: Any, epochs: Any, values: Any, dots: dict[str, Any]) -> None:
    """Set a log scale, on which zero cannot be drawn."""
    axes.set_yscale("log")
    axes.plot(epochs, np.where(values > 0, values, math.nan), color=ACCENT, linewidth=1.6, **dots)
    seen = values[values > 0]
    if len(seen) and seen.max() < 30 * seen.min():  # one decade may have no power of ten to read it by
        axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")


def _edges(layer: LayerStatistics) -> tuple[float, float] | None:
    """Range of the histogram; None if there is none to draw."""
    if layer.low is None or layer.high is None or layer.low >= layer.high:
        return None
    return layer.low, layer.high


def _short(text: str, most: int = 34) -> str:
    """The end of a layer's name, which distinguishes layers, if the name is too long for a title."""
    return text if len(text) <= most else f"…{text[-most + 1 :]}"
