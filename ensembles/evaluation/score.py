"""All scores of one way to predict: on validation as selected and corrected, and on test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.calibration.calibrate import calibrate
from ensembles.calibration.reliability import nll_at_best_temperature
from ensembles.evaluation.fitted_vote import ReadyVote
from ensembles.evaluation.metric_gain import measure_ballot
from ensembles.metrics.intervals import accuracy_interval
from ensembles.metrics.scores import accuracy, balanced_accuracy, brier, expected_calibration_error, log_loss, macro_f1
from ensembles.selection_bias.corrected import CorrectedScore
from ensembles.selection_bias.estimate import Estimate
from ensembles.voting.vote import Ballot
from trainables.metric import Metric
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialCost


@dataclass(frozen=True)
class PredictionCost:
    """What the prediction of one image costs; for a team, the sums over its members."""

    parameters: int
    flops: int
    latency_s: float
    """Latency of one member after the other, as measured where each was trained."""


@dataclass(frozen=True)
class Score:
    """The scores of one way to predict. Accuracies are shares of 1. None: an older version did not measure it."""

    members: int
    """Number of checkpoints whose predictions are combined."""
    validation_accuracy: float
    """Accuracy on the images that selected it: optimistic, and shown as such."""
    test_accuracy: float
    ci95: tuple[float, float]
    """Wilson's 95 % interval of `test_accuracy`."""
    test_nll: float
    """Mean negative log-likelihood on test in nats; see `metrics.log_loss`. For a hard vote, that of the shares of votes."""
    test_ece: float
    """Expected calibration error on test, in 15 bins, of the vote as it is."""
    validation_nll: float | None = None
    """Mean negative log-likelihood on the images that selected it."""
    corrected: Estimate | None = None
    """`validation_accuracy`, corrected for selection bias."""
    corrected_nll: Estimate | None = None
    """`validation_nll`, corrected for selection bias."""
    test_nll_best_temperature: float | None = None
    """NLL at the temperature that is best on test: likelihoods are compared by this, not by `test_nll` (Ashukha 2020)."""
    test_nll_calibrated: float | None = None
    """NLL after calibration, which was fitted on validation."""
    test_ece_calibrated: float | None = None
    test_accuracy_calibrated: float | None = None
    """Equal to `test_accuracy` after temperature scaling; other calibrations may change the predicted class."""
    test_brier: float | None = None
    test_brier_calibrated: float | None = None
    test_balanced_accuracy: float | None = None
    test_macro_f1: float | None = None
    validation_score: float | None = None
    """The metric that the sweep asks for, where that is not accuracy, on the images that selected it."""
    test_score: float | None = None
    """That metric on test, of the calibrated vote."""
    cost: PredictionCost | None = None
    """None if the cost of a member was not measured."""


def score_vote(
    ready: ReadyVote,
    validation_labels: npt.NDArray[np.int64],
    test: Ballot,
    test_labels: npt.NDArray[np.int64],
    corrected: CorrectedScore | None = None,
    costs: Mapping[str, TrialCost] | None = None,
    groups: npt.NDArray[np.int64] | None = None,
    metric: Metric = "accuracy",
) -> Score:
    """All scores of a vote whose ballot on the test images is `test`. `costs` are those of the members' trials, `groups` int64
    (images,) those of the test images, as whose evidence the interval counts. `metric` is what the sweep asks for."""
    predicted, probabilities = test.predicted, test.probabilities
    right, images = predicted == test_labels, np.arange(len(test_labels))
    calibrated = calibrate(test, ready.calibrator)
    is_other = metric != "accuracy"
    selected = calibrate(ready.validation, ready.calibrator) if is_other else ready.validation
    classes = probabilities.shape[1]
    return Score(
        members=len(ready.members),
        validation_accuracy=accuracy(ready.validation.predicted, validation_labels),
        test_accuracy=accuracy(predicted, test_labels),
        ci95=accuracy_interval(right, groups),
        test_nll=log_loss(probabilities, test_labels),
        test_ece=expected_calibration_error(probabilities[images, predicted], right),
        validation_nll=log_loss(ready.validation.probabilities, validation_labels),
        corrected=corrected.accuracy if corrected else None,
        corrected_nll=corrected.log_loss if corrected else None,
        test_nll_best_temperature=nll_at_best_temperature(probabilities, test_labels)[0],
        test_nll_calibrated=log_loss(calibrated.probabilities, test_labels),
        test_ece_calibrated=expected_calibration_error(
            calibrated.probabilities[images, calibrated.predicted], calibrated.predicted == test_labels
        ),
        test_accuracy_calibrated=accuracy(calibrated.predicted, test_labels),
        test_brier=brier(probabilities, test_labels),
        test_brier_calibrated=brier(calibrated.probabilities, test_labels),
        test_balanced_accuracy=balanced_accuracy(predicted, test_labels, classes),
        test_macro_f1=macro_f1(predicted, test_labels, classes),
        validation_score=measure_ballot(metric, selected, validation_labels) if is_other else None,
        test_score=measure_ballot(metric, calibrated, test_labels) if is_other else None,
        cost=sum_costs(ready.members, costs or {}),
    )


def sum_costs(members: Iterable[CheckpointId], costs: Mapping[str, TrialCost]) -> PredictionCost | None:
    """What a prediction by all `members` costs; None if the cost of one of them is not known."""
    found = [costs.get(member.trial_id) for member in members]
    known = [cost for cost in found if cost is not None]
    if len(known) < len(found):
        return None
    return PredictionCost(
        parameters=sum(cost.parameters for cost in known),
        flops=sum(cost.flops for cost in known),
        latency_s=sum(cost.latency_s for cost in known),
    )


def read_score(payload: dict[str, Any]) -> Score:
    """The inverse of `dataclasses.asdict`. Raises `TypeError`, `KeyError` or `ValueError` if `payload` is no score."""
    read = dict(payload) | {"ci95": _pair(payload["ci95"])}
    for key in ("corrected", "corrected_nll"):
        read[key] = read_estimate(payload.get(key))
    read["cost"] = PredictionCost(**payload["cost"]) if payload.get("cost") else None
    return Score(**read)


def read_estimate(payload: dict[str, Any] | None) -> Estimate | None:
    """The inverse of `dataclasses.asdict`; None stays None."""
    return Estimate(payload["value"], _pair(payload["ci95"])) if payload else None


def _pair(ends: Any) -> tuple[float, float]:
    low, high = ends
    return low, high
