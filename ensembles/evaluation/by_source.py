"""Scores on the test images of each source: a camera, a clinic, whatever `data.source` names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.metrics.intervals import Groups, accuracy_interval
from trainables.splits.split import number_groups


@dataclass(frozen=True)
class SourceScore:
    """One source on test. Accuracies are shares of 1."""

    source: str
    images: int
    best: float
    """Accuracy of the best single checkpoint."""
    team: float
    """Accuracy of the team's vote."""
    ci95: tuple[float, float]
    """95 % interval of `team`; see `accuracy_interval`."""
    is_behind: bool
    """Whether the team's accuracy on all other sources lies above this one's interval, which is wider than `ci95`: of all sources
    together 1 in 20 such statements may be wrong."""


def score_sources(
    sources: Sequence[str], team_right: npt.NDArray[np.bool_], best_right: npt.NDArray[np.bool_], groups: Groups = None
) -> tuple[SourceScore, ...]:
    """A score for each of `sources`, one an image, in the order of their names; all arrays are (images,).

    Empty where there is but one source: nothing can be told apart.
    """
    names = sorted(set(sources))
    if len(names) < 2:
        return ()
    of_image = number_groups(sources)
    found = []
    for place, name in enumerate(names):
        mine = of_image == place
        own_groups = None if groups is None else groups[mine]
        wide = accuracy_interval(team_right[mine], own_groups, comparisons=len(names))
        found.append(
            SourceScore(
                source=name,
                images=int(mine.sum()),
                best=float(best_right[mine].mean()),
                team=float(team_right[mine].mean()),
                ci95=accuracy_interval(team_right[mine], own_groups),
                is_behind=wide[1] < float(team_right[~mine].mean()),
            )
        )
    return tuple(found)


def describe_sources(scores: Sequence[SourceScore]) -> str:
    """The spread over sources in one sentence; "" where there are none."""
    if not scores:
        return ""
    ordered = sorted(scores, key=lambda score: (score.team, score.source))
    worst, best = ordered[0], ordered[-1]
    text = (
        f"Of {len(scores)} sources {worst.source!r} is worst ({worst.team:.2%} of {worst.images:,} test images) and "
        f"{best.source!r} best ({best.team:.2%} of {best.images:,})"
    )
    behind = [score.source for score in ordered if score.is_behind]
    if not behind:
        return f"{text}: chance may explain that."
    named = ", ".join(repr(name) for name in behind[:3]) + (f" and {len(behind) - 3} more" if behind[3:] else "")
    return f"{text}: {named} {'lies' if len(behind) == 1 else 'lie'} below the others by more than chance."
