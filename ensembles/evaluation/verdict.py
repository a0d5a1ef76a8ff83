"""The verdict on the team: the one place where predictions on test are scored, after every choice is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.calibration.calibrate import calibrate
from ensembles.config import Calibration, EnsembleConfig, VoteMethod
from ensembles.evaluation.fitted_vote import ReadyVote, as_ballot, prepare_mean, prepare_vote
from ensembles.evaluation.metric_verdict import MetricVerdict, read_metric_verdict
from ensembles.evaluation.never_predicted import (
    NeverPredicted,
    describe_never_predicted,
    find_never_predicted,
    read_never_predicted,
)
from ensembles.evaluation.score import Score, read_estimate, read_score, score_vote
from ensembles.evaluation.sentences import beats, describe_correction, describe_cost, describe_recommendation
from ensembles.metrics.intervals import BOOTSTRAP_SEED, mcnemar_p, paired_bootstrap
from ensembles.pool.pool import PredictionPool
from ensembles.selection.select import rank_members
from ensembles.selection_bias.corrected import Corrected, CorrectedScore
from ensembles.selection_bias.estimate import Estimate
from ensembles.team import Team, team_of_equals
from ensembles.voting.vote import VOTES, Ballot, vote
from trainables.data.floor import Floor, MetricFloor
from trainables.errors import DamagedObject, MismatchedPredictions
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialCost


@dataclass(frozen=True)
class Verdict:
    """Whether the team is worth shipping, with all evidence for that. Gains are shares of 1, of test images."""

    vote: VoteMethod
    """How the team votes; the other methods are there for comparison."""
    votes: dict[VoteMethod, Score]
    """The team's score by every built-in voting method, and by the configured one."""
    best_member: CheckpointId
    best: Score
    """Score of the best single checkpoint."""
    baselines: dict[str, Score]
    """`top`: soft vote of the `ensemble.size` best by validation accuracy, or of as many as there are; `all`: soft vote of all
    candidates that have predictions on both splits."""
    validation_images: int
    test_images: int
    gain: float
    """Test accuracy of the team's vote less that of the best single; what decides is in `in_metric`, if there is one."""
    gain_ci95: tuple[float, float]
    """Interval of `gain` by paired bootstrap."""
    mcnemar_p: float
    """Exact p of McNemar's test that both are right equally often."""
    fixed: int
    """Test images on which the vote is right and the best single wrong."""
    broken: int
    """Test images on which the vote is wrong and the best single right."""
    ship: bool
    """Whether `gain_ci95` lies above zero, and the team above `floor`; both by the metric that the sweep asks for."""
    headline: str
    """What to ship."""
    sentence: str
    """The verdict in plain English: the headline, a colon, and the reason."""
    corrected_gain: Estimate | None = None
    """`gain` on validation, where both are selected on other images than they are scored on."""
    calibration: Calibration = "none"
    """How the probabilities of every vote were calibrated, on validation."""
    floor: Floor | None = None
    """What anybody gets on test without a net; None where the data's record does not say."""
    in_metric: MetricVerdict | None = None
    """The verdict by the metric that the sweep asks for, which then decides `ship`; None where that is accuracy."""
    never_predicted: tuple[NeverPredicted, ...] = ()
    """Classes with images on validation or test that the team's vote names there for no image."""
    best_never_predicted: tuple[NeverPredicted, ...] = ()
    """The same for the best single checkpoint."""

    @property
    def blind_spots(self) -> tuple[str, ...]:
        """A line for the team and one for the best single checkpoint on the classes that it never predicts; one where both are alike."""
        team = describe_never_predicted(self.never_predicted)
        if self.best_never_predicted == self.never_predicted:
            return (team,) if team else ()
        best = describe_never_predicted(self.best_never_predicted, "the best single checkpoint")
        team = describe_never_predicted(
            self.never_predicted, f"the {self.vote} vote of {self.votes[self.vote].members}"
        )
        return tuple(filter(None, (team, best)))

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict in at most three sentences: what to ship and why; the corrected validation score; the cost."""
        score = self.votes[self.vote]
        correction = self.in_metric.describe_correction() if self.in_metric else describe_correction(score)
        candidates = (self.sentence, correction, describe_cost(score, self.best))
        return tuple(sentence for sentence in candidates if sentence)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything that is scored on test, selected and fitted on validation.

    labels      int64 (images,), labels of validation
    votes       the team, by every built-in voting method and by the configured one
    best        the best single checkpoint
    top         the soft vote of the best alone
    everyone    the soft vote of all candidates
    """

    team: Team
    config: EnsembleConfig
    labels: npt.NDArray[np.int64]
    votes: Mapping[VoteMethod, ReadyVote]
    best: ReadyVote
    top: ReadyVote
    everyone: ReadyVote
    corrected: Corrected | None
    costs: Mapping[str, TrialCost]
    floor: Floor | None = None
    metric_floor: MetricFloor | None = None


