"""What a second stage with pseudo-labels gains, for the report: before and after, on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ensembles.config import VoteMethod
from ensembles.evaluation.comparison import Change, measure_change
from ensembles.pool.pool import PredictionPool
from ensembles.pseudo_labels.labelling import Labelling
from ensembles.team import Team
from ensembles.voting.vote import fit_voter
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord


@dataclass(frozen=True)
class Gain:
    """The gain of one way to predict."""

    label: str
    members_before: int
    members_after: int
    validation: Change
    """Change on the images that selected both: optimistic, and more so after, with more candidates to select from."""
    test: Change


@dataclass(frozen=True)
class TrialPair:
    """A trial, and the same configuration with the same seed that was trained with pseudo-labels too."""

    before: TrialRecord
    after: TrialRecord

    @property
    def difference(self) -> float | None:
        """Difference of the best validation accuracies; None before the second trial has an epoch."""
        best = self.before.best, self.after.best
        return best[1].validation_accuracy - best[0].validation_accuracy if best[0] and best[1] else None


@dataclass(frozen=True)
class PseudoLabelSummary:
    """Everything that a report shows on pseudo-labels; only `reason` if there was no second stage."""

    reason: str
    table: str = ""
    """Key of the labelled images in the store."""
    labelling: Labelling | None = None
    gains: tuple[Gain, ...] = ()
    pairs: tuple[TrialPair, ...] = ()


def measure_gain(
    label: str,
    before: Team,
    after: Team,
    method: VoteMethod,
    validation_pool: PredictionPool,
    test_pool: PredictionPool,
    keys: Mapping[str, Any] | None = None,
) -> Gain:
    """The gain of the vote of `after` over that of `before`. Both must have been selected on validation before. `keys` are those
    of plug-ins.

    Raises `MismatchedPredictions` if a pool lacks a member.
    """
    voters = [fit_voter(validation_pool, team, method, None, keys) for team in (before, after)]

    def change(pool: PredictionPool) -> Change:
        right_before, right_after = (voter.vote(pool).predicted == pool.labels for voter in voters)
        return measure_change(right_after, right_before, pool.groups)

    return Gain(label, len(before.members), len(after.members), change(validation_pool), change(test_pool))


def make_team(members: Sequence[CheckpointId], weights: Sequence[float] | None = None) -> Team:
    """A team from its recorded members and weights, or with equal weights; how it was selected is not recorded."""
    shares = tuple(weights or [1 / len(members)] * len(members))
    return Team(tuple(members), shares, "all", "accuracy", (), (), 0.0)
