"""A cascade asks no more members than it takes, and costs no accuracy on the images that it was fitted on."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensembles.bundle.cascade import (
    NEVER,
    TOLERANCE,
    Cascade,
    Shares,
    ask_in_turn,
    average,
    fit_cascade,
    orders,
    read_cascade,
)
from ensembles.calibration.uncalibrated import Uncalibrated


def mean_of(heard: npt.NDArray[np.float32]) -> tuple[Shares, npt.NDArray[np.int64]]:
    mean = heard.astype(np.float64).mean(0)
    return mean, mean.argmax(1)


def run(cascade: Cascade, heard: npt.NDArray[np.float32]) -> tuple[object, list[tuple[int, list[int]]]]:
    """The answers, and who was asked about which images."""
    asked = []

    def ask(position: int, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        asked.append((position, rows.tolist()))
        return heard[position, rows]

    return ask_in_turn(cascade, ask, heard.shape[1], heard.shape[2], mean_of), asked


HEARD = np.array(
    [
        # sure at once; not sure, then agreed; disagreed, then all; sure but wrong
        [[0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.1, 0.9]],
        [[0.2, 0.8], [0.9, 0.1], [0.1, 0.9], [0.8, 0.2]],
        [[0.3, 0.7], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]],
    ],
    np.float32,
)


def test_members_asked_and_answers_match_those_by_hand() -> None:
    cascade = Cascade((0, 1, 2), (0.5, 0.25, 0.25), (Uncalibrated(), Uncalibrated()), 0.65)
    answers, asked = run(cascade, HEARD)
    assert asked == [(0, [0, 1, 2, 3]), (1, [1, 2]), (2, [2])]
    assert answers.asked.tolist() == [1, 2, 3, 1]
    assert answers.predicted.tolist() == [0, 0, 1, 1]
    # Of image 1 (2 * 0.6 + 0.9) / 3; of image 2 the whole vote, a mean of all three: 1.7 / 3 for the second class.
    assert np.allclose(answers.probabilities, [[0.9, 0.1], [0.7, 0.3], [1.3 / 3, 1.7 / 3], [0.1, 0.9]], atol=1e-6)
    assert np.allclose(answers.agreement, [1, 1, 1 / 3, 1])


def test_members_that_disagree_are_never_enough_however_sure_they_are() -> None:
    heard = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 0.0]]], np.float32)
    cascade = Cascade((0, 1, 2), (0.98, 0.01, 0.01), (Uncalibrated(), Uncalibrated()), 0.5)
    assert run(cascade, heard)[0].asked.tolist() == [1]
    never_first = Cascade((2, 1, 0), (0.98, 0.01, 0.01), (Hidden(), Uncalibrated()), 0.5)
    assert run(never_first, heard)[0].asked.tolist() == [3]


class Hidden(Uncalibrated):
    """Nobody is ever sure."""

    def apply(self, probabilities: npt.NDArray[np.floating]) -> Shares:
        return np.full(probabilities.shape, 1 / probabilities.shape[1])


def test_a_threshold_of_never_asks_everybody_and_says_what_the_whole_vote_says() -> None:
    cascade = Cascade((1, 2, 0), (0.5, 0.25, 0.25), (Uncalibrated(), Uncalibrated()), NEVER)
    answers, _ = run(cascade, HEARD)
    whole, predicted = mean_of(HEARD)
    assert answers.asked.tolist() == [3, 3, 3, 3]
    assert np.array_equal(answers.probabilities, whole)
    assert np.array_equal(answers.predicted, predicted)


def test_the_average_is_by_the_weights_of_those_asked() -> None:
    assert np.allclose(
        average(HEARD, [0, 2], (0.5, 0.25, 0.25))[1], [(0.5 * 0.6 + 0.25 * 0.2) / 0.75, (0.2 + 0.2) / 0.75]
    )


def test_orders_are_by_accuracy_weight_and_cost() -> None:
    labels = np.array([0, 0, 0, 0])  # accuracies 3/4, 2/4, 2/4
    assert orders(HEARD, labels, (0.2, 0.3, 0.5), (10.0, 1.0, 2.0)) == [(0, 1, 2), (2, 1, 0), (1, 2, 0)]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), members=st.integers(2, 5), images=st.integers(1, 200))
def test_on_validation_it_is_within_the_tolerance_and_never_dearer_than_all(
    seed: int, members: int, images: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, images)
    shares = np.exp(rng.normal(size=(members, images, 4)) + 2 * np.eye(4)[labels])
    heard = (shares / shares.sum(2, keepdims=True)).astype(np.float32)
    costs = rng.uniform(1, 10, members).tolist()
    whole = mean_of(heard)
    cascade = fit_cascade(heard, labels, (1 / members,) * members, costs, "temperature", whole)
    answers, _ = run(cascade, heard)
    assert (answers.predicted == labels).mean() >= (whole[1] == labels).mean() - TOLERANCE - 1e-9
    spent = np.cumsum([costs[position] for position in cascade.order])
    assert spent[answers.asked - 1].mean() <= spent[-1]


def test_easy_images_leave_early() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    shares = np.exp(rng.normal(size=(4, 600, 3)) + 5 * np.eye(3)[labels])
    heard = (shares / shares.sum(2, keepdims=True)).astype(np.float32)
    cascade = fit_cascade(heard, labels, (0.25,) * 4, (1.0,) * 4, "temperature", mean_of(heard))
    assert run(cascade, heard)[0].asked.mean() < 1.5


def test_a_cascade_is_read_back_from_its_dict() -> None:
    cascade = fit_cascade(
        HEARD, np.array([0, 0, 1, 1]), (0.5, 0.25, 0.25), (1.0, 2.0, 3.0), "temperature", mean_of(HEARD)
    )
    read = read_cascade(json.loads(json.dumps(cascade.to_dict())))
    assert read.to_dict() == cascade.to_dict()
    assert np.array_equal(run(read, HEARD)[0].probabilities, run(cascade, HEARD)[0].probabilities)


@pytest.mark.parametrize("order", [(0, 1), (0, 0, 1), (1, 2, 3)])
def test_an_order_that_is_none_of_the_team_is_refused(order: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cascade of 3 members"):
        Cascade(order, (0.5, 0.25, 0.25), (Uncalibrated(), Uncalibrated()), 0.9)
