"""The report's table of scores: the best single checkpoint, the team by every vote, and the baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ensembles.evaluation.score import Score
from ensembles.evaluation.verdict import Verdict
from ensembles.report.charts.metric_text import MISSING
from trainables.data.floor import SIDE_PX
from trainables.metric import name_metric, show_score

RowKind = Literal["single", "vote", "chosen", "baseline"]
"""chosen: the vote that the sweep file configures."""


@dataclass(frozen=True)
class Drawn:
    """Position of an interval in a drawing, in percents of its width; not a figure of the report."""

    low: float
    dot: float
    high: float


@dataclass(frozen=True)
class ScoreRow:
    """A line of the table of scores."""

    label: str
    kind: RowKind
    score: Score
    drawn: Drawn


@dataclass(frozen=True)
class BaselinesSection:
    """What the section shows."""

    rows: tuple[ScoreRow, ...]
    validation_images: int
    test_images: int
    sentence: str
    calibration: str
    has_corrected: bool
    floor: tuple[tuple[str, float], ...]
    """What anybody gets on test without a net, and the share of test images that it has right."""
    metric: str
    """What the sweep asks for beside accuracy; "" if nothing."""
    scores: tuple[str, ...]
    """Each row's score on test by that metric."""
    has_more: bool
    """Whether the figures after calibration were measured; an older version did not."""


def lay_out(verdict: Verdict) -> BaselinesSection:
    """The section, with all intervals drawn on one scale."""
    top, everyone = verdict.baselines["top"], verdict.baselines["all"]
    named: list[tuple[str, RowKind, Score]] = [
        ("best single checkpoint", "single", verdict.best),
        *(
            (f"{method} vote", "chosen" if method == verdict.vote else "vote", score)
            for method, score in verdict.votes.items()
        ),
        (f"soft vote of the best {top.members}", "baseline", top),
        (f"soft vote of all {everyone.members}", "baseline", everyone),
    ]
    scores, asked = [score for _, _, score in named], verdict.in_metric
    lowest = min(score.ci95[0] for score in scores)
    width = max(max(score.ci95[1] for score in scores) - lowest, 1e-9)

    def place(share: float) -> float:
        return round(4 + 92 * (share - lowest) / width, 2)

    rows = tuple(
        ScoreRow(label, kind, score, Drawn(place(score.ci95[0]), place(score.test_accuracy), place(score.ci95[1])))
        for label, kind, score in named
    )
    return BaselinesSection(
        rows=rows,
        validation_images=verdict.validation_images,
        test_images=verdict.test_images,
        sentence=_describe(verdict),
        calibration=verdict.calibration,
        has_corrected=any(score.corrected for score in scores),
        floor=_list_floor(verdict),
        metric=name_metric(asked.metric) if asked else "",
        scores=tuple(
            MISSING if score.test_score is None else show_score(asked.metric, score.test_score) for score in scores
        )
        if asked
        else (),
        has_more=any(score.test_brier is not None for score in scores),
    )


def _list_floor(verdict: Verdict) -> tuple[tuple[str, float], ...]:
    floor = verdict.floor
    if floor is None:
        return ()
    return (
        (f"nearest neighbour on {SIDE_PX} x {SIDE_PX} pixels", floor.nearest_neighbour),
        (f"always “{floor.class_name}”", floor.largest_class),
        ("guessing", floor.chance),
    )


def _describe(verdict: Verdict) -> str:
    """Whether selection paid off against votes without selection: on homogeneous candidates it may not."""
    team, top, everyone = verdict.votes[verdict.vote], verdict.baselines["top"], verdict.baselines["all"]
    better = [
        f"the plain soft vote of {'the best ' if score is top else 'all '}{score.members} "
        f"({100 * (score.test_accuracy - team.test_accuracy):+.2f} points)"
        for score in (top, everyone)
        if score.test_accuracy > team.test_accuracy
    ]
    if not better:
        return "On test the team is at least as good as the plain soft votes that needed no choosing."
    return f"On test {' and '.join(better)} did better than the chosen team: the choosing did not pay here."