def prepare(
    team: Team,
    config: EnsembleConfig,
    validation: PredictionPool,
    ranked: Sequence[CheckpointId],
    mean: npt.NDArray[np.float64],
    corrected: Corrected | None = None,
    costs: Mapping[str, TrialCost] | None = None,
    floor: Floor | None = None,
    metric_floor: MetricFloor | None = None,
) -> Prepared:
    """What is to be scored beside `team`: the first of `ranked`, the first `config.size`, and all.

    `ranked` are the candidates, best first, and `mean` is their mean on validation, float64 (images, classes). `validation`
    holds the team and the first of the candidates; the others are not needed. `corrected` is the result of `correct` for the
    team, `costs` what the trials' nets cost, `floor` what anybody gets on test without a net, and `metric_floor` the same by the
    metric that the sweep asks for, if that is not accuracy. Raises `MismatchedPredictions`.
    """
    calibrate, keys = config.calibrate, config.custom_keys
    methods = dict.fromkeys((*VOTES, config.vote))
    return Prepared(
        team=team,
        config=config,
        labels=validation.labels,
        votes={method: prepare_vote(team, method, calibrate, validation, keys) for method in methods},
        best=prepare_vote(team_of_equals(ranked[:1]), "soft", calibrate, validation, keys),
        top=prepare_vote(team_of_equals(ranked[: config.size]), "soft", calibrate, validation, keys),
        everyone=prepare_mean(tuple(ranked), mean, calibrate, validation.labels, keys),
        corrected=corrected,
        costs=costs or {},
        floor=floor,
        metric_floor=metric_floor,
    )


def evaluate_prepared(prepared: Prepared, test: PredictionPool, mean: npt.NDArray[np.float64]) -> Verdict:
    """The verdict on `prepared`; `mean` is the mean of all candidates on test, float64 (images, classes).

    Raises `MismatchedPredictions` if `test` lacks a member.
    """
    config, corrected, metric = prepared.config, prepared.corrected, prepared.config.deciding_metric
    singles = corrected.baselines if corrected else {}

    def score(ready: ReadyVote, ballot: Ballot, found: CorrectedScore | None) -> Score:
        return score_vote(ready, prepared.labels, ballot, test.labels, found, prepared.costs, test.groups, metric)

    def find_missed(ready: ReadyVote, ballot: Ballot) -> tuple[NeverPredicted, ...]:
        on_validation = prepared.labels, ready.decide(ready.validation).predicted
        return find_never_predicted(test.class_names, on_validation, (test.labels, ballot.predicted))

    ballots = {method: ready.vote(test) for method, ready in prepared.votes.items()}
    votes = {
        method: score(ready, ballots[method], corrected.votes.get(method) if corrected else None)
        for method, ready in prepared.votes.items()
    }
    best_ballot = prepared.best.vote(test)
    best = score(prepared.best, best_ballot, singles.get("best"))
    right, best_right = ballots[config.vote].predicted == test.labels, best_ballot.predicted == test.labels
    gain_ci95 = paired_bootstrap(right, best_right, BOOTSTRAP_SEED, groups=test.groups)
    p = mcnemar_p(right, best_right, test.groups)
    is_best = prepared.team.members == prepared.best.members
    in_metric = None
    if metric == "accuracy":
        ship = gain_ci95[0] > 0 and beats(votes[config.vote], prepared.floor)
        headline, why = describe_recommendation(
            config.vote, votes[config.vote], best, gain_ci95, p, len(right), is_best, prepared.floor
        )
    else:
        shown = [
            calibrate(ballot, ready.calibrator)
            for ballot, ready in ((ballots[config.vote], prepared.votes[config.vote]), (best_ballot, prepared.best))
        ]
        in_metric = MetricVerdict.of(
            metric, shown[0], shown[1], test.labels, test.groups, prepared.metric_floor, corrected
        )
        headline, why = in_metric.recommend(config.vote, votes[config.vote].members, len(right), is_best)
        ship = in_metric.ship
    return Verdict(
        vote=config.vote,
        votes=votes,
        best_member=prepared.best.members[0],
        best=best,
        baselines={
            "top": score(prepared.top, prepared.top.vote(test), singles.get("top")),
            "all": score(prepared.everyone, prepared.everyone.decide(as_ballot(mean)), singles.get("all")),
        },
        validation_images=len(prepared.labels),
        test_images=len(test.labels),
        gain=float(np.mean(right) - np.mean(best_right)),
        gain_ci95=gain_ci95,
        mcnemar_p=p,
        fixed=int(np.count_nonzero(right & ~best_right)),
        broken=int(np.count_nonzero(best_right & ~right)),
        ship=ship,
        headline=headline,
        sentence=f"{headline}: {why}",
        corrected_gain=corrected.gain if corrected else None,
        calibration=config.calibrate,
        floor=prepared.floor,
        in_metric=in_metric,
        never_predicted=find_missed(prepared.votes[config.vote], ballots[config.vote]),
        best_never_predicted=find_missed(prepared.best, best_ballot),
    )


