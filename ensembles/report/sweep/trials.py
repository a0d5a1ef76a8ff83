"""The report's table of all trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ensembles.analysis.varied_keys import show_value
from ensembles.team import Team
from trainables.metric import name_metric
from trainables.results.record import TrialRecord, metric_of

MOST_ROWS = 1000
"""Rows of the table, for the best trials and the team's: a page of ten thousand rows opens slowly, and nobody reads it."""
LONGEST_REASON = 160
"""Characters of a trial's reason that are shown; the run's events have the whole one."""


@dataclass(frozen=True)
class TrialRow:
    """A line of the table of trials."""

    rank: int
    trial_id: str
    state: str
    description: str
    """Its state, with the reason if there is one."""
    votes: bool
    epochs: int
    best_epoch: int | None
    accuracy: float | None
    """Validation accuracy of its best epoch."""
    values: tuple[str, ...]
    score: str = ""
    """Its best epoch by the metric that ranks the trials; "" where that is accuracy."""


@dataclass(frozen=True)
class TrialsSection:
    """What the section shows."""

    states: str
    metric: str
    """What ranks the trials."""
    keys: tuple[str, ...]
    """Hyperparameters in which the trials differ."""
    rows: tuple[TrialRow, ...]
    more: int
    """Trials with a lower rank that are not in the table."""


def lay_out(ranked: Sequence[TrialRecord], team: Team, keys: Sequence[str]) -> TrialsSection:
    """The section."""
    voting = {member.trial_id for member in team.members}
    shown = [
        (place, record)
        for place, record in enumerate(ranked, start=1)
        if place <= MOST_ROWS or record.trial_id in voting
    ]
    return TrialsSection(
        states=count_states(ranked),
        metric=name_metric(metric_of(ranked)),
        keys=tuple(keys),
        rows=tuple(_row(place, record, voting, keys) for place, record in shown),
        more=len(ranked) - len(shown),
    )


def _row(place: int, record: TrialRecord, voting: set[str], keys: Sequence[str]) -> TrialRow:
    config, best = record.config.flat(), record.best
    return TrialRow(
        rank=place,
        trial_id=record.trial_id,
        state=record.state,
        description=describe_state(record),
        votes=record.trial_id in voting,
        epochs=len(record.epochs),
        best_epoch=best.epoch if best else None,
        accuracy=best.validation_accuracy if best else None,
        values=tuple(show_value(config.get(key)) for key in keys),
        score=best.shown_score if best and best.metric else "",
    )


def describe_state(record: TrialRecord) -> str:
    """`pruned at epoch 3`, `diverged: loss is nan`: the state is named once."""
    text = f"{record.state}: {record.reason}"
    if not record.reason or record.reason.startswith(record.state):
        text = record.reason or record.state
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"


def count_states(records: Sequence[TrialRecord]) -> str:
    """`24 trials: 3 finished, 21 pruned`."""
    states = [record.state for record in records]
    counts = [f"{states.count(state):,} {state}" for state in dict.fromkeys(states)]
    return f"{len(states):,} trial{'' if len(states) == 1 else 's'}: {', '.join(counts)}"
