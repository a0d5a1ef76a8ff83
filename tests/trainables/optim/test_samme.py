"""SAMME's arithmetic: by hand, and against scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier

from trainables.optim.samme import evaluate_round


def test_a_table_by_hand():
    # five images of three classes, weights .1 .1 .2 .2 .4; the second and the fourth are wrong: .3 of the weights
    weights = np.array([0.1, 0.1, 0.2, 0.2, 0.4])
    outcome = evaluate_round(weights, np.array([False, True, False, True, False]), 3)
    assert outcome.error == pytest.approx(0.3)
    assert outcome.weight == pytest.approx(math.log(7 / 3) + math.log(2))  # so e to it is 14 / 3
    raised = np.array([0.1, 0.1 * 14 / 3, 0.2, 0.2 * 14 / 3, 0.4])
    assert outcome.weights == pytest.approx(raised / 2.1)  # .1 + .2 + .4 + .3 x 14 / 3


def test_after_a_round_what_was_wrong_weighs_as_guessing_would_have_it():
    # what makes the round just lived through worthless: with its own new weights it is as wrong as guessing
    weights, wrong = np.full(10, 0.1), np.arange(10) < 3
    again = evaluate_round(evaluate_round(weights, wrong, 4).weights, wrong, 4)
    assert again.error == pytest.approx(1 - 1 / 4)
    assert again.weight == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("wrong", "sign"), [(6, 1), (8, 0), (9, -1)])
def test_a_round_earns_its_vote_by_being_better_than_guessing(wrong, sign):
    outcome = evaluate_round(np.full(10, 0.1), np.arange(10) < wrong, 5)  # guessing has 8 of 10 wrong
    assert (outcome.weight > 1e-9) - (outcome.weight < -1e-9) == sign


@pytest.mark.parametrize("wrong", [0, 10])
def test_a_round_without_or_with_nothing_but_errors_has_a_finite_vote_and_leaves_weights_as_they_are(wrong):
    outcome = evaluate_round(np.full(10, 0.1), np.arange(10) < wrong, 3)
    bounded = math.log(19) if wrong == 0 else -math.log(19)  # half an image of ten
    assert outcome.error == pytest.approx(wrong / 10)
    assert outcome.weight == pytest.approx(bounded + math.log(2))
    assert outcome.weights == pytest.approx(np.full(10, 0.1))


def test_rounds_are_evaluated_as_those_of_scikit_learn():
    images, labels = load_digits(return_X_y=True)
    theirs = AdaBoostClassifier(DecisionTreeClassifier(max_depth=3), n_estimators=6, random_state=0)
    theirs.fit(images, labels)
    weights = np.full(len(labels), 1 / len(labels))
    for tree, error, vote in zip(theirs.estimators_, theirs.estimator_errors_, theirs.estimator_weights_, strict=True):
        outcome = evaluate_round(weights, tree.predict(images) != labels, 10)
        assert outcome.error == pytest.approx(error)
        assert outcome.weight == pytest.approx(vote)
        weights = outcome.weights
    assert len(theirs.estimators_) == 6
