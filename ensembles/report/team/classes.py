"""The report's section on classes: what the team gains and loses in each, and which confusions come and go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ensembles.evaluation.evidence import ClassChange, Evidence
from ensembles.report.charts import svg
from ensembles.report.charts.charts import Chart

MOST_CLASSES = 200
"""Of more classes, those that change most."""
MOST_ON_MAP = 25
MOST_CONFUSIONS = 16
LONGEST_NAME = 18


@dataclass(frozen=True)
class ClassRow:
    """One class on test."""

    change: ClassChange
    best: float | None
    """Accuracy of the best single checkpoint; None if test has no image of the class."""
    team: float | None
    fixed_share: float
    """Length of the bar of fixed images relative to the longest bar."""
    broken_share: float
    """Length of the bar of broken images relative to the longest bar."""


@dataclass(frozen=True)
class ConfusionRow:
    """Images of one class that are predicted as another: the team's less the best single checkpoint's."""

    true: str
    predicted: str
    change: int


@dataclass(frozen=True)
class ClassesSection:
    """What the section shows."""

    sentence: str
    rows: tuple[ClassRow, ...]
    more: int
    confusions: tuple[ConfusionRow, ...]
    """Confusions that change most; diagonal cells, which are no confusion, are in `rows`."""
    more_confusions: int
    chart: Chart | None
    """Map of confusions; None if there are too many classes, or nothing changes."""


def lay_out(evidence: Evidence | None) -> ClassesSection | None:
    """The section; None without evidence."""
    if evidence is None or not evidence.classes:
        return None
    shown = list(evidence.classes)
    if len(shown) > MOST_CLASSES:
        place = {change.name: number for number, change in enumerate(evidence.classes)}
        shown = sorted(shown, key=lambda change: -(change.fixed + change.broken))[:MOST_CLASSES]
        shown.sort(key=lambda change: place[change.name])
    longest = max(1, *(max(change.fixed, change.broken) for change in shown))
    changes = _confusions(evidence)
    return ClassesSection(
        sentence=_describe(evidence),
        rows=tuple(
            ClassRow(
                change=change,
                best=change.best_right / change.images if change.images else None,
                team=change.team_right / change.images if change.images else None,
                fixed_share=change.fixed / longest,
                broken_share=change.broken / longest,
            )
            for change in shown
        ),
        more=len(evidence.classes) - len(shown),
        confusions=tuple(changes[:MOST_CONFUSIONS]),
        more_confusions=max(0, len(changes) - MOST_CONFUSIONS),
        chart=_draw(evidence),
    )


def _describe(evidence: Evidence) -> str:
    net = [change.fixed - change.broken for change in evidence.classes]
    gain, loss = sum(one > 0 for one in net), sum(one < 0 for one in net)
    text = f"Of {len(net)} classes {gain} gain{'s' if gain == 1 else ''} and {loss} lose{'s' if loss == 1 else ''} against the best single checkpoint"
    if loss:
        worst = min(evidence.classes, key=lambda change: change.fixed - change.broken)
        text += f", most of all {worst.name} ({worst.fixed} fixed, {worst.broken} broken)"
    return f"{text}."


def _confusions(evidence: Evidence) -> list[ConfusionRow]:
    """Cells off the diagonal, the largest change first; of equals a loss first, then in the order of the classes."""
    names = [change.name for change in evidence.classes]
    cells = [
        (int(evidence.confusion_change[true, predicted]), true, predicted)
        for true, predicted in np.argwhere(evidence.confusion_change).tolist()
        if true != predicted
    ]
    cells.sort(key=lambda cell: (-abs(cell[0]), -cell[0], cell[1], cell[2]))
    return [ConfusionRow(names[true], names[predicted], change) for change, true, predicted in cells]


def _draw(evidence: Evidence) -> Chart | None:
    changes = evidence.confusion_change
    if len(changes) > MOST_ON_MAP or not changes.any():
        return None
    names = [shorten(change.name) for change in evidence.classes]
    # On the diagonal more is better, beside it worse: turned, so that one colour is good everywhere.
    good = np.where(np.eye(len(changes), dtype=bool), changes, -changes).astype(np.float64)
    caption = (
        "Test images by true class (rows) and predicted class (columns): the change against the best single checkpoint, with "
        "its sign turned beside the diagonal, so that above zero is better everywhere."
    )
    drawn = svg.heat_map(good, names, names, "{:+.0f}", caption, (float(good.min()), float(good.max())), signed=True)
    return Chart(drawn, caption)


def shorten(name: str) -> str:
    """A class name that fits beside a chart.

    >>> shorten("T-shirt/top"), shorten("an animal with a very long name")
    ('T-shirt/top', 'an animal with a …')
    """
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
