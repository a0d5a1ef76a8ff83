import numpy as np
import pytest

from ensembles.pseudo_labels.agreement import agree
from ensembles.voting.vote import vote
from tests.ensembles.samples import make_pool, make_team

# Three members, five images, three classes; what each gives to classes 0, 1, 2.
TABLE = [
    [[0.98, 0.01, 0.01], [0.98, 0.01, 0.01], [0.40, 0.60, 0.00], [0.00, 1.00, 0.00], [0.50, 0.50, 0.00]],
    [[0.96, 0.02, 0.02], [0.98, 0.01, 0.01], [0.30, 0.70, 0.00], [0.00, 1.00, 0.00], [0.50, 0.50, 0.00]],
    [[0.94, 0.03, 0.03], [0.40, 0.00, 0.60], [0.20, 0.80, 0.00], [0.51, 0.49, 0.00], [0.50, 0.50, 0.00]],
]
POOL = make_pool(TABLE, [0] * 5, split="unlabelled")
ALL = make_team(1 / 3, 1 / 3, 1 / 3)


def test_an_image_is_labelled_where_the_vote_is_sure_and_enough_members_say_its_class():
    found = agree(POOL, ALL, "soft", confidence=0.7, agreement=3)
    assert found.labels.tolist() == [0, 0, 1, 1, 0]
    assert found.confidence.tolist() == pytest.approx([0.96, 0.7867, 0.7, 0.83, 0.5], abs=1e-4)
    assert found.agreeing.tolist() == [3, 2, 3, 2, 3]
    assert found.labelled.tolist() == [True, False, True, False, False]
    assert (found.labels.dtype, found.confidence.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize(
    ("confidence", "agreement", "labelled"),
    [
        (0.95, 3, [0]),
        (0.95, 2, [0]),
        (0.75, 2, [0, 1, 3]),
        (0.75, 3, [0]),
        (0.5, 3, [0, 2, 4]),
        (0.97, 1, []),
        (0.5, 4, []),
    ],
)
def test_both_conditions_must_hold(confidence, agreement, labelled):
    found = agree(POOL, ALL, "soft", confidence, agreement)
    assert np.flatnonzero(found.labelled).tolist() == labelled


def test_a_confidence_that_is_just_reached_counts():
    pool = make_pool([[[0.95, 0.05]], [[0.95, 0.05]], [[0.95, 0.05]]], [0], split="unlabelled")
    assert agree(pool, ALL, "soft", 0.95, 3).labelled.tolist() == [True]
    assert agree(pool, ALL, "soft", 0.951, 3).labelled.tolist() == [False]


def test_a_weighted_vote_weighs_and_members_still_count_once():
    found = agree(POOL, make_team(0.1, 0.1, 0.8), "weighted", 0.5, 1)
    assert found.labels.tolist() == [0, 0, 1, 1, 0]
    assert found.confidence[1] == pytest.approx(0.1 * 0.98 + 0.1 * 0.98 + 0.8 * 0.40)
    assert found.agreeing.tolist() == [3, 2, 3, 2, 3]


@pytest.mark.parametrize("method", ["hard", "majority", "rank", "stacked"])
def test_a_vote_that_is_no_mean_labels_by_the_soft_one(method):
    found, soft = (agree(POOL, ALL, each, 0.75, 2) for each in (method, "soft"))
    assert found.confidence.tolist() == soft.confidence.tolist()


@pytest.mark.parametrize("method", ["geometric", "confidence"])
def test_other_means_label_by_themselves(method):
    found = agree(POOL, ALL, method, 0.75, 2)
    assert found.confidence.tolist() == vote(POOL, ALL, method).probabilities.max(1).astype(np.float32).tolist()
    assert found.confidence[3] > 0.9  # two sure of class 1 against one who wavers: 0.83 by the soft vote


def test_a_team_of_some_of_the_candidates_is_asked_alone():
    found = agree(POOL, make_team(0.5, 0.5), "soft", 0.95, 2)
    assert found.labelled.tolist() == [True, True, False, True, False]
