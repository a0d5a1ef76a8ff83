"""The report's table of the team: members, weights, and the cost of leaving each out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ensembles.analysis.varied_keys import show_value
from ensembles.evaluation.evidence import Evidence
from ensembles.report.charts.metric_text import MISSING, describe_unit, name_metric, show_loss, show_score
from ensembles.team import Team
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord

if TYPE_CHECKING:
    from ensembles.selection_bias.corrected import Corrected

MOST_ROWS = 200


@dataclass(frozen=True)
class MemberRow:
    """A line of the table of the team."""

    number: int
    """Number in the maps of agreement, from 1."""
    member: CheckpointId
    weight: float
    weight_share: float
    """Weight relative to the heaviest member's."""
    rank: int | None
    """Rank of its trial; None if the trial is of another run."""
    accuracy: float | None
    """Validation accuracy of the member alone."""
    solo: str
    left_out_cost: float | None
    shown_cost: str
    selected_again: float | None
    """Share of the repetitions of the selection that select it, too."""
    ended_early: bool
    """Whether its trial was pruned or cut off."""
    architecture: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class TeamSection:
    """What the section shows."""

    how: str
    metric: str
    unit: str
    """Unit of the cost of leaving a member out."""
    measured: bool
    """Whether solo scores and costs of leaving out are known."""
    rows: tuple[MemberRow, ...]
    """Members, heaviest first; of equals in the order in which they were selected."""
    more: int
    any_correct: float | None
    selected_again: bool
    """Whether repetitions of the selection are known."""


def lay_out(
    team: Team,
    evidence: Evidence | None,
    corrected: Corrected | None,
    records: Mapping[str, TrialRecord],
    ranks: Mapping[str, int],
    keys: list[str],
) -> TeamSection:
    """The section; `ranks` are places of trials in the table of all trials."""
    rows = [
        _row(number, position, team, evidence, corrected, records, ranks, keys)
        for number, position in enumerate(heaviest_first(team), start=1)
    ]
    return TeamSection(
        how=_describe_how(team),
        metric=name_metric(team.metric),
        unit=describe_unit(team.metric),
        measured=evidence is not None,
        rows=tuple(rows[:MOST_ROWS]),
        more=max(0, len(rows) - MOST_ROWS),
        any_correct=evidence.any_correct if evidence else None,
        selected_again=bool(corrected and corrected.chosen_again),
    )


def heaviest_first(team: Team) -> list[int]:
    """Positions of the members by falling weight; of equals the one that was selected first."""
    return sorted(range(len(team.members)), key=lambda position: -team.weights[position])


def describe_architecture(record: TrialRecord) -> str:
    """The net's name, and its parameters if they were counted: `cnn, 12,345 parameters`."""
    name = record.config.model.name
    return f"{name}, {record.cost.parameters:,} parameters" if record.cost else name


def _row(
    number: int,
    position: int,
    team: Team,
    evidence: Evidence | None,
    corrected: Corrected | None,
    records: Mapping[str, TrialRecord],
    ranks: Mapping[str, int],
    keys: Sequence[str],
) -> MemberRow:
    member = team.members[position]
    record = records.get(member.trial_id)
    config = record.config.flat() if record else {}
    cost = float(evidence.left_out_cost[position]) if evidence else None
    epochs = record.epochs if record else ()
    again = corrected.chosen_again if corrected else ()
    return MemberRow(
        number=number,
        member=member,
        weight=team.weights[position],
        weight_share=team.weights[position] / max(team.weights),
        rank=ranks.get(member.trial_id),
        accuracy=next((at.validation_accuracy for at in epochs if at.epoch == member.epoch), None),
        solo=show_score(team.metric, float(evidence.solo[position])) if evidence else "",
        left_out_cost=cost,
        shown_cost=show_loss(team.metric, cost) if cost is not None else "",
        selected_again=again[position] if again else None,
        ended_early=record is not None and record.state in ("pruned", "stopped"),
        architecture=describe_architecture(record) if record else MISSING,
        values=tuple(show_value(config.get(key)) for key in keys) if record else (MISSING,) * len(keys),
    )


def _describe_how(team: Team) -> str:
    """How the team was selected."""
    many = f"{len(team.members)} checkpoint{'' if len(team.members) == 1 else 's'}"
    metric = name_metric(team.metric)
    if team.how in ("greedy", "greedy-once") and team.picks:
        rule = "with replacement (Caruana 2004)" if team.how == "greedy" else "without replacement"
        return (
            f"{many} from the first {team.kept_picks} of {len(team.picks)} greedy picks {rule}, each the one "
            f"that left the team with the best {metric} on validation."
        )
    return {
        "best": f"The checkpoint with the best {metric} on validation.",
        "top": f"The {many} with the best {metric} on validation.",
        "all": f"All {many} that could vote.",
        "cma-es": f"{many} with weights found by CMA-ES for the best {metric} on validation.",
        "stable": f"{many} that bootstraps of the selection picked again and again.",
        "smallest": f"{many}: the fewest that are statistically as good on validation as the greedy team.",
        "boosted": f"{many}: rounds of boosting, each with the weight that its round says, or of gradient boosting the "
        f"round with the best {metric} on validation.",
    }.get(team.how, f"{many}, chosen by {team.how} for the best {metric} on validation.")
