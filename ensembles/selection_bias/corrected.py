"""Validation scores of a selected team, corrected for selection bias without using any test image.

A score on the images that selected a team is too good: of many teams, the luckiest is selected. So the whole selection is
repeated, each time on some of the images, and the resulting team, with its vote, is scored on the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.config import Correction, EnsembleConfig, Metric, VoteMethod
from ensembles.metrics.intervals import count_effective
from ensembles.pool.in_memory import Candidates, WholePool
from ensembles.pool.pool import PredictionPool
from ensembles.selection_bias.estimate import (
    Estimate,
    PerImage,
    Resampler,
    Voted,
    estimate_mean,
    estimate_share,
    of_each_image,
)
from ensembles.selection_bias.repeat import Repetition, rank_all, repeat_selection
from ensembles.selection_bias.resample import SELECTED_SHARE, Part, draw_rounds
from ensembles.team import Team, team_of_equals
from ensembles.voting.vote import fit_voter
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialCost

BAND = (10, 50, 90)
"""Percentiles of the band of the greedy path."""


@dataclass(frozen=True)
class CorrectedScore:
    """Scores of one way to predict on images that did not select it."""

    accuracy: Estimate
    """Accuracy, a share of 1."""
    log_loss: Estimate
    """Log-loss in nats of the vote before calibration."""


@dataclass(frozen=True)
class Corrected:
    """Validation scores, corrected for selection bias."""

    how: Correction
    metric: Metric
    """Metric that the team was selected by."""
    selected: float
    """The optimistic score that it was selected with: `Team.validation_score`."""
    score: Estimate
    """The same score of the weighted team on images that the selection did not see."""
    vote: VoteMethod
    """How the team votes."""
    votes: Mapping[VoteMethod, CorrectedScore]
    """Scores of the team by voting method; `vote` is one of them."""
    baselines: Mapping[str, CorrectedScore]
    """`best`: the most accurate single checkpoint; `top`: soft vote of the `ensemble.size` most accurate; `all`: soft vote of
    all, which involves no selection."""
    gain: Estimate
    """Accuracy of `vote` less that of the best single checkpoint, both selected again in every repetition."""
    band: tuple[tuple[float, float, float], ...]
    """10th, 50th and 90th percentile, after each greedy pick, of the team's score on images that its picks did not see, in
    `metric`, over bootstraps of the images; empty if the rule does not pick one by one."""
    images: int
    """Number of validation images."""
    repetitions: int
    candidates: int
    """Checkpoints that each repetition selected from; see `repeat.MOST_CANDIDATES`."""
    chosen_again: tuple[float, ...]
    """Share of the repetitions that select each member of the team, too."""

    @property
    def accuracy(self) -> float:
        """Corrected accuracy of the team's vote."""
        return self.votes[self.vote].accuracy.value

    @property
    def ci95(self) -> tuple[float, float]:
        """The interval of `accuracy`."""
        return self.votes[self.vote].accuracy.ci95


def correct(
    pool: PredictionPool | Candidates,
    team: Team,
    config: EnsembleConfig,
    votes: Sequence[VoteMethod] = (),
    costs: Mapping[str, TrialCost] | None = None,
) -> Corrected | None:
    """The scores of `team`, the result of `select(pool, config, costs)`, corrected for selection bias.

    `votes` are voting methods to score beside `config.vote`. The same arguments give the same figures, bit for bit. None if
    `config.bootstraps` is 0, or if there are too few images to hold any back.
    """
    candidates = WholePool(pool) if isinstance(pool, PredictionPool) else pool
    labels = candidates.true_class.labels
    groups = candidates.true_class.groups
    rounds = draw_rounds(len(labels), config.correct, config.bootstraps, config.seed, groups)
    if not rounds:
        return None
    repeated, kept = repeat_selection(candidates, config, rounds, costs)
    again = [one for each in repeated for one in each]
    rows = np.arange(len(labels))
    # By log-loss and accuracy the true class suffices; any other metric has whole predictions in memory by now.
    whole = candidates.pool if isinstance(candidates, WholePool) else None
    ranked = rank_all(candidates.true_class, config.deciding_metric, whole)
    selected = Repetition(Part(rows, rows), team, tuple(ranked[: config.size]))
    used = {member for one in (*again, selected) for member in (*one.team.members, *one.team.picks, *one.best)}
    used_pool = candidates.read(used, "validation")
    share = SELECTED_SHARE[config.correct]
    tally = _Tally(used_pool, config.vote, votes, share, config.custom_keys)
    for one in again:
        tally.add(one)
    tally.add_selected(selected)
    resampler = Resampler(team.metric, labels, config.seed, groups)
    return Corrected(
        how=config.correct,
        metric=team.metric,
        selected=team.validation_score,
        score=resampler.estimate(_weigh(used_pool, repeated), team.validation_score, share),
        vote=config.vote,
        votes={method: tally.corrected_score(method) for method in tally.methods},
        baselines={
            "best": tally.corrected_score("best"),
            "top": tally.corrected_score("top"),
            "all": _describe_all(candidates),
        },
        gain=tally.correct_gain(),
        band=tuple(_band(used_pool, repeated, resampler)),
        images=len(labels),
        repetitions=len(again),
        candidates=kept,
        chosen_again=tuple(sum(member in one.team.members for one in again) / len(again) for member in team.members),
    )


