"""What the team is worth: the one place where predictions on test are scored, after everything has been chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ensembles.choice import Choice
from ensembles.config import EnsembleConfig, VoteMethod
from ensembles.metrics import (
    accuracy,
    expected_calibration_error,
    log_loss,
    mcnemar_p,
    paired_bootstrap,
    wilson_interval,
)
from ensembles.pool import PredictionPool
from ensembles.select import rank_members
from ensembles.vote import VOTES, Ballot, vote
from trainables.checkpoint import CheckpointId
from trainables.errors import DamagedObject, MismatchedPredictions

BOOTSTRAP_SEED = 0
"""The same predictions give the same verdict, bit for bit."""


@dataclass(frozen=True)
class Score:
    """What one way to predict is worth. Accuracies are shares of 1."""

    members: int
    """Checkpoints behind it."""
    validation_accuracy: float
    """On the images that it was chosen on: flattering, and shown as such."""
    test_accuracy: float
    ci95: tuple[float, float]
    """Wilson's 95 % interval of `test_accuracy`."""
    test_nll: float
    """Mean negative log-likelihood on test in nats; see `metrics.log_loss`. Of a hard vote, that of shares of voices."""
    test_ece: float
    """Expected calibration error on test, in 15 bins."""


@dataclass(frozen=True)
class Verdict:
    """Whether the team is worth shipping, with everything that says so. Gains are shares of 1, of test images."""

    vote: VoteMethod
    """How the team votes; the other ways are there for comparison."""
    votes: dict[VoteMethod, Score]
    """The team, by every way of voting."""
    best_member: CheckpointId
    best: Score
    """The best single checkpoint."""
    baselines: dict[str, Score]
    """`top`: soft vote of the `ensemble.size` best by validation accuracy, or of as many as there are; `all`: of all."""
    validation_images: int
    test_images: int
    gain: float
    """Test accuracy of the team's vote less that of the best single."""
    gain_ci95: tuple[float, float]
    """Its interval by paired bootstrap."""
    mcnemar_p: float
    """Exact p of McNemar's test that both are right equally often."""
    fixed: int
    """Test images on which the vote is right and the best single wrong."""
    broken: int
    """Test images on which the vote is wrong and the best single right."""
    ship: bool
    """Whether `gain_ci95` lies above zero."""
    headline: str
    """What to ship."""
    sentence: str
    """The verdict in plain English: the headline, a colon, and why."""


def evaluate(
    choice: Choice,
    config: EnsembleConfig,
    validation_pool: PredictionPool,
    test_pool: PredictionPool,
    best: CheckpointId,
) -> Verdict:
    """The verdict on the team of `choice`, voting as `config.vote` says, against the checkpoint `best`.

    Both must have been chosen on validation. The baselines vote with those members that both pools have. Raises
    `MismatchedPredictions` where the pools are not validation and test of the same data, or lack a member of the team.
    """
    if (validation_pool.split, test_pool.split) != ("validation", "test"):
        raise MismatchedPredictions(
            f"a verdict needs pools of validation and test, not of {validation_pool.split} and {test_pool.split}"
        )
    if validation_pool.data_id != test_pool.data_id:
        raise MismatchedPredictions(
            f"validation is of data {validation_pool.data_id}, but test of {test_pool.data_id}: read both for one run"
        )
    tested = set(test_pool.members)
    ranked = [validation_pool.members[position] for position in rank_members(validation_pool)]
    everyone = [member for member in ranked if member in tested]

    def judge(team: Choice, method: VoteMethod) -> tuple[Score, Ballot]:
        ballot = vote(test_pool, team, method)
        return _score(team, vote(validation_pool, team, method), ballot, validation_pool, test_pool), ballot

    votes = {method: judge(choice, method) for method in VOTES}
    score, ballot = votes[config.vote]
    best_score, best_ballot = judge(_equals([best]), "soft")
    right = ballot.predicted == test_pool.labels
    best_right = best_ballot.predicted == test_pool.labels
    gain_ci95 = paired_bootstrap(right, best_right, BOOTSTRAP_SEED)
    p = mcnemar_p(right, best_right)
    headline, why = _tell(config.vote, score, best_score, gain_ci95, p, len(right), choice.members == (best,))
    return Verdict(
        vote=config.vote,
        votes={method: found for method, (found, _) in votes.items()},
        best_member=best,
        best=best_score,
        baselines={
            "top": judge(_equals(everyone[: config.size]), "soft")[0],
            "all": judge(_equals(everyone), "soft")[0],
        },
        validation_images=len(validation_pool.labels),
        test_images=len(test_pool.labels),
        gain=float(np.mean(right) - np.mean(best_right)),
        gain_ci95=gain_ci95,
        mcnemar_p=p,
        fixed=int(np.count_nonzero(right & ~best_right)),
        broken=int(np.count_nonzero(best_right & ~right)),
        ship=gain_ci95[0] > 0,
        headline=headline,
        sentence=f"{headline}: {why}",
    )


