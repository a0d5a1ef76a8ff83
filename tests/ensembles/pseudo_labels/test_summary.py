from dataclasses import replace

import numpy as np
import pytest

from ensembles.pseudo_labels.summary import TrialPair, make_team, measure_gain
from tests.ensembles.samples import make_pool, make_record, member
from trainables.errors import MismatchedPredictions

# Members 0 and 1 on four images of two classes, of which each is likelier to be the first where its figure is above a half.
FIRST = np.array([[0.9, 0.9, 0.2, 0.2], [0.9, 0.9, 0.9, 0.2]])
POOLS = [
    make_pool(np.stack([FIRST, 1 - FIRST], axis=2), labels, split)
    for split, labels in (("validation", [0, 0, 0, 0]), ("test", [0, 1, 0, 1]))
]


def test_before_and_after_are_compared_on_the_same_images():
    gain = measure_gain("single", make_team([member(0)]), make_team([member(1)]), "soft", *POOLS)
    assert (gain.validation.before, gain.validation.after, gain.validation.difference) == (0.5, 0.75, 0.25)
    assert (gain.test.before, gain.test.after, gain.test.difference) == (0.5, 0.75, 0.25)
    assert gain.test.ci95[0] <= 0.25 <= gain.test.ci95[1]
    assert gain.test.mcnemar_p == 1.0  # one image put right, none got wrong
    assert (gain.members_before, gain.members_after) == (1, 1)


def test_images_of_one_group_are_one_piece_of_evidence():
    first = np.stack([np.full(8, 0.2), np.full(8, 0.9)])
    pools = [make_pool(np.stack([first, 1 - first], axis=2), [0] * 8, split) for split in ("validation", "test")]
    teams = make_team([member(0)]), make_team([member(1)])
    assert measure_gain("single", *teams, "soft", *pools).test.mcnemar_p < 0.01
    grouped = [replace(pool, groups=np.repeat([0, 1], 4)) for pool in pools]
    assert measure_gain("single", *teams, "soft", *grouped).test.mcnemar_p == 0.5


def test_the_same_team_gains_nothing():
    team = make_team([member(0), member(1)], [0.25, 0.75])
    gain = measure_gain("team", team, team, "weighted", *POOLS)
    assert (gain.test.difference, gain.test.ci95, gain.test.mcnemar_p) == (0, (0, 0), 1)


def test_a_stacked_vote_learns_from_validation_alone():
    before, after = make_team([member(0)]), make_team([member(0), member(1)])
    gain = measure_gain("team", before, after, "stacked", *POOLS)
    # Validation has images of the first class alone: two members learn to say that of all, one has nothing to learn.
    assert (gain.validation.before, gain.validation.after, gain.test.after) == (0.5, 1, 0.5)


def test_a_member_without_predictions_raises():
    with pytest.raises(MismatchedPredictions):
        measure_gain("team", make_team([member(7)]), make_team([member(0)]), "soft", *POOLS)


def test_a_pair_differs_by_its_best_epochs():
    assert TrialPair(make_record((0.5, 0.8)), make_record((0.9, 0.6))).difference == pytest.approx(0.1)
    assert TrialPair(make_record((0.5, 0.8)), make_record(())).difference is None