class _Tally:
    """Scores of the teams of all repetitions on images that did not select them."""

    def __init__(
        self,
        pool: PredictionPool,
        method: VoteMethod,
        methods: Sequence[VoteMethod],
        selected_share: float,
        keys: Mapping[str, Any],
    ) -> None:
        self.methods: tuple[VoteMethod, ...] = tuple(dict.fromkeys((method, *methods)))
        self._pool = pool
        self._method = method
        self._share = selected_share
        self._keys = keys
        self._unseen, self._selected = self._ways(), self._ways()

    def _ways(self) -> dict[tuple[str, str], PerImage]:
        names = (*self.methods, "best", "top")
        keys = [(name, quantity) for name in names for quantity in ("right", "loss")]
        return {key: PerImage(len(self._pool.labels)) for key in (*keys, ("gain", "right"))}

    def add(self, one: Repetition) -> None:
        """Score the selection of one repetition."""
        self._score(one, self._unseen)

    def add_selected(self, one: Repetition) -> None:
        """Score the selection that used all images, on all of them."""
        self._score(one, self._selected)

    def _score(self, one: Repetition, ways: dict[tuple[str, str], PerImage]) -> None:
        rows = one.part.outside
        right = {method: self._add(ways, method, one, one.team, method) for method in self.methods}
        best = self._add(ways, "best", one, team_of_equals(one.best[:1]), "soft")
        self._add(ways, "top", one, team_of_equals(one.best), "soft")
        ways["gain", "right"].add(rows, right[self._method].astype(np.float64) - best)

    def corrected_score(self, name: str) -> CorrectedScore:
        """The corrected score of a vote, of `best` or of `top`."""
        right, loss = self._blend(name, "right"), self._blend(name, "loss")
        groups = self._groups(name, "right")
        return CorrectedScore(
            estimate_share(float(right.mean()), count_effective(right, groups)),
            estimate_mean(loss, least=0, groups=groups),
        )

    def correct_gain(self) -> Estimate:
        """The corrected gain of the configured vote over the best single checkpoint."""
        return estimate_mean(self._blend("gain", "right"), least=-1, groups=self._groups("gain", "right"))

    def _groups(self, name: str, quantity: str) -> npt.NDArray[np.int64] | None:
        """The groups of the images that any repetition has scored."""
        groups = self._pool.groups
        return None if groups is None else groups[self._unseen[name, quantity].scored]

    def _blend(self, name: str, quantity: str) -> npt.NDArray[np.float64]:
        return self._unseen[name, quantity].blend(self._selected[name, quantity], self._share)

    def _add(
        self, ways: dict[tuple[str, str], PerImage], name: str, one: Repetition, team: Team, method: VoteMethod
    ) -> npt.NDArray[np.bool_]:
        rows = one.part.outside
        # Votes that learn do so on the images that this repetition selects from.
        ballot = fit_voter(self._pool, team, method, one.part.inside, self._keys).vote(self._pool, rows)
        labels = self._pool.labels[rows]
        right: npt.NDArray[np.bool_] = ballot.predicted == labels
        ways[name, "right"].add(rows, right)
        ways[name, "loss"].add(rows, of_each_image("log_loss", ballot.probabilities, labels))
        return right


def _describe_all(pool: Candidates) -> CorrectedScore:
    """The score of the soft vote of all candidates: nothing is selected, so nothing is repeated."""
    probabilities, labels = pool.mean("validation").probabilities, pool.true_class.labels
    right, loss = (of_each_image(metric, probabilities, labels) for metric in ("accuracy", "log_loss"))
    groups = pool.true_class.groups
    return CorrectedScore(
        estimate_share(float(right.mean()), count_effective(right, groups)),
        estimate_mean(loss, least=0, groups=groups),
    )


def _weigh(pool: PredictionPool, repeated: Sequence[Sequence[Repetition]]) -> list[Voted]:
    """The weighted means of the teams of each round; a team's score is defined by its weighted mean."""
    return [
        _join([(one, _mean(pool, one.team.members, one.team.weights, one.part.outside)) for one in each])
        for each in repeated
    ]


def _band(
    pool: PredictionPool, repeated: Sequence[Sequence[Repetition]], resampler: Resampler
) -> Iterator[tuple[float, float, float]]:
    """The band after each pick, for as many picks as every repetition has."""
    totals = [[np.zeros((len(one.part.outside), len(pool.class_names))) for one in each] for each in repeated]
    for count in range(1, min(len(one.team.picks) for each in repeated for one in each) + 1):
        for each, sums in zip(repeated, totals, strict=True):
            for one, total in zip(each, sums, strict=True):
                total += pool.probabilities[pool.position(one.team.picks[count - 1])][one.part.outside]
        means = [
            _join([(one, total / count) for one, total in zip(each, sums, strict=True)])
            for each, sums in zip(repeated, totals, strict=True)
        ]
        low, middle, high = resampler.band(means, BAND)
        yield low, middle, high


def _mean(
    pool: PredictionPool, members: Sequence[CheckpointId], weights: Sequence[float], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    mean = np.zeros((len(rows), len(pool.class_names)))
    for member, weight in zip(members, weights, strict=True):
        mean += weight * pool.probabilities[pool.position(member)][rows].astype(np.float64)
    return mean


def _join(found: Sequence[tuple[Repetition, npt.NDArray[np.float64]]]) -> Voted:
    """The repetitions of one round, which score different images."""
    return Voted(np.concatenate([one.part.outside for one, _ in found]), np.concatenate([table for _, table in found]))
