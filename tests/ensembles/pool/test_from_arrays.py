"""Selection, votes, calibration and corrected scores on arrays alone."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles.calibration.calibrate import fit_calibration
from ensembles.config import EnsembleConfig
from ensembles.pool.pool import PredictionPool
from ensembles.selection.select import select
from ensembles.selection_bias.corrected import correct
from ensembles.voting.vote import vote
from trainables.errors import MismatchedPredictions


def draw(members: int = 5, images: int = 200, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, images)
    logits = rng.normal(0, 1, (members, images, classes)) + 1.5 * np.eye(classes)[labels]
    shares = np.exp(logits)
    return shares / shares.sum(2, keepdims=True), labels


def test_arrays_are_selected_voted_calibrated_and_corrected() -> None:
    probabilities, labels = draw()
    pool = PredictionPool.from_arrays(probabilities, labels)
    config = EnsembleConfig(size=3, bootstraps=5)
    team = select(pool, config)
    assert set(team.members) <= set(pool.members)
    ballot = vote(pool, team, "soft")
    assert (ballot.predicted == labels).mean() > (probabilities[0].argmax(1) == labels).mean()
    calibrator = fit_calibration("temperature", ballot.probabilities, labels)
    np.testing.assert_allclose(calibrator.apply(ballot.probabilities).sum(1), 1)
    corrected = correct(pool, team, config)
    assert corrected is not None
    assert 0 < corrected.score.value < 2  # log-loss


def test_names_are_kept() -> None:
    probabilities, labels = draw(members=2)
    pool = PredictionPool.from_arrays(probabilities, labels, ["cat", "dog", "fox"], ["resnet", "vit"], "test")
    assert [member.trial_id for member in pool.members] == ["resnet", "vit"]
    assert (pool.class_names, pool.split) == (("cat", "dog", "fox"), "test")


@pytest.mark.parametrize(
    ("probabilities", "labels", "reason"),
    [
        ([[0.5, 0.5]], [0], "shape"),
        ([[[2.0, -1.0]]], [0], "add up to"),
        ([[[3.0, 1.0]]], [0], "give probabilities, not logits"),
        ([[[0.5, 0.5]]], [2], "outside the 2 classes"),
        ([[[0.5, 0.5]]], [0.0], "whole numbers"),
        ([[[float("nan"), 0.5]]], [0], "add up to"),
    ],
)
def test_what_is_no_prediction_is_refused(probabilities: object, labels: object, reason: str) -> None:
    with pytest.raises(MismatchedPredictions, match=reason):
        PredictionPool.from_arrays(probabilities, labels)  # type: ignore[arg-type]


def test_as_many_names_as_members_are_needed() -> None:
    probabilities, labels = draw(members=2)
    with pytest.raises(MismatchedPredictions, match="1 names for 2 members"):
        PredictionPool.from_arrays(probabilities, labels, members=["one"])
