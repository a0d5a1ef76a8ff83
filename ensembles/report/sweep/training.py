"""The report's section on the training of the team's trials: curves and statistics of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ensembles.analysis.training_summary import MonitoredTrial
from ensembles.report.charts.charts import Chart
from ensembles.report.charts.training import draw_layers, draw_statistics
from trainables.results.layer_statistics import LayerStatistics

MOST_ROWS = 200
"""Layers in a trial's table: the first of them."""
MOST_ROWS_OF_ALL = 600
"""Layers in the tables of all trials together; those of the heaviest come first."""


@dataclass(frozen=True)
class StatisticsRow:
    """A trial's charts, and its layers as a table."""

    trial_id: str
    epoch: int
    """The last epoch, whose layers are shown."""
    chart: Chart
    histograms: Chart | None
    layers: tuple[LayerStatistics, ...]
    more: int
    """Layers that are not in the table."""


@dataclass(frozen=True)
class TrainingSection:
    """What the section shows: the trials in the order in which they were given."""

    rows: tuple[StatisticsRow, ...]


def lay_out(trials: Sequence[MonitoredTrial]) -> TrainingSection | None:
    """The section; None if no trial was monitored."""
    rows: list[StatisticsRow] = []
    for trial in trials:
        if (chart := draw_statistics(trial.record)) is None:
            continue
        limit = min(MOST_ROWS, MOST_ROWS_OF_ALL - sum(len(row.layers) for row in rows))
        rows.append(
            StatisticsRow(
                trial_id=trial.record.trial_id,
                epoch=trial.epoch,
                chart=chart,
                histograms=draw_layers(trial.layers, trial.record.trial_id),
                layers=trial.layers[:limit],
                more=max(0, len(trial.layers) - limit),
            )
        )
    return TrainingSection(tuple(rows)) if rows else None