def _equals(members: Sequence[CheckpointId]) -> Choice:
    """A team of equals, for comparison."""
    return Choice(tuple(members), (1 / len(members),) * len(members), "all", "accuracy", (), (), 0.0)


def _score(
    team: Choice, on_validation: Ballot, on_test: Ballot, validation_pool: PredictionPool, test_pool: PredictionPool
) -> Score:
    labels = test_pool.labels
    right = on_test.predicted == labels
    confidence = on_test.probabilities[np.arange(len(labels)), on_test.predicted]
    return Score(
        members=len(team.members),
        validation_accuracy=accuracy(on_validation.predicted, validation_pool.labels),
        test_accuracy=accuracy(on_test.predicted, labels),
        ci95=wilson_interval(int(np.count_nonzero(right)), len(labels)),
        test_nll=log_loss(on_test.probabilities, labels),
        test_ece=expected_calibration_error(confidence, right),
    )


def _tell(
    method: VoteMethod, score: Score, best: Score, interval: tuple[float, float], p: float, images: int, alone: bool
) -> tuple[str, str]:
    """What to ship, and why."""
    keep, seen = "Ship the best single checkpoint", f"of {images:,} test images"
    if alone:
        return keep, f"the team is this checkpoint alone, right on {best.test_accuracy:.2%} {seen}."
    what, team = "Ship the ensemble", f"the {method} vote of {score.members}"
    if score.members == 1:  # greedy found no second voice, and by log-loss it may start from another than the best
        what, team = "Ship the team's checkpoint", "the one checkpoint of the team"
    gain = 100 * (score.test_accuracy - best.test_accuracy)
    low, high = 100 * interval[0], 100 * interval[1]
    shown = f"95 % interval {low:+.2f} to {high:+.2f}, McNemar p {_show_p(p)}"
    right = f"{team} is right on {score.test_accuracy:.2%} {seen}"
    if low > 0:
        return what, f"{right}, {gain:.2f} points more than the best single checkpoint ({shown})."
    if high < 0:
        return keep, f"{right}, {-gain:.2f} points less ({shown})."
    return keep, f"{right}, a difference of {gain:+.2f} points ({shown}) that these images cannot tell from none."


def _show_p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def to_json(verdict: Verdict, choice: Choice) -> dict[str, object]:
    """Both as one JSON object. Members are written as `{"trial_id": …, "epoch": …}`."""
    return {"choice": asdict(choice), "verdict": asdict(verdict)}


def from_json(told: dict[str, Any]) -> tuple[Verdict, Choice]:
    """The inverse of `to_json`; other keys beside these two are passed over. Raises `DamagedObject`."""
    try:
        choice, verdict = dict(told["choice"]), dict(told["verdict"])
        for key in ("members", "picks"):
            choice[key] = tuple(CheckpointId(**member) for member in choice[key])
        for key in ("weights", "path"):
            choice[key] = tuple(choice[key])
        verdict["best_member"] = CheckpointId(**verdict["best_member"])
        verdict["best"] = _read_score(verdict["best"])
        for key in ("votes", "baselines"):
            verdict[key] = {how: _read_score(score) for how, score in verdict[key].items()}
        verdict["gain_ci95"] = tuple(verdict["gain_ci95"])
        return Verdict(**verdict), Choice(**choice)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedObject(
            f"the stored ensemble is not readable ({type(error).__name__}: {error}): write it again with `caucus report`"
        ) from None


def _read_score(told: dict[str, Any]) -> Score:
    return Score(**told | {"ci95": tuple(told["ci95"])})
