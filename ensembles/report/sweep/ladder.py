"""The report's ladder: from the score that selected the team, to the score corrected for selection bias, to test."""

from __future__ import annotations

from dataclasses import dataclass

from ensembles.evaluation.verdict import Verdict
from ensembles.report.charts import svg
from ensembles.report.charts.charts import Chart


@dataclass(frozen=True)
class Rung:
    """One step of the ladder. Accuracies are shares of 1."""

    name: str
    measured: str
    """The images that it was measured on, and their bias."""
    team: float
    team_ci95: tuple[float, float] | None
    best: float
    """Accuracy of the best single checkpoint."""
    best_ci95: tuple[float, float] | None
    unbiased: bool


@dataclass(frozen=True)
class LadderSection:
    """What the section shows."""

    rungs: tuple[Rung, ...]
    sentence: str
    chart: Chart


def lay_out(verdict: Verdict) -> LadderSection:
    """The section; without a corrected estimate the ladder has two rungs."""
    team, best = verdict.votes[verdict.vote], verdict.best
    rungs = [
        Rung(
            name="as selected",
            measured=f"{verdict.validation_images:,} validation images that it was chosen on",
            team=team.validation_accuracy,
            team_ci95=None,
            best=best.validation_accuracy,
            best_ci95=None,
            unbiased=False,
        )
    ]
    if team.corrected and best.corrected:
        rungs.append(
            Rung(
                name="corrected",
                measured=f"those of the {verdict.validation_images:,} that each repetition of the selection did not see",
                team=team.corrected.value,
                team_ci95=team.corrected.ci95,
                best=best.corrected.value,
                best_ci95=best.corrected.ci95,
                unbiased=True,
            )
        )
    rungs.append(
        Rung(
            name="test",
            measured=f"{verdict.test_images:,} test images that nothing was chosen on",
            team=team.test_accuracy,
            team_ci95=team.ci95,
            best=best.test_accuracy,
            best_ci95=best.ci95,
            unbiased=True,
        )
    )
    sentence = _describe(rungs)
    return LadderSection(tuple(rungs), sentence, _draw(rungs, sentence))


def _describe(rungs: list[Rung]) -> str:
    selected, test = rungs[0], rungs[-1]
    lost = 100 * (selected.team - test.team)
    text = (
        f"The team scores {selected.team:.2%} where it was chosen and {test.team:.2%} on test, {abs(lost):.2f} points "
    )
    text += "less" if lost >= 0 else "more"
    if len(rungs) == 3:
        off = 100 * (rungs[1].team - test.team)
        text += f"; the corrected estimate of {rungs[1].team:.2%} is {abs(off):.2f} points {'above' if off >= 0 else 'below'} test"
    return f"{text}."


def _draw(rungs: list[Rung], sentence: str) -> Chart:
    """A row a rung; the team above the best single checkpoint, with their intervals."""
    seen = [end for rung in rungs for end in (rung.team, rung.best, *(rung.team_ci95 or ()), *(rung.best_ci95 or ()))]
    left, right, tall = 110.0, svg.WIDTH - 14, 46.0
    axis = svg.spread(seen, left, right)
    bottom = 26 + tall * len(rungs)
    parts = [svg.line(axis.place(tick), 22, axis.place(tick), bottom) for tick in axis.ticks(8)]
    parts += svg.grid_x(axis, bottom, svg.as_percent, 8)
    parts += [
        svg.dot(left + 6, 9, 4.5, "dot v"),
        svg.label(left + 15, 12.5, "the team's vote"),
        svg.dot(left + 120, 9, 3.5, "dot"),
        svg.label(left + 129, 12.5, "best single checkpoint"),
    ]
    for number, rung in enumerate(rungs):
        y = 24 + tall * number
        parts.append(svg.label(left - 12, y + tall / 2 + 3, rung.name, "e k"))
        pairs = ((rung.team, rung.team_ci95, y + 17, "v", 4.5), (rung.best, rung.best_ci95, y + 32, "", 3.5))
        for value, interval, at, kind, radius in pairs:
            if interval:
                parts.append(svg.line(axis.place(interval[0]), at, axis.place(interval[1]), at, f"span {kind}".strip()))
            classes = ["dot", kind, "" if rung.unbiased else "hollow"]
            parts.append(svg.dot(axis.place(value), at, radius, " ".join(filter(None, classes))))
    caption = f"{sentence} Hollow dots are flattered by the choosing."
    return Chart(svg.svg(parts, bottom + 22, caption), caption)
