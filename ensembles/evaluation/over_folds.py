"""Scores over the folds of a cross-validation: each image is judged once, by nets that never saw it (Stone 1974)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.evaluation.comparison import Change, measure_change
from ensembles.metrics.intervals import accuracy_interval
from trainables.splits.split import number_groups


@dataclass(frozen=True, eq=False)
class ConfigurationAnswers:
    """One configuration in one fold: the best epoch of its trial.

    right    bool (images,), on the test images of the fold
    """

    settings: str
    """Its keys that differ between configurations, for people."""
    merit: float
    """How good it is on validation by the sweep's metric, higher is better."""
    right: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FoldAnswers:
    """One fold.

    team, best       bool (images,), which test images the team's vote and the best single checkpoint are right on
    groups           the group of each image, or None
    configurations   by a name that a configuration has in every fold
    """

    team: npt.NDArray[np.bool_]
    best: npt.NDArray[np.bool_]
    groups: tuple[str, ...] | None
    configurations: Mapping[str, ConfigurationAnswers]


@dataclass(frozen=True)
class ConfigurationScore:
    """One configuration over all folds. Accuracies are shares of 1."""

    name: str
    settings: str
    merit: float
    """Mean over the folds of its merit on validation, by which configurations are ranked."""
    merit_sd: float
    """Standard deviation over the folds, of the sample."""
    accuracy: float
    """On the test images of all folds."""
    ci95: tuple[float, float]


@dataclass(frozen=True)
class FoldsSummary:
    """The team and each configuration over all folds."""

    folds: int
    images: int
    change: Change
    """From the best single checkpoint of each fold to its team."""
    team_ci95: tuple[float, float]
    best_ci95: tuple[float, float]
    by_fold: tuple[float, ...]
    """The team's accuracy in each fold."""
    configurations: tuple[ConfigurationScore, ...]
    """Those that every fold has, best on validation first."""
    elsewhere: int
    """Configurations that some folds lack, as a search that learns from results chooses others in each."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the folds say of the team, and what the intervals leave out."""
        change, (low, high) = self.change, self.change.ci95
        told = (
            f"Over {self.folds} folds, with each of {self.images:,} images judged once by nets that never saw it, the team of its fold is "
            f"right on {change.after:.2%} (95 % interval {self.team_ci95[0]:.2%} to {self.team_ci95[1]:.2%}), the best single checkpoint on "
            f"{change.before:.2%}: {100 * change.difference:+.2f} points (95 % interval {100 * low:+.2f} to {100 * high:+.2f}, McNemar p "
            f"{change.mcnemar_p:.2g})."
        )
        spread = f"In single folds the team is right on {min(self.by_fold):.2%} to {max(self.by_fold):.2%}; "
        return (
            told,
            spread
            + "folds share training images, so the intervals are somewhat too narrow (Bengio and Grandvalet 2004).",
        )


def summarise_folds(folds: Sequence[FoldAnswers]) -> FoldsSummary:
    """The scores over `folds`, two at least."""
    names = [name for fold in folds for name in fold.groups or ()]
    groups = number_groups(names) if names else None
    team, best = (np.concatenate([getattr(fold, whose) for fold in folds]) for whose in ("team", "best"))
    named = [set(fold.configurations) for fold in folds]
    everywhere = set.intersection(*named)
    scores = [_score(name, [fold.configurations[name] for fold in folds], groups) for name in everywhere]
    return FoldsSummary(
        folds=len(folds),
        images=len(team),
        change=measure_change(team, best, groups),
        team_ci95=accuracy_interval(team, groups),
        best_ci95=accuracy_interval(best, groups),
        by_fold=tuple(float(fold.team.mean()) for fold in folds),
        configurations=tuple(sorted(scores, key=lambda score: (-score.merit, score.name))),
        elsewhere=len(set.union(*named) - everywhere),
    )


def _score(
    name: str, answers: Sequence[ConfigurationAnswers], groups: npt.NDArray[np.int64] | None
) -> ConfigurationScore:
    merits, right = np.array([one.merit for one in answers]), np.concatenate([one.right for one in answers])
    return ConfigurationScore(
        name=name,
        settings=answers[0].settings,
        merit=float(merits.mean()),
        merit_sd=float(merits.std(ddof=1)),
        accuracy=float(right.mean()),
        ci95=accuracy_interval(right, groups),
    )
