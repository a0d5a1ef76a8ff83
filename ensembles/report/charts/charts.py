"""The report's charts as inline SVG that takes its colours and its typeface from the page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ensembles.analysis.search_summary import RangeCurve
from ensembles.metrics.scores import LOW_IS_GOOD
from ensembles.report.charts.metric_text import describe_direction, name_metric, show_score
from ensembles.team import Team
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord, rank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CURVES = 150
"""More curves than this are a grey area that only makes the page large: the team's and the best are drawn."""

INK, MUTED, LINE, FAINT, ACCENT = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", FAINT: "faint", ACCENT: "accent"}
"""Colours that stand for the page's CSS variables, so that a chart is right in light and in dark."""

_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "caucus",
    "font.size": 10,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "text.color": MUTED,
    "text.parse_math": False,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}


@contextmanager
def page_style() -> Iterator[None]:
    """Draw in the report's style, independent of the user's matplotlibrc."""
    from matplotlib import style

    with style.context(["default", dict(_STYLE)]):
        yield


Band = tuple[float, float, float]
"""Low end, middle and high end."""


@dataclass(frozen=True)
class Chart:
    """A chart and what it shows in words, for those who do not see it."""

    svg: str
    caption: str


@page_style()
def draw_learning_curves(records: Sequence[TrialRecord], team: Team, rungs: Sequence[int] = ()) -> Chart | None:
    """Validation accuracy over the epochs of every trial, the team's on top, and the epochs at which trials are ended.

    None where no trial has an epoch.
    """
    trained = [record for record in rank(list(records)) if record.epochs]
    voting = {member.trial_id for member in team.members}
    members = [record for record in trained if record.trial_id in voting]
    others = [record for record in trained if record.trial_id not in voting]
    drawn = others[: max(0, MOST_CURVES - len(members))]
    if not trained:
        return None
    seen = np.array([epoch.validation_accuracy for record in trained for epoch in record.epochs])
    # A trial starts near chance; on an axis that shows it all, those that matter lie on one line at the top.
    floor = float(np.percentile(seen, 10))
    longest = max(record.epochs[-1].epoch for record in trained)

    figure, axes = blank(height=4.6)
    marked = [rung for rung in rungs if 1 <= rung < longest]
    for rung in marked:
        axes.axvline(rung, color=FAINT, linewidth=1.0, linestyle=(0, (2, 3)), zorder=1)
    for record in reversed(drawn):
        _draw_curve(axes, record, color=FAINT, linewidth=1.0, alpha=0.9, zorder=2)
    for record in reversed(members):
        _draw_curve(axes, record, color=ACCENT, linewidth=1.6, alpha=0.9, zorder=3)
        voters = [epoch for epoch in record.epochs if CheckpointId(record.trial_id, epoch.epoch) in team.members]
        axes.plot(
            [epoch.epoch for epoch in voters],
            [epoch.validation_accuracy for epoch in voters],
            linestyle="none",
            marker="o",
            markersize=6,
            color=ACCENT,
            zorder=4,
            gid=_OF_TRIAL + record.trial_id,
        )
    axes.plot([], [], color=ACCENT, linewidth=1.6, marker="o", markersize=6, label="team, voting at the dot")
    if drawn:
        axes.plot([], [], color=FAINT, linewidth=1.0, label="other trials")
    if marked:
        axes.plot([], [], color=FAINT, linewidth=1.0, linestyle=(0, (2, 3)), label="rungs")
    span = max(float(seen.max()) - floor, 0.01)
    bottom = max(0.0, floor - 0.05 * span)
    axes.set_ylim(bottom, float(seen.max()) + 0.06 * span)
    axes.set_xlim(1 - 0.02 * longest, longest + 0.02 * longest)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation accuracy")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="lower right", labelcolor=MUTED)

    caption = _describe_curves(trained, members)
    if marked:
        caption += f" Rungs, at which trials are ended: {', '.join(map(str, marked))}."
    if seen.min() < bottom:
        caption += f" What lies below {bottom:.0%} is cut off."
    if len(drawn) < len(others):
        caption += f" The {len(others) - len(drawn)} trials with the lowest accuracy are not drawn."
    return Chart(inline(figure, "curves", caption), caption)


@page_style()
def draw_greedy_path(team: Team, band: Sequence[Band] = ()) -> Chart | None:
    """The team's validation score after each greedy pick, and its band over bootstraps; None if it was selected otherwise."""
    if not team.path:
        return None
    picks = np.arange(1, len(team.path) + 1)
    best_pick = team.kept_picks
    low_is_good = team.metric in LOW_IS_GOOD
    name = name_metric(team.metric)
    figure, axes = blank(height=3.3 if band else 3.0)
    if band:
        low, middle, high = np.array(band[: len(picks)]).T
        axes.fill_between(picks[: len(low)], low, high, color=FAINT, alpha=0.22, linewidth=0, zorder=1)
        style = {"color": MUTED, "linewidth": 1.3, "linestyle": (0, (4, 2))}
        axes.plot(picks[: len(low)], middle, zorder=2, label="on images that the picks did not see", **style)
    axes.plot(picks, team.path, color=FAINT, linewidth=1.6, marker="o", markersize=5, zorder=2)
    label = "as selected"
    axes.plot(
        picks[:best_pick],
        team.path[:best_pick],
        color=ACCENT,
        linewidth=1.8,
        marker="o",
        markersize=5,
        zorder=3,
        label=label,
    )
    axes.plot(picks[best_pick - 1], team.path[best_pick - 1], color=ACCENT, marker="o", markersize=9, zorder=4)
    axes.annotate(
        "the team",
        (best_pick, team.path[best_pick - 1]),
        # The band lies on the worse side of the path; without one there is most room on the better side.
        xytext=(0, -18 if low_is_good == bool(band) else 12),
        textcoords="offset points",
        ha="center",
        color=INK,
    )
    axes.margins(x=0.03, y=0.22)
    axes.set_xlabel("picks")
    axes.set_ylabel(f"validation {name}")
    axes.xaxis.get_major_locator().set_params(integer=True)
    if show_score(team.metric, 0).endswith("%"):
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    if band:
        axes.legend(loc="center right", labelcolor=MUTED)
    shown = show_score(team.metric, team.path[0]), show_score(team.metric, team.validation_score)
    caption = (
        f"Validation {name} of the team after each pick ({describe_direction(team.metric)}): {shown[0]} with the "
        f"first, {shown[1]} at pick {best_pick} of {len(team.path)}, the best on the way, where the team was taken."
    )
    if band:
        at = min(best_pick, len(band)) - 1
        caption += (
            " The band is what the team so far scores on images that its picks did not see: the middle four fifths of "
            f"bootstraps of the images, {show_score(team.metric, band[at][1])} in the middle at pick {at + 1}."
        )
    return Chart(inline(figure, "path", caption), caption)


