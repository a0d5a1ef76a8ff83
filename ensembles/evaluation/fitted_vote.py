"""A vote with everything that it learns from validation, before test is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.calibration.calibrate import Calibrator, calibrate, cross_fit, fit_calibration
from ensembles.config import Calibration, VoteMethod
from ensembles.pool.pool import PredictionPool
from ensembles.team import Team
from ensembles.voting.vote import Ballot, Voter, fit_voter, is_fitted
from trainables.results.checkpoint import CheckpointId


@dataclass(frozen=True, eq=False)
class ReadyVote:
    """One way to predict.

    members       the checkpoints whose predictions it uses
    validation    its vote on the images that selected it
    calibrator    calibrates its probabilities
    voter         None for a mean of all candidates, which is computed while they are read
    """

    members: tuple[CheckpointId, ...]
    validation: Ballot
    calibrator: Calibrator
    voter: Voter | None = None

    def vote(self, pool: PredictionPool) -> Ballot:
        """The vote on another split. Raises `MismatchedPredictions` if a member has no predictions there."""
        assert self.voter is not None
        return self.decide(self.voter.vote(pool))

    def decide(self, ballot: Ballot) -> Ballot:
        """`ballot` with the classes that a bundle predicts: the likeliest after calibration, whose probabilities it gives.

        `vector` and `isotonic` may name another class than the vote alone; what is scored is what is shipped.
        """
        return replace(ballot, predicted=calibrate(ballot, self.calibrator).predicted)


def prepare_vote(
    team: Team,
    method: VoteMethod,
    calibration: Calibration,
    validation: PredictionPool,
    keys: Mapping[str, Any] | None = None,
) -> ReadyVote:
    """The vote of `team`, fitted on `validation`; `keys` are those of plug-ins. A vote that learns there is calibrated on its
    cross-fitted predictions, of images that it did not learn from. Raises `MismatchedPredictions` and `PluginUnusable`."""
    voter = fit_voter(validation, team, method, None, keys)
    ballot = voter.vote(validation)
    learned = is_fitted(method) and calibration != "none"
    unseen = cross_fit(validation, team, method, "none", keys=keys) if learned else ballot.probabilities
    return ReadyVote(team.members, ballot, fit_calibration(calibration, unseen, validation.labels, keys), voter)


def prepare_mean(
    members: tuple[CheckpointId, ...],
    mean: npt.NDArray[np.float64],
    calibration: Calibration,
    labels: npt.NDArray[np.int64],
    keys: Mapping[str, Any] | None = None,
) -> ReadyVote:
    """The soft vote of all `members`; `mean` is their mean on validation, float64 (images, classes)."""
    return ReadyVote(members, as_ballot(mean), fit_calibration(calibration, mean, labels, keys))


def as_ballot(mean: npt.NDArray[np.float64]) -> Ballot:
    """The vote that follows from a mean of probabilities."""
    return Ballot("soft", mean, mean.argmax(1))