def evaluate(
    team: Team,
    config: EnsembleConfig,
    validation_pool: PredictionPool,
    test_pool: PredictionPool,
    best: CheckpointId,
    corrected: Corrected | None = None,
    costs: Mapping[str, TrialCost] | None = None,
) -> Verdict:
    """The verdict on `team`, voting by `config.vote`, against the checkpoint `best`, from whole pools.

    Both must have been selected on validation. The baselines vote with those members that both pools have. Raises
    `MismatchedPredictions` if the pools are not validation and test of the same data, or lack a member of the team.
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
    order = [validation_pool.members[position] for position in rank_members(validation_pool, config.deciding_metric)]
    ranked = [best, *(member for member in order if member in tested and member != best)]
    means = [vote(pool, team_of_equals(ranked), "soft").probabilities for pool in (validation_pool, test_pool)]
    return evaluate_prepared(
        prepare(team, config, validation_pool, ranked, means[0], corrected, costs), test_pool, means[1]
    )


def to_json(verdict: Verdict, team: Team) -> dict[str, object]:
    """Verdict and team as one JSON object. Members are written as `{"trial_id": …, "epoch": …}`."""
    return {"choice": asdict(team), "verdict": asdict(verdict)}


def from_json(payload: dict[str, Any]) -> tuple[Verdict, Team]:
    """The inverse of `to_json`; other keys beside these two are ignored. Raises `DamagedObject`."""
    try:
        choice, verdict = dict(payload["choice"]), dict(payload["verdict"])
        for key in ("members", "picks"):
            choice[key] = tuple(CheckpointId(**member) for member in choice[key])
        for key in ("weights", "path"):
            choice[key] = tuple(choice[key])
        verdict["best_member"] = CheckpointId(**verdict["best_member"])
        verdict["best"] = read_score(verdict["best"])
        verdict["corrected_gain"] = read_estimate(verdict.get("corrected_gain"))
        for key in ("votes", "baselines"):
            verdict[key] = {how: read_score(score) for how, score in verdict[key].items()}
        verdict["gain_ci95"] = tuple(verdict["gain_ci95"])
        verdict["in_metric"] = read_metric_verdict(verdict.get("in_metric"))
        for key in ("never_predicted", "best_never_predicted"):
            verdict[key] = read_never_predicted(verdict.get(key))
        verdict["floor"] = Floor(**verdict["floor"]) if verdict.get("floor") else None
        return Verdict(**verdict), Team(**choice)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedObject(
            f"the stored ensemble is not readable ({type(error).__name__}: {error}): write it again with `caucus report`"
        ) from None
