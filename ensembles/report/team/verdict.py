"""The report's first section: what to ship, in at most three sentences and a few figures."""

from __future__ import annotations

from dataclasses import dataclass

from ensembles.evaluation.score import Score
from ensembles.evaluation.verdict import Verdict
from ensembles.team import Team


@dataclass(frozen=True)
class VerdictSection:
    """What the section shows."""

    headline: str
    ship: bool
    sentences: tuple[str, ...]
    vote: str
    """How the team votes."""
    best: Score
    team: Score
    gain: float
    gain_ci95: tuple[float, float]
    mcnemar_p: float
    fixed: int
    broken: int
    cost_factor: float | None
    """Arithmetic of the team's prediction over that of the best single checkpoint's; None where it was not measured."""


def lay_out(verdict: Verdict, choice: Team) -> VerdictSection:
    """The section."""
    team, best = verdict.votes[verdict.vote], verdict.best
    return VerdictSection(
        headline=verdict.headline,
        ship=verdict.ship,
        sentences=tuple(_describe(verdict, choice)),
        vote=verdict.vote,
        best=best,
        team=team,
        gain=verdict.gain,
        gain_ci95=verdict.gain_ci95,
        mcnemar_p=verdict.mcnemar_p,
        fixed=verdict.fixed,
        broken=verdict.broken,
        cost_factor=team.cost.flops / best.cost.flops if team.cost and best.cost and best.cost.flops else None,
    )


def _describe(verdict: Verdict, choice: Team) -> list[str]:
    """The verdict's own sentences; where validation was not corrected, one that says not to believe it."""
    told = list(verdict.sentences)
    told[0] = told[0].removeprefix(f"{verdict.headline}: ")  # the headline stands above already
    told[0] = told[0][:1].upper() + told[0][1:]
    team = verdict.votes[verdict.vote]
    if team.corrected is None and choice.members != (verdict.best_member,):
        told.insert(
            1,
            f"On validation it scores {team.validation_accuracy:.2%}, but it was chosen there: "
            "only test is an honest estimate.",
        )
    return told
