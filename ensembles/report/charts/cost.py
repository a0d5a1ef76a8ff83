"""The chart of accuracy over what a net costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ensembles.report.charts import svg
from ensembles.report.charts.charts import Chart
from ensembles.report.charts.counts import show_count
from ensembles.report.charts.sweep import choose_drawn
from ensembles.team import Team
from trainables.results.record import TrialRecord, rank

MOST_DOTS = 250
"""The team's trials and the best others."""

Point = tuple[float, float, TrialRecord]
"""Cost, accuracy, trial."""


def draw_costs(records: Sequence[TrialRecord], team: Team, of: Literal["parameters", "flops"]) -> Chart | None:
    """Best validation accuracy of each trial over what its net costs; None where all cost the same."""
    voting = {member.trial_id for member in team.members}
    measured = [record for record in rank(list(records)) if record.cost and getattr(record.cost, of) > 0]
    points = [
        (float(getattr(record.cost, of)), record.best.validation_accuracy, record)
        for record in choose_drawn(measured, voting, MOST_DOTS)
        if record.best
    ]
    if len({cost for cost, _, _ in points}) < 2:
        return None
    left, right, top, bottom = 62.0, svg.WIDTH - 20, 30.0, 242.0
    accuracies = [accuracy for _, accuracy, _ in points]
    across = svg.spread([cost for cost, _, _ in points], left, right, 0.03, log=True)
    # A net near chance would press all others into one line: it is drawn at the bottom.
    up = svg.spread([max(accuracies), float(np.percentile(accuracies, 10))], bottom, top, 0.06)
    frontier = cheapest(points)
    name = {"parameters": "parameters", "flops": "operations of one prediction"}[of]
    parts = [
        *svg.grid_y(up, left, right, svg.as_percent),
        *svg.grid_x(across, bottom, _show_tick, 8),
        svg.label((left + right) / 2, bottom + 31, name, "m"),
        svg.label(12, (top + bottom) / 2, "validation accuracy", "m", turn=-90),
        *_legend(left),
        _steps(frontier, across, up, right),
    ]
    for votes, radius, kind in ((False, 3.0, "dot o"), (True, 4.5, "dot v")):
        for cost, accuracy, record in reversed(points):
            if (record.trial_id in voting) is votes:
                title = f"{record.trial_id}: {accuracy:.2%} with {show_count(cost)} {name}"
                parts.append(svg.dot(across.place(cost), up.place(accuracy), radius, kind, record.trial_id, title))
    least, best = frontier[0], frontier[-1]
    caption = (
        f"Best validation accuracy of {len(points)} trials over the {name} of their nets: {least[1]:.2%} with "
        f"{least[0]:,.0f}, the least, and {best[1]:.2%}, the best, with {best[0]:,.0f}."
    )
    if left_out := sum(record.best is not None for record in measured) - len(points):
        caption += f" {left_out:,} trials with lower accuracy are not drawn."
    return Chart(svg.svg(parts, bottom + 38, caption), caption)


def cheapest(points: Sequence[Point]) -> list[tuple[float, float]]:
    """Cost and accuracy, rising, wherever accuracy exceeds that of all cheaper trials."""
    found: list[tuple[float, float]] = []
    for cost, accuracy, _ in sorted(points, key=lambda point: (point[0], -point[1])):
        if not found or accuracy > found[-1][1]:
            found.append((cost, accuracy))
    return found


def _show_tick(cost: float) -> str:
    return f"{cost:,.0f}" if cost < 1e7 else show_count(cost)


def _legend(left: float) -> list[str]:
    return [
        svg.dot(left + 6, 9, 4.5, "dot v"),
        svg.label(left + 15, 12.5, "team"),
        svg.dot(left + 66, 9, 3, "dot o"),
        svg.label(left + 74, 12.5, "other trials"),
        svg.line(left + 152, 9, left + 172, 9, "steps"),
        svg.label(left + 178, 12.5, "best for so much or less"),
    ]


def _steps(frontier: Sequence[tuple[float, float]], across: svg.Axis, up: svg.Axis, right: float) -> str:
    corners: list[tuple[float, float]] = []
    for cost, accuracy in frontier:
        x, y = across.place(cost), up.place(accuracy)
        corners += [(x, corners[-1][1]), (x, y)] if corners else [(x, y)]
    return svg.path([*corners, (right, corners[-1][1])], "steps")
