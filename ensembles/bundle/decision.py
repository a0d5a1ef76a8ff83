"""How a deployed team combines its members' predictions: vote, calibration and cascade, all fitted on validation alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.bundle.cascade import Cascade, Shares, ask_in_turn, fit_cascade
from ensembles.calibration.calibrate import Calibrator, calibrate
from ensembles.config import Calibration, VoteMethod
from ensembles.evaluation.fitted_vote import prepare_vote
from ensembles.pool.pool import PredictionPool
from ensembles.team import Team
from ensembles.voting.vote import Voter


@dataclass(frozen=True, eq=False)
class Decision:
    """Vote, calibration and cascade of one team.

    cascade       None if there is one member
    found         figures of the cascade on validation, as `bundle.CascadeFound`
    accuracies    accuracy of each member alone, on validation
    """

    team: Team
    voter: Voter
    calibrator: Calibrator
    cascade: Cascade | None
    found: dict[str, float] | None
    accuracies: tuple[float, ...]


def decide(
    pool: PredictionPool,
    team: Team,
    method: VoteMethod,
    kind: Calibration,
    costs: Sequence[float],
    keys: Mapping[str, Any] | None = None,
) -> Decision:
    """The decision fitted to `team`, whose members are those of `pool` in its order; its split is validation.

    `costs` are those of the members' predictions, in any unit; if one is 0, which is unknown, all count the same. `keys` are those
    of plug-ins.
    """
    ready = prepare_vote(team, method, kind, pool, keys)
    voter, calibrator = ready.voter, ready.calibrator
    assert voter is not None
    cascade, found = None, None
    if len(team.members) > 1:
        costs = costs if min(costs) > 0 else [1.0] * len(costs)
        whole = vote_as_one(voter, calibrator, pool.probabilities, pool.class_names)
        cascade = fit_cascade(pool.probabilities, pool.labels, team.weights, costs, kind, whole, keys)
        found = measure_cascade(cascade, pool, costs, voter, calibrator)
    accuracies = tuple(float((one.argmax(1) == pool.labels).mean()) for one in pool.probabilities)
    return Decision(team, voter, calibrator, cascade, found, accuracies)


def vote_as_one(
    voter: Voter, calibrator: Calibrator, heard: npt.NDArray[np.float32], class_names: tuple[str, ...]
) -> tuple[Shares, npt.NDArray[np.int64]]:
    """Calibrated probabilities and classes, from the members' predictions: float32 (members, images, classes)."""
    labels = np.zeros(heard.shape[1], np.int64)  # unknown, and no vote reads them
    ballot = calibrate(voter.vote(PredictionPool("", "new", voter.members, heard, labels, class_names)), calibrator)
    return ballot.probabilities, ballot.predicted


def measure_cascade(
    cascade: Cascade, pool: PredictionPool, costs: Sequence[float], voter: Voter, calibrator: Calibrator
) -> dict[str, float]:
    """How many members a cascade needs on a pool, what that costs, and its accuracy there."""

    def whole(heard: npt.NDArray[np.float32]) -> tuple[Shares, npt.NDArray[np.int64]]:
        return vote_as_one(voter, calibrator, heard, pool.class_names)

    answers = ask_in_turn(
        cascade,
        lambda position, rows: pool.probabilities[position, rows],
        len(pool.labels),
        len(pool.class_names),
        whole,
    )
    spent = np.cumsum([costs[position] for position in cascade.order])
    return {
        "members_asked": float(answers.asked.mean()),
        "cost_share": float(spent[answers.asked - 1].mean() / spent[-1]),
        "accuracy": float((answers.predicted == pool.labels).mean()),
        "whole_accuracy": float((whole(pool.probabilities)[1] == pool.labels).mean()),
    }