@page_style()
def draw_range_test(curve: RangeCurve, number: int) -> Chart | None:
    """Smoothed loss over learning rates, the bounds shaded; None without two points. `number` makes ids of charts unique on a page."""
    points = [
        (rate, loss)
        for rate, loss in zip(curve.rates, curve.losses, strict=False)
        if rate > 0 and np.isfinite(rate) and np.isfinite(loss)
    ]
    if len(points) < 2:
        return None
    rates, losses = np.array(points).T
    figure, axes = blank(height=2.5, width=4.4)
    axes.set_xscale("log")
    axes.axvspan(curve.low, curve.high, color=ACCENT, alpha=0.14, linewidth=0, zorder=1)
    axes.plot(rates, losses, color=ACCENT, linewidth=1.8, zorder=3)
    # A test ends when the loss explodes; on an axis that shows it all, the descent before is a flat line.
    span = max(float(losses[0] - losses.min()), 0.05)
    top = float(losses[0]) + 0.5 * span
    axes.set_ylim(float(losses.min()) - 0.12 * span, min(top, float(losses.max()) + 0.12 * span))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.xaxis.set_tick_params(which="minor", size=0)
    axes.yaxis.get_major_locator().set_params(nbins=4)
    caption = f"{curve.label}: learning rates {curve.low:.3g} to {curve.high:.3g}."
    if losses.max() > top:
        caption += f" Losses above {top:.2g} are cut off."
    return Chart(inline(figure, f"range {number}", caption), caption)


def _describe_curves(trained: Sequence[TrialRecord], voting: Sequence[TrialRecord]) -> str:
    ends = [record.epochs[-1].epoch for record in trained]
    return (
        f"Validation accuracy over the epochs of {len(trained)} trials, of which {len(voting)} vote. Half of the trials "
        f"ended at epoch {int(np.median(ends))} or before, the longest at epoch {max(ends)}. Their best epochs lie at "
        f"{_span(trained)}{f', those of the trials that vote at {_span(voting)}' if voting else ''}."
    )


def _span(records: Sequence[TrialRecord]) -> str:
    reached = sorted(record.best.validation_accuracy for record in records if record.best)
    low, high = f"{reached[0]:.2%}", f"{reached[-1]:.2%}"
    return low if low == high else f"{low} to {high}"


def _draw_curve(axes: Any, record: TrialRecord, **style: Any) -> None:
    """A trial with one epoch is a small dot: a line of one point would not show."""
    style |= {"gid": _OF_TRIAL + record.trial_id}
    style |= {"marker": "o", "markersize": 2.5} if len(record.epochs) == 1 else {}
    axes.plot([epoch.epoch for epoch in record.epochs], [epoch.validation_accuracy for epoch in record.epochs], **style)


def blank(height: float, width: float = 12) -> tuple[Figure, Any]:
    """An empty chart and its axes, in inches; one of 12 is as wide as the page's text."""
    figure, axes = blank_grid(height, width, 1, 1)
    return figure, axes[0]


def blank_grid(height: float, width: float, rows: int, columns: int) -> tuple[Figure, list[Any]]:
    """An empty chart with many axes, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_visible(False)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for one in axes:
        one.patch.set_visible(False)
    return figure, axes


_OF_TRIAL = "trial:"
"""Prefix of the id of a group that belongs to one trial: the page highlights these together."""


def inline(figure: Figure, name: str, caption: str) -> str:
    """The figure as an `<svg>` element for a page. Equal figures give equal text: no date, no random ids."""
    from xml.sax.saxutils import quoteattr

    from matplotlib import rc_context

    sink = io.StringIO()
    with rc_context({"svg.hashsalt": name}):  # one salt a chart: clip paths of two charts must not share their ids
        figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = sink.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 :]
    found = re.search(r'viewBox="([^"]+)"', text)
    assert found is not None, "matplotlib writes a viewBox"
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(rf' id="{_OF_TRIAL}([0-9a-f]+)"', r' data-t="\1"', body)
    body = re.sub(r' id="[a-z0-9.]+_\d+"', "", body)  # names of groups, the same in every chart; nothing refers to them
    # A hundredth of a point is finer than any screen. Only in paths and places: the numbers on the axes are text.
    body = re.sub(r' (d|x|y|transform)="[^"]*"', lambda at: re.sub(r"(\.\d\d)\d+", r"\1", at[0]), body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    return f'<svg class="chart" role="img" aria-label={quoteattr(caption)} viewBox="{found[1]}">{body.strip()}'
