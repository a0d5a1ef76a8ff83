"""Every vote against tables made by hand."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from ensembles.metrics.logits import log_floored, log_softmax
from ensembles.metrics.scores import log_loss
from ensembles.team import Team
from ensembles.voting.stacking import Stacking
from ensembles.voting.vote import VOTES, Voter, fit_voter, read_voter, vote
from tests.ensembles.samples import make_pool, make_team, member
from trainables.errors import DamagedObject, MismatchedPredictions
from trainables.results.pruned_checkpoint import PrunedId

UNFITTED = tuple(method for method in VOTES if method != "stacked")
AVERAGES = ("soft", "geometric", "weighted", "confidence")

# Three members, four images, three classes. By image: all agree; two against one sure one; three votes for three
# classes; a tie of two votes each is in EVEN below.
TABLE = [
    [[0.75, 0.25, 0.00], [0.50, 0.25, 0.25], [0.50, 0.25, 0.25], [0.00, 0.50, 0.50]],
    [[0.50, 0.25, 0.25], [0.50, 0.25, 0.25], [0.00, 0.75, 0.25], [0.25, 0.50, 0.25]],
    [[0.50, 0.25, 0.25], [0.00, 0.00, 1.00], [0.25, 0.25, 0.50], [0.50, 0.25, 0.25]],
]
LABELS = [0, 2, 1, 1]


def test_a_hard_vote_counts_votes_and_adds_a_trace_of_the_mean() -> None:
    ballot = vote(make_pool(TABLE, LABELS), make_team(0.25, 0.25, 0.5), "hard")
    thirds = np.array([[3, 0, 0], [2, 0, 1], [1, 1, 1], [1, 2, 0]]) / 3
    np.testing.assert_allclose(ballot.probabilities, thirds, atol=1e-9)
    assert ballot.probabilities.argmax(1).tolist() == [0, 0, 1, 1]
    assert ballot.predicted.tolist() == [0, 0, 1, 1]
    assert ballot.predicted.dtype == np.int64


def test_a_soft_vote_is_the_mean_whatever_the_weights() -> None:
    ballot = vote(make_pool(TABLE, LABELS), make_team(0.5, 0.25, 0.25), "soft")
    twelfths = [[7, 3, 2], [4, 2, 6], [3, 5, 4], [3, 5, 4]]
    np.testing.assert_allclose(ballot.probabilities, np.array(twelfths) / 12, rtol=1e-15)
    assert ballot.probabilities.dtype == np.float64
    assert ballot.predicted.tolist() == [0, 2, 1, 1]


def test_a_weighted_vote_is_the_weighted_mean() -> None:
    ballot = vote(make_pool(TABLE, LABELS), make_team(0.5, 0.25, 0.25), "weighted")
    sixteenths = [[10, 4, 2], [6, 3, 7], [5, 6, 5], [3, 7, 6]]
    np.testing.assert_array_equal(ballot.probabilities, np.array(sixteenths) / 16)
    assert ballot.predicted.tolist() == [0, 2, 1, 1]


def test_the_votes_differ_where_one_member_is_sure() -> None:
    pool, team = make_pool(TABLE, LABELS), make_team(0.4, 0.4, 0.2)
    said = {method: vote(pool, team, method).predicted[1] for method in UNFITTED}
    # Two votes for class 0 against one sure of class 2, to whom class 0 is as good as impossible.
    assert said == {"hard": 0, "majority": 0, "soft": 2, "geometric": 2, "weighted": 0, "confidence": 2, "rank": 0}


def test_more_than_half_of_the_votes_win_and_less_leave_it_to_the_mean() -> None:
    # Two of three; one of three each; two of four; three of four, against the mean.
    ballot = vote(make_pool(TABLE, LABELS), make_team(0.25, 0.25, 0.5), "majority")
    np.testing.assert_allclose(ballot.probabilities[1], np.array([2, 0, 1]) / 3)
    np.testing.assert_allclose(ballot.probabilities[2], np.array([3, 5, 4]) / 12)
    assert ballot.predicted.tolist() == [0, 0, 1, 1]
    table = [
        [[0.6, 0.4], [0.55, 0.45]],
        [[0.6, 0.4], [0.55, 0.45]],
        [[0.0, 1.0], [0.55, 0.45]],
        [[0.4, 0.6], [0.0, 1.0]],
    ]
    four = vote(make_pool(table, [0, 0]), make_team(*[0.25] * 4), "majority")
    np.testing.assert_allclose(four.probabilities, [[0.4, 0.6], [0.75, 0.25]])
    assert four.predicted.tolist() == [1, 0]


def test_a_class_that_leads_without_a_majority_may_lose_to_the_mean() -> None:
    table = [[[0.6, 0.4, 0.0]], [[0.5, 0.4, 0.1]], [[0.0, 0.9, 0.1]], [[0.0, 0.4, 0.6]]]
    pool, team = make_pool(table, [0]), make_team(*[0.25] * 4)
    assert vote(pool, team, "hard").predicted.tolist() == [0]
    assert vote(pool, team, "majority").predicted.tolist() == [1]


def test_a_geometric_vote_is_the_scaled_root_of_the_product() -> None:
    # Roots of 0.9 x 0.5 and 0.1 x 0.5 are as 3 to 1.
    ballot = vote(
        make_pool([[[0.9, 0.1], [0.8, 0.2]], [[0.5, 0.5], [0.2, 0.8]]], [0, 0]), make_team(0.9, 0.1), "geometric"
    )
    np.testing.assert_allclose(ballot.probabilities, [[0.75, 0.25], [0.5, 0.5]], rtol=1e-6)


def test_nothing_from_one_member_is_a_strong_objection_but_no_veto() -> None:
    pool = make_pool([[[1.0, 0.0]], [[0.5, 0.5]]], [0])
    ballot = vote(pool, make_team(0.5, 0.5), "geometric")
    assert ballot.probabilities[0, 1] == pytest.approx(1e-6, rel=1e-5)  # root of 1e-12, not of 0


def test_a_confident_member_counts_more() -> None:
    # Entropies in bits: 0, 1 and 0.8112781; so certainties are 1, 0 and 0.1887219.
    pool = make_pool([[[0.0, 1.0], [1.0, 0.0]], [[0.75, 0.25], [0.5, 0.5]]], [0, 0])
    ballot = vote(pool, make_team(0.5, 0.5), "confidence")
    first = 0.1887219 * 0.75 / 1.1887219
    np.testing.assert_allclose(ballot.probabilities, [[first, 1 - first], [1, 0]], rtol=1e-6, atol=1e-12)


def test_where_no_member_is_sure_all_count_the_same() -> None:
    third = np.float32(1 / 3)
    ballot = vote(make_pool([[[third] * 3], [[third] * 3]], [0]), make_team(0.5, 0.5), "confidence")
    np.testing.assert_allclose(ballot.probabilities, [[1 / 3] * 3], rtol=1e-6)
    assert ballot.predicted.tolist() == [0]


def test_a_ranked_vote_adds_up_points() -> None:
    # Points: 2 1 0, 0 2 1, and with two classes alike 2 0.5 0.5.
    table = [[[0.6, 0.3, 0.1]], [[0.2, 0.5, 0.3]], [[0.5, 0.25, 0.25]]]
    ballot = vote(make_pool(table, [0]), make_team(*[1 / 3] * 3), "rank")
    np.testing.assert_allclose(ballot.probabilities, np.array([[4, 3.5, 1.5]]) / 9, atol=1e-9)
    assert ballot.predicted.tolist() == [0]


def test_a_tie_of_ranks_goes_to_the_class_with_the_higher_mean_probability() -> None:
    ballot = vote(make_pool(EVEN, [0]), make_team(0.5, 0.5), "rank")
    np.testing.assert_allclose(ballot.probabilities, np.array([[3, 3, 0]]) / 6, atol=1e-9)
    assert ballot.predicted.tolist() == [1]


def test_everybodys_second_choice_wins_by_rank() -> None:
    pool, team = make_pool([[[0.55, 0.0, 0.45]], [[0.0, 0.55, 0.45]]], [0]), make_team(0.5, 0.5)
    assert [vote(pool, team, method).predicted[0] for method in ("hard", "rank")] == [0, 2]


@given(st.integers(1, 4), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_points_are_ranks_of_scipy_less_one(members: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 4, (members, 7, classes)) + 0.5  # many equal
    table /= table.sum(2, keepdims=True)
    pool = make_pool(table, [0] * 7)
    points = (scipy.stats.rankdata(pool.probabilities, axis=2) - 1).sum(0)
    found = vote(pool, make_team(*[1 / members] * members), "rank").probabilities
    np.testing.assert_allclose(found, points / points.sum(1, keepdims=True), atol=1e-9)


EVEN = [[[0.6, 0.4, 0.0]], [[0.3, 0.7, 0.0]]]


def test_a_tie_goes_to_the_class_with_the_higher_mean_probability() -> None:
    assert vote(make_pool(EVEN, [0]), make_team(0.5, 0.5), "hard").predicted.tolist() == [1]
    assert vote(make_pool(EVEN[::-1], [0]), make_team(0.9, 0.1), "hard").predicted.tolist() == [1]


def test_a_tie_of_votes_and_of_means_goes_to_the_lower_class() -> None:
    mirrored = [[[0.0, 0.25, 0.75]], [[0.0, 0.75, 0.25]]]
    for method in UNFITTED:
        assert vote(make_pool(mirrored, [0]), make_team(0.5, 0.5), method).predicted.tolist() == [1]


def test_a_class_without_a_voice_does_not_win_by_its_mean() -> None:
    # Class 2 is everybody's second choice and has the highest mean.
    table = [[[0.55, 0.0, 0.45]], [[0.0, 0.55, 0.45]], [[0.55, 0.0, 0.45]], [[0.0, 0.55, 0.45]]]
    team = make_team(*[0.25] * 4)
    assert vote(make_pool(table, [0]), team, "soft").predicted.tolist() == [2]
    assert vote(make_pool(table, [0]), team, "hard").predicted.tolist() == [0]


def test_exact_ties_of_three_members_stay_ties() -> None:
    # A third of each summed up would round class 2 above class 0.
    table = [[[0.1, 0.3, 0.6]], [[0.6, 0.1, 0.3]], [[0.3, 0.6, 0.1]]]
    ballot = vote(make_pool(table, [0]), make_team(*[1 / 3] * 3), "soft")
    assert ballot.predicted.tolist() == [0]
    assert len(set(ballot.probabilities[0].tolist())) == 1


def test_members_are_found_by_name_not_by_place() -> None:
    pool = make_pool(TABLE, LABELS, split="test")
    team = Team((member(2), member(0)), (0.75, 0.25), "all", "accuracy", (), (), 0.0)
    expected = 0.75 * pool.probabilities[2].astype(float) + 0.25 * pool.probabilities[0]
    np.testing.assert_allclose(vote(pool, team, "weighted").probabilities, expected)


def test_a_member_without_predictions_is_named() -> None:
    with pytest.raises(MismatchedPredictions, match=r"000000000002@3 has no predictions on test .*it was no candidate"):
        vote(make_pool(TABLE[:2], LABELS, split="test"), make_team(0.5, 0.25, 0.25), "soft")


def test_a_voter_votes_on_some_of_the_images_as_on_all() -> None:
    pool, rows = make_pool(TABLE, LABELS), np.array([3, 0])
    for method in VOTES:
        voter = fit_voter(pool, make_team(0.5, 0.25, 0.25), method)
        whole, part = voter.vote(pool), voter.vote(pool, rows)
        np.testing.assert_array_equal(part.probabilities, whole.probabilities[rows])
        np.testing.assert_array_equal(part.predicted, whole.predicted[rows])


@pytest.mark.parametrize("method", VOTES)
def test_a_voter_is_read_back_from_its_dict(method) -> None:
    pool = make_pool(TABLE, LABELS)
    voter = fit_voter(pool, make_team(0.5, 0.25, 0.25), method)
    again = read_voter(json.loads(json.dumps(voter.to_dict())))
    assert again == voter
    np.testing.assert_array_equal(again.vote(pool).probabilities, voter.vote(pool).probabilities)


def test_a_pruned_member_keeps_its_name() -> None:
    voter = Voter("soft", (PrunedId("0f", 3, "magnitude", 0.9, 5),), (1.0,))
    assert read_voter(json.loads(json.dumps(voter.to_dict()))) == voter


@pytest.mark.parametrize(
    "change",
    [
        {"method": "best"},
        {"weights": [1.0]},
        {"members": [{"trial_id": "0"}]},
        {"fitted": {"weights": [1.0]}},
        {"fitted": {"weights": [1.0], "bias": [0.0, 0.0, 0.0]}},
        {"stacking": {"weights": [1.0], "bias": [0.0, 0.0, 0.0]}},
        {"members": 3},
    ],
)
def test_an_unreadable_voter_raises(change) -> None:
    payload = fit_voter(make_pool(TABLE, LABELS), make_team(0.5, 0.25, 0.25), "stacked").to_dict()
    with pytest.raises(DamagedObject, match="the vote on record is not readable"):
        read_voter(payload | change)


def test_a_stacked_vote_must_be_fitted_and_on_validation() -> None:
    pool, team = make_pool(TABLE, LABELS, split="test"), make_team(0.5, 0.25, 0.25)
    with pytest.raises(ValueError, match="fit_voter"):
        vote(pool, team, "stacked")
    with pytest.raises(MismatchedPredictions, match="fitted on split test"):
        fit_voter(pool, team, "stacked")
    voter = fit_voter(replace(pool, split="validation"), team, "stacked")
    with pytest.raises(MismatchedPredictions, match="fitted to 3 classes, but these predictions have 2"):
        voter.vote(make_pool(np.full((3, 4, 2), 0.5), LABELS, split="test"))


def test_a_stacked_vote_trusts_who_knows() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 3000)
    logits = rng.normal(size=(2, 3000, 3)) + np.array([2.0, 0.2])[:, None, None] * np.eye(3)[labels]
    table = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    seen, unseen = make_pool(table[:, :1000], labels[:1000]), make_pool(table[:, 1000:], labels[1000:], split="test")
    voter = fit_voter(seen, make_team(0.5, 0.5), "stacked")
    assert isinstance(voter.fitted, Stacking)
    # A normal shift of 2 against noise of 1 makes a log-odds of twice the difference, and one of 0.2 a fifth of it.
    assert voter.fitted.weights == pytest.approx((2.0, 0.2), abs=0.25)
    losses = {
        method: log_loss(fit_voter(seen, make_team(0.5, 0.5), method).vote(unseen).probabilities, unseen.labels)
        for method in VOTES
    }
    assert min(losses, key=losses.__getitem__) == "stacked"


def test_a_stacked_vote_is_the_least_of_its_formula_where_a_member_is_sure_and_always_wrong() -> None:
    # Newton's first step goes far too far there, and has to be cut by half several times.
    table = np.random.default_rng(0).dirichlet(np.full(2, 0.1), (3, 21))
    pool = make_pool(table, table[0].argmin(1))
    logs = log_floored(pool.probabilities)

    def cost(at: np.ndarray) -> float:
        of_classes = log_softmax(np.tensordot(at[:3], logs, 1) + at[3:])
        right = of_classes[np.arange(21), pool.labels].sum()
        return float(4.5 * ((at[:3] - 1 / 3) ** 2).sum() + 0.5 * (at[3:] ** 2).sum() - right)

    best = scipy.optimize.minimize(
        cost, [1 / 3] * 3 + [0.0] * 2, method="Nelder-Mead", options={"xatol": 1e-9, "maxiter": 9999}
    )
    expected = np.exp(log_softmax(np.tensordot(best.x[:3], logs, 1) + best.x[3:]))
    found = fit_voter(pool, make_team(*[1 / 3] * 3), "stacked").vote(pool).probabilities
    np.testing.assert_allclose(found, expected, atol=1e-5)


def _draw(members: int, classes: int, seed: int, images: int = 9) -> np.ndarray:
    """With images on which members are one-hot, uniform or saturated."""
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(classes, 0.3), (members, images))
    table[:, 0] = np.eye(classes)[rng.integers(0, classes, members)]
    table[:, 1] = 1 / classes
    table[:, 2] = np.maximum(table[:, 2], 1e-30)
    return table / table.sum(2, keepdims=True)


POOLS = st.integers(1, 6), st.integers(2, 5), st.integers(0, 2**32 - 1)


@given(*POOLS)
def test_equal_weights_make_a_weighted_vote_a_soft_one(members: int, classes: int, seed: int) -> None:
    pool, team = make_pool(_draw(members, classes, seed), [0] * 9), make_team(*[1 / members] * members)
    soft, weighted = vote(pool, team, "soft"), vote(pool, team, "weighted")
    np.testing.assert_allclose(soft.probabilities, weighted.probabilities, rtol=1e-12)


@given(*POOLS)
def test_one_member_decides_alone(members: int, classes: int, seed: int) -> None:
    pool = make_pool(_draw(members, classes, seed), np.arange(9) % classes)
    for method in VOTES:
        ballot = fit_voter(pool, make_team(1.0), method).vote(pool)
        assert ballot.predicted.tolist() == pool.probabilities[0].argmax(1).tolist()
        if method in (*AVERAGES, "stacked"):
            np.testing.assert_allclose(ballot.probabilities, pool.probabilities[0], atol=1e-6)


@given(*POOLS)
def test_probabilities_add_up_to_one_and_their_highest_wins_or_ties(members: int, classes: int, seed: int) -> None:
    pool = make_pool(_draw(members, classes, seed), np.arange(9) % classes)
    for method in VOTES:
        ballot = fit_voter(pool, make_team(*[1 / members] * members), method).vote(pool)
        assert ballot.probabilities.min() >= 0
        assert ballot.probabilities.sum(1) == pytest.approx(1, abs=1e-6)
        winner = ballot.probabilities[np.arange(9), ballot.predicted]
        np.testing.assert_array_equal(winner, ballot.probabilities.max(1))


@given(*POOLS)
def test_the_order_of_the_members_changes_no_bit(members: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(members) * 5) + 1e-3
    weights /= weights.sum()
    pool = make_pool(_draw(members, classes, seed), np.arange(9) % classes)
    for order in (rng.permutation(members), np.arange(members)[::-1]):
        shuffled = replace(
            pool, members=tuple(member(int(place)) for place in order), probabilities=pool.probabilities[order]
        )
        team = replace(make_team(*weights), members=shuffled.members, weights=tuple(weights[order].tolist()))
        for method in VOTES:
            one, other = (
                fit_voter(pool, make_team(*weights), method).vote(pool),
                fit_voter(shuffled, team, method).vote(shuffled),
            )
            np.testing.assert_array_equal(one.probabilities, other.probabilities)
            np.testing.assert_array_equal(one.predicted, other.predicted)


@given(*POOLS)
def test_a_team_twice_votes_as_once(members: int, classes: int, seed: int) -> None:
    table = _draw(members, classes, seed)
    pool = make_pool(np.concatenate([table, table]), [0] * 9)
    once, twice = make_team(*[1 / members] * members), make_team(*[1 / members / 2] * members * 2)
    for method in UNFITTED:
        one, other = vote(pool, once, method), vote(pool, twice, method)
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-9, atol=1e-12)


@given(*POOLS)
def test_a_majority_vote_is_the_mean_where_no_class_has_more_than_half_of_the_votes(
    members: int, classes: int, seed: int
) -> None:
    pool, team = make_pool(_draw(members, classes, seed), [0] * 9), make_team(*[1 / members] * members)
    counts = np.stack([(pool.probabilities.argmax(2) == name).sum(0) for name in range(classes)], axis=1)
    undecided = 2 * counts.max(1) <= members
    found = vote(pool, team, "majority").probabilities
    np.testing.assert_allclose(found[undecided], vote(pool, team, "soft").probabilities[undecided])
    np.testing.assert_allclose(found[~undecided], counts[~undecided] / members)


@pytest.mark.parametrize("method", VOTES)
def test_a_large_team_is_never_copied(method) -> None:
    rng = np.random.default_rng(0)
    pool = make_pool(rng.dirichlet(np.ones(10), (120, 3000)), rng.integers(0, 10, 3000))
    few = make_pool(pool.probabilities[:2, :9], pool.labels[:9])
    fit_voter(few, make_team(0.5, 0.5), method).vote(few)  # what is imported does not count
    tracemalloc.start()
    fit_voter(pool, make_team(*[1 / 120] * 120), method).vote(pool)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < pool.probabilities.nbytes  # half of what float64 would take


@pytest.mark.parametrize("method", ["hard", "majority", "soft", "rank", "stacked"])
def test_an_image_without_a_prediction_spoils_no_other(method: str) -> None:
    table = np.array(TABLE, np.float32)
    whole, spoilt = (
        make_pool(table, LABELS),
        make_pool(np.concatenate([np.full((3, 1, 3), np.nan), table], 1), [0, *LABELS]),
    )
    voter = fit_voter(whole, make_team(0.5, 0.25, 0.25), method)
    np.testing.assert_array_equal(voter.vote(spoilt).probabilities[1:], voter.vote(whole).probabilities)
