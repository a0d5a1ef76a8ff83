"""The report's section on the sweep: learning curves, trials, importance, and members whose trials were ended early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ensembles.analysis.importance import LEAST_R2, Importance, measure_importance
from ensembles.analysis.search_summary import SearchSummary
from ensembles.report.charts.charts import Chart, draw_learning_curves
from ensembles.report.charts.sweep import RateMap, draw_parallel, draw_rate_map
from ensembles.report.sweep.trials import describe_state
from ensembles.team import Team
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord

MOST_KEYS = 15
"""Keys in the table of importance."""


@dataclass(frozen=True)
class ImportanceRow:
    """One hyperparameter."""

    key: str
    lost_r2: float
    share: float
    """Importance relative to the most important one, 0 at least."""


@dataclass(frozen=True)
class ImportanceTable:
    """The importance of hyperparameters."""

    found: Importance
    rows: tuple[ImportanceRow, ...]
    sentence: str


@dataclass(frozen=True)
class EarlyMember:
    """A member whose trial was ended early, and votes all the same."""

    member: CheckpointId
    description: str
    weight: float
    accuracy: float | None
    """Validation accuracy of the member alone."""
    rank: int


@dataclass(frozen=True)
class SweepSection:
    """What the section shows; each part may be missing."""

    curves: Chart | None
    parallel: Chart | None
    importance: ImportanceTable | None
    rate_map: RateMap | None
    early: tuple[EarlyMember, ...]
    early_sentence: str


def lay_out(
    ranked: Sequence[TrialRecord], team: Team, summary: SearchSummary, keys: Sequence[str]
) -> SweepSection | None:
    """The section; None if no trial has an epoch. `ranked` is by rank, `keys` are those that vary."""
    if not any(record.epochs for record in ranked):
        return None
    voting = {member.trial_id for member in team.members}
    found = measure_importance(ranked, keys)
    first = [one.key for one in found.keys] if found else []
    early = tuple(_early(ranked, team))
    return SweepSection(
        curves=draw_learning_curves(ranked, team, summary.rungs),
        parallel=draw_parallel(ranked, voting, first or keys),
        importance=_tabulate(found) if found else None,
        rate_map=draw_rate_map(ranked, voting, summary.ranges),
        early=early,
        early_sentence=_describe_early(early, team),
    )


def _tabulate(found: Importance) -> ImportanceTable:
    most = max((one.lost_r2 for one in found.keys), default=0.0)
    if found.keys:
        sentence = (
            f"A random forest explains {found.r2:.0%} of the variance between {found.trials:,} trials at epoch {found.epoch} "
            "(R², on trials that it has not seen). The importance of a hyperparameter is the R² that is lost where its values are "
            "shuffled among these trials; those that vary together share it."
        )
    else:
        sentence = (
            f"A random forest on the hyperparameters explains next to nothing of the differences between {found.trials:,} trials at "
            f"epoch {found.epoch} (R² {found.r2:.2f} on trials that it has not seen, below {LEAST_R2:g}): no importance can be given."
        )
    return ImportanceTable(
        found,
        tuple(
            ImportanceRow(one.key, one.lost_r2, max(0.0, one.lost_r2) / most if most > 0 else 0.0)
            for one in found.keys[:MOST_KEYS]
        ),
        sentence,
    )


def _early(ranked: Sequence[TrialRecord], team: Team) -> list[EarlyMember]:
    found = []
    for place, record in enumerate(ranked, start=1):
        if record.state not in ("pruned", "stopped"):
            continue
        for member, weight in zip(team.members, team.weights, strict=True):
            if member.trial_id == record.trial_id:
                at = next((epoch for epoch in record.epochs if epoch.epoch == member.epoch), None)
                found.append(
                    EarlyMember(member, describe_state(record), weight, at.validation_accuracy if at else None, place)
                )
    return found


def _describe_early(early: Sequence[EarlyMember], team: Team) -> str:
    if not early:
        return "No trial that was ended early made the team."
    weight = sum(one.weight for one in early)
    many = len(early)
    return (
        f"{many} of {len(team.members)} members, with {weight:.0%} of the weight, {'come' if many > 1 else 'comes'} from "
        f"{'trials that were' if many > 1 else 'a trial that was'} ended early: every checkpoint may vote."
    )
