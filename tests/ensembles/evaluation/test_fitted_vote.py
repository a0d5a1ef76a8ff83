import numpy as np
import pytest

from ensembles.bundle.decision import vote_as_one
from ensembles.calibration.calibrate import cross_fit, fit_calibration
from ensembles.evaluation.fitted_vote import prepare_mean, prepare_vote
from ensembles.voting.vote import VOTES, vote
from tests.ensembles.samples import make_pool, make_team, member
from trainables.errors import MismatchedPredictions
from trainables.plugins.kinds import CALIBRATION


def pool(split, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, 60)
    shares = np.exp(rng.normal(size=(2, 60, 3)) + 2 * np.eye(3)[labels])
    return make_pool(shares / shares.sum(2, keepdims=True), labels, split)


VALIDATION, TEST = pool("validation"), pool("test", 1)


def test_a_vote_is_ready_before_test_is_there():
    ready = prepare_vote(make_team(0.5, 0.5), "soft", "temperature", VALIDATION)
    assert (ready.validation.predicted == vote(VALIDATION, make_team(0.5, 0.5), "soft").predicted).all()
    assert (ready.vote(TEST).probabilities == vote(TEST, make_team(0.5, 0.5), "soft").probabilities).all()
    assert ready.calibrator == fit_calibration("temperature", ready.validation.probabilities, VALIDATION.labels)
    assert ready.members == (member(0), member(1))


def test_a_vote_that_was_learned_is_calibrated_by_images_that_it_did_not_learn_from():
    team = make_team(0.5, 0.5)
    ready = prepare_vote(team, "stacked", "temperature", VALIDATION)
    unseen = cross_fit(VALIDATION, team, "stacked", "none")
    assert ready.calibrator == fit_calibration("temperature", unseen, VALIDATION.labels)
    assert ready.calibrator != fit_calibration("temperature", ready.validation.probabilities, VALIDATION.labels)


def test_the_mean_of_all_is_their_soft_vote():
    mean = VALIDATION.probabilities.astype(np.float64).mean(0)
    ready, soft = (
        prepare_mean(VALIDATION.members, mean, "vector", VALIDATION.labels),
        prepare_vote(make_team(0.5, 0.5), "soft", "vector", VALIDATION),
    )
    assert (ready.validation.predicted == soft.validation.predicted).all()
    assert ready.calibrator == soft.calibrator


def test_a_member_without_predictions_is_refused():
    with pytest.raises(MismatchedPredictions, match="has no predictions on validation"):
        prepare_vote(make_team(0.3, 0.3, 0.4), "soft", "none", VALIDATION)


@pytest.mark.parametrize("kind", CALIBRATION.names)
@pytest.mark.parametrize("method", VOTES)
def test_the_class_that_is_scored_is_the_class_that_a_bundle_predicts(method, kind):
    """A bundle names the likeliest class after calibration. `vector` and `isotonic` may move it."""
    team = make_team(0.5, 0.5)
    ready = prepare_vote(team, method, kind, VALIDATION)
    _, shipped = vote_as_one(ready.voter, ready.calibrator, TEST.probabilities, TEST.class_names)
    assert ready.vote(TEST).predicted.tolist() == shipped.tolist()
    assert ready.vote(TEST).probabilities.tolist() == ready.voter.vote(TEST).probabilities.tolist()


def test_a_calibration_that_moves_classes_moves_those_that_are_scored():
    """Of two classes 0 is always given 0.6 and right half of the time where 1 is given 0.4: vector scaling learns to say 1."""
    shares = np.tile([[0.6, 0.4]], (40, 1))[None]
    labels = np.array([1] * 30 + [0] * 10)
    ready = prepare_vote(make_team(1.0), "soft", "vector", make_pool(shares, labels))
    scored = ready.vote(make_pool(shares, labels, "test"))
    assert set(scored.predicted.tolist()) == {1}
    assert set(ready.voter.vote(make_pool(shares, labels, "test")).predicted.tolist()) == {0}
