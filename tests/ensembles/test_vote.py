"""Every vote against tables made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensembles.choice import Choice
from ensembles.vote import VOTES, vote
from tests.ensembles.samples import make_choice, make_pool, member
from trainables.errors import MismatchedPredictions

# Three members, four images, three classes. By image: all agree; two against one sure one; three voices for three
# classes; a tie of two voices each is in EVEN below.
TABLE = [
    [[0.75, 0.25, 0.00], [0.50, 0.25, 0.25], [0.50, 0.25, 0.25], [0.00, 0.50, 0.50]],
    [[0.50, 0.25, 0.25], [0.50, 0.25, 0.25], [0.00, 0.75, 0.25], [0.25, 0.50, 0.25]],
    [[0.50, 0.25, 0.25], [0.00, 0.00, 1.00], [0.25, 0.25, 0.50], [0.50, 0.25, 0.25]],
]
LABELS = [0, 2, 1, 1]


def test_a_hard_vote_counts_voices() -> None:
    ballot = vote(make_pool(TABLE, LABELS), make_choice(0.25, 0.25, 0.5), "hard")
    thirds = np.array([[3, 0, 0], [2, 0, 1], [1, 1, 1], [1, 2, 0]]) / 3
    np.testing.assert_array_equal(ballot.probabilities, thirds)
    assert ballot.predicted.tolist() == [0, 0, 1, 1]
    assert ballot.predicted.dtype == np.int64


def test_a_soft_vote_is_the_mean_whatever_the_weights() -> None:
    ballot = vote(make_pool(TABLE, LABELS), make_choice(0.5, 0.25, 0.25), "soft")
    twelfths = [[7, 3, 2], [4, 2, 6], [3, 5, 4], [3, 5, 4]]
    np.testing.assert_allclose(ballot.probabilities, np.array(twelfths) / 12, rtol=1e-15)
    assert ballot.probabilities.dtype == np.float64
    assert ballot.predicted.tolist() == [0, 2, 1, 1]


def test_a_weighted_vote_is_the_weighted_mean() -> None:
    ballot = vote(make_pool(TABLE, LABELS), make_choice(0.5, 0.25, 0.25), "weighted")
    sixteenths = [[10, 4, 2], [6, 3, 7], [5, 6, 5], [3, 7, 6]]
    np.testing.assert_array_equal(ballot.probabilities, np.array(sixteenths) / 16)
    assert ballot.predicted.tolist() == [0, 2, 1, 1]


def test_the_votes_differ_where_one_member_is_sure() -> None:
    pool, team = make_pool(TABLE, LABELS), make_choice(0.4, 0.4, 0.2)
    assert [vote(pool, team, method).predicted[1] for method in VOTES] == [0, 2, 0]


EVEN = [[[0.6, 0.4, 0.0]], [[0.3, 0.7, 0.0]]]


def test_a_tie_goes_to_the_class_with_the_higher_mean_probability() -> None:
    assert vote(make_pool(EVEN, [0]), make_choice(0.5, 0.5), "hard").predicted.tolist() == [1]
    assert vote(make_pool(EVEN[::-1], [0]), make_choice(0.9, 0.1), "hard").predicted.tolist() == [1]


def test_a_tie_of_voices_and_of_means_goes_to_the_lower_class() -> None:
    mirrored = [[[0.0, 0.25, 0.75]], [[0.0, 0.75, 0.25]]]
    for method in VOTES:
        assert vote(make_pool(mirrored, [0]), make_choice(0.5, 0.5), method).predicted.tolist() == [1]


def test_a_class_without_a_voice_does_not_win_by_its_mean() -> None:
    # Class 2 is everybody's second choice and has the highest mean.
    table = [[[0.55, 0.0, 0.45]], [[0.0, 0.55, 0.45]], [[0.55, 0.0, 0.45]], [[0.0, 0.55, 0.45]]]
    team = make_choice(*[0.25] * 4)
    assert vote(make_pool(table, [0]), team, "soft").predicted.tolist() == [2]
    assert vote(make_pool(table, [0]), team, "hard").predicted.tolist() == [0]


def test_exact_ties_of_three_members_stay_ties() -> None:
    # A third of each summed up would round class 2 above class 0.
    table = [[[0.1, 0.3, 0.6]], [[0.6, 0.1, 0.3]], [[0.3, 0.6, 0.1]]]
    ballot = vote(make_pool(table, [0]), make_choice(*[1 / 3] * 3), "soft")
    assert ballot.predicted.tolist() == [0]
    assert len(set(ballot.probabilities[0].tolist())) == 1


def test_members_are_found_by_name_not_by_place() -> None:
    pool = make_pool(TABLE, LABELS, split="test")
    team = Choice((member(2), member(0)), (0.75, 0.25), "all", "accuracy", (), (), 0.0)
    expected = 0.75 * pool.probabilities[2].astype(float) + 0.25 * pool.probabilities[0]
    np.testing.assert_allclose(vote(pool, team, "weighted").probabilities, expected)


def test_a_member_without_predictions_is_named() -> None:
    with pytest.raises(MismatchedPredictions, match=r"000000000002@3 has no predictions on test .*it was no candidate"):
        vote(make_pool(TABLE[:2], LABELS, split="test"), make_choice(0.5, 0.25, 0.25), "soft")


@given(st.integers(1, 6), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_equal_weights_make_a_weighted_vote_a_soft_one_and_one_member_decides_alone(
    members: int, classes: int, seed: int
) -> None:
    table = np.random.default_rng(seed).dirichlet(np.ones(classes), (members, 9))
    pool, team = make_pool(table, [0] * 9), make_choice(*[1 / members] * members)
    soft, weighted = vote(pool, team, "soft"), vote(pool, team, "weighted")
    np.testing.assert_allclose(soft.probabilities, weighted.probabilities, rtol=1e-12)
    for method in VOTES:
        assert vote(pool, make_choice(1.0), method).predicted.tolist() == pool.probabilities[0].argmax(1).tolist()
        assert vote(pool, team, method).probabilities.sum(1) == pytest.approx(1, abs=1e-6)
