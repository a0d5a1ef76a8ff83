"""The report's first section: what to ship, in at most three sentences and a few figures."""

from __future__ import annotations

from dataclasses import dataclass

from ensembles.evaluation.metric_verdict import MetricVerdict
from ensembles.evaluation.score import Score
from ensembles.evaluation.verdict import Verdict
from ensembles.team import Team
from trainables.metric import describe_unit, name_metric, show_loss, show_score


@dataclass(frozen=True)
class ShownMetric:
    """Figures by another metric than accuracy, as text."""

    name: str
    best: str
    team: str
    gain: str
    """Above zero is better."""
    interval: str
    floor: str
    """What needs no net, and its score; "" if that is not known."""


@dataclass(frozen=True)
class VerdictSection:
    """What the section shows."""

    headline: str
    ship: bool
    sentences: tuple[str, ...]
    blind_spots: tuple[str, ...]
    """Classes that are never predicted, one line each for the team and the best single checkpoint."""
    vote: str
    """How the team votes."""
    best: Score
    team: Score
    gain: float
    gain_ci95: tuple[float, float]
    mcnemar_p: float
    fixed: int
    broken: int
    metric: ShownMetric | None
    """The same by the metric that the sweep asks for, which decides; None where that is accuracy."""
    cost_factor: float | None
    """FLOPs of the team's prediction relative to the best single checkpoint's; None if they were not measured."""


def lay_out(verdict: Verdict, team: Team) -> VerdictSection:
    """The section."""
    score, best = verdict.votes[verdict.vote], verdict.best
    return VerdictSection(
        headline=verdict.headline,
        ship=verdict.ship,
        sentences=tuple(_describe(verdict, team)),
        blind_spots=verdict.blind_spots,
        metric=_show(verdict.in_metric) if verdict.in_metric else None,
        vote=verdict.vote,
        best=best,
        team=score,
        gain=verdict.gain,
        gain_ci95=verdict.gain_ci95,
        mcnemar_p=verdict.mcnemar_p,
        fixed=verdict.fixed,
        broken=verdict.broken,
        cost_factor=score.cost.flops / best.cost.flops if score.cost and best.cost and best.cost.flops else None,
    )


def _show(found: MetricVerdict) -> ShownMetric:
    floor = found.floor
    low, high = (show_loss(found.metric, end) for end in found.gain_ci95)
    unit = describe_unit(found.metric)
    return ShownMetric(
        name=name_metric(found.metric),
        best=show_score(found.metric, found.best),
        team=show_score(found.metric, found.team),
        gain=f"{show_loss(found.metric, found.gain)}{f' {unit}' if unit else ''}",
        interval=f"{low} to {high}",
        floor=f"{floor.what}: {show_score(found.metric, floor.score)}" if floor else "",
    )


def _describe(verdict: Verdict, team: Team) -> list[str]:
    """The verdict's sentences; if the validation score was not corrected, one more that warns of it."""
    lines = list(verdict.sentences)
    lines[0] = lines[0].removeprefix(f"{verdict.headline}: ")  # the headline stands above already
    lines[0] = lines[0][:1].upper() + lines[0][1:]
    score = verdict.votes[verdict.vote]
    if verdict.in_metric is None and score.corrected is None and team.members != (verdict.best_member,):
        lines.insert(
            1,
            f"On validation it scores {score.validation_accuracy:.2%}, but it was chosen there: "
            "only test is an honest estimate.",
        )
    return lines
