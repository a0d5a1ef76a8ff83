"""The verdict by another metric than accuracy: what it measures, what it recommends, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.config import VoteMethod
from ensembles.evaluation.metric_gain import measure_ballot, measure_metric_gain
from ensembles.metrics.intervals import Groups
from ensembles.selection_bias.corrected import Corrected
from ensembles.selection_bias.estimate import Estimate
from ensembles.voting.vote import Ballot
from trainables.data.floor import MetricFloor
from trainables.metric import LOW_IS_GOOD, Metric, describe_unit, name_metric, show_loss, show_score


@dataclass(frozen=True)
class MetricVerdict:
    """The team's vote and the best single checkpoint on test by `metric`, both calibrated."""

    metric: Metric
    team: float
    best: float
    gain: float
    """By how much the team is better, above zero is better, whichever way the metric goes."""
    gain_ci95: tuple[float, float]
    """Interval of `gain` by paired bootstrap."""
    floor: MetricFloor | None = None
    """What needs no net; None where the data's record does not say."""
    selected: float | None = None
    """The team's score on the images of validation that selected it, by its weights and uncalibrated."""
    corrected: Estimate | None = None
    """The same on images that its selection did not see."""

    @classmethod
    def of(
        cls,
        metric: Metric,
        team: Ballot,
        best: Ballot,
        labels: npt.NDArray[np.int64],
        groups: Groups,
        floor: MetricFloor | None,
        corrected: Corrected | None,
    ) -> MetricVerdict:
        """Both measured on the test images, int64 (images,) `labels`; `corrected` is the result of `correct` for the team."""
        gain, interval = measure_metric_gain(metric, team, best, labels, groups)
        known = corrected if corrected and corrected.metric == metric else None
        return cls(
            metric=metric,
            team=measure_ballot(metric, team, labels),
            best=measure_ballot(metric, best, labels),
            gain=gain,
            gain_ci95=interval,
            floor=floor,
            selected=known.selected if known else None,
            corrected=known.score if known else None,
        )

    @property
    def ship(self) -> bool:
        """Whether the gain's interval lies above zero, and the team is better than what needs no net."""
        return self.gain_ci95[0] > 0 and self.beats(self.team)

    def beats(self, score: float) -> bool:
        """Whether a score is better than what needs no net."""
        if self.floor is None:
            return True
        return score < self.floor.score if self.metric in LOW_IS_GOOD else score > self.floor.score

    def recommend(self, method: VoteMethod, members: int, images: int, alone: bool) -> tuple[str, str]:
        """What to ship, and why; `alone`: the team is the best single checkpoint. As `describe_recommendation` by accuracy."""
        single, seen = "Ship the best single checkpoint", f"on {images:,} test images"
        wins = self.gain_ci95[0] > 0 and not alone
        shipped = self.team if wins else self.best
        if self.floor is not None and not self.beats(shipped):
            what = f"the {method} vote of {members}" if wins else "the best single checkpoint"
            return (
                "Ship nothing",
                f"{what} has {self._with_article(shipped)} {seen}, {self.floor.what} {self._show(self.floor.score)}.",
            )
        if alone:
            return single, f"the team is this checkpoint alone, which has {self._with_article(self.best)} {seen}."
        subject, team = "Ship the ensemble", f"the {method} vote of {members}"
        if members == 1:
            subject, team = "Ship the team's checkpoint", "the one checkpoint of the team"
        evidence = f"95 % interval of the gain {self._change(self.gain_ci95[0])} to {self._change(self.gain_ci95[1])}"
        reached, size = f"{team} has {self._with_article(self.team)} {seen}", self._size(self.gain)
        if self.gain_ci95[0] > 0:
            return subject, f"{reached}, better by {size} than the best single checkpoint ({evidence})."
        if self.gain_ci95[1] < 0:
            return single, f"{reached}, worse by {size} ({evidence})."
        word = "better" if self.gain >= 0 else "worse"
        return single, f"{reached}, {word} by {size} ({evidence}), which these images cannot tell from no difference."

    def describe_correction(self) -> str:
        """The validation score, corrected for selection bias; "" if it was not corrected."""
        if self.selected is None or self.corrected is None:
            return ""
        low, high = (self._show(end) for end in self.corrected.ci95)
        return (
            f"On validation it was selected with {self._with_article(self.selected)}; on images that its selection did not see that "
            f"is {self._show(self.corrected.value)} (95 % interval {low} to {high})."
        )

    def _with_article(self, score: float) -> str:
        name = name_metric(self.metric)
        return f"{'an' if name[0] in 'aA' else 'a'} {name} of {self._show(score)}"

    def _show(self, score: float) -> str:
        return show_score(self.metric, score)

    def _change(self, gain: float) -> str:
        return show_loss(self.metric, gain)

    def _size(self, gain: float) -> str:
        unit = describe_unit(self.metric)
        return f"{show_loss(self.metric, abs(gain)).lstrip('+')}{f' {unit}' if unit else ''}"


def read_metric_verdict(payload: dict[str, Any] | None) -> MetricVerdict | None:
    """The inverse of `dataclasses.asdict`; None stays None. Raises `KeyError`, `TypeError` and `ValueError`."""
    if payload is None:
        return None
    found = dict(payload)
    low, high = found["gain_ci95"]
    found["gain_ci95"] = (low, high)
    found["floor"] = MetricFloor(**found["floor"]) if found.get("floor") else None
    if corrected := found.get("corrected"):
        low, high = corrected["ci95"]
        found["corrected"] = Estimate(corrected["value"], (low, high))
    return MetricVerdict(**found)
