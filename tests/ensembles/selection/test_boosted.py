"""The rounds of boosting as a team: who votes, in which order, with which weight."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles.config import EnsembleConfig
from ensembles.pool.candidates import candidates
from ensembles.selection.boosted import find_chains, find_rounds, with_rounds
from ensembles.selection.select import select
from ensembles.voting.vote import vote
from tests.ensembles.samples import make_pool, member
from trainables.config.trial import BoostConfig, ParentConfig, TrialConfig
from trainables.errors import SweepFileError
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import EpochResult, TrialRecord


def make_round(former=None, weight=1.0, seed=0, state="finished", kind="samme"):
    """A round of three epochs, of which the second is the best on validation."""
    parent = ParentConfig(trial_id=former.trial_id, epoch=3) if former else None
    number = former.config.boost.round + 1 if former and kind == "gradient" else 1
    boost = BoostConfig(kind=kind, former=parent, round=number)
    config = TrialConfig(data_id="d", seed=seed, boost=boost)
    epochs = tuple(
        EpochResult(number, 0.5, 0.8, 0.5, accuracy, 1.0, 0.5, round_error=0.2, round_weight=weight)
        for number, accuracy in enumerate((0.6, 0.9, 0.8), start=1)
    )
    return TrialRecord(config, state, "", epochs)


def named(*rounds):
    return [(str(CheckpointId(record.trial_id, 3)), weight) for record, weight in rounds]


def test_rounds_are_found_in_their_order_whatever_that_of_the_records():
    first = make_round(weight=2.0)
    second = make_round(first, weight=1.5, seed=1)
    third = make_round(second, weight=0.5, seed=2)
    plain = TrialRecord(TrialConfig(data_id="d", seed=5), "finished", "", first.epochs)
    assert list(find_rounds([third, plain, first, second])) == named((first, 2.0), (second, 1.5), (third, 0.5))


def test_chains_follow_each_other():
    one, two = make_round(weight=1.0), make_round(weight=2.0, seed=7)
    later = make_round(one, weight=3.0, seed=8)
    assert list(find_rounds([one, two, later])) == named((one, 1.0), (later, 3.0), (two, 2.0))


def test_a_round_no_better_than_guessing_has_no_vote_unless_it_is_the_first():
    first = make_round(weight=2.0)
    assert list(find_rounds([first, make_round(first, weight=-0.1, seed=1)])) == named((first, 2.0))
    guessing = make_round(weight=-1.0)
    assert list(find_rounds([guessing])) == named((guessing, 1.0))


def test_a_round_that_did_not_come_to_its_end_has_no_vote():
    first = make_round(weight=2.0)
    assert list(find_rounds([first, make_round(first, seed=1, state="stopped")])) == named((first, 2.0))


def test_a_round_stands_for_election_at_its_last_epoch_and_a_plain_trial_at_its_best():
    first = make_round()
    plain = TrialRecord(TrialConfig(data_id="d", seed=5), "finished", "", first.epochs)
    assert [each.epoch for each in candidates([first, plain], "best")] == [3, 2]


POOL = make_pool([[[0.9, 0.1], [0.2, 0.8]], [[0.2, 0.8], [0.4, 0.6]], [[0.6, 0.4], [0.6, 0.4]]], [0, 1])


def boosted(*rounds, **keys):
    weighted_rounds = tuple((str(member(number)), weight) for number, weight in rounds)
    return EnsembleConfig(select="boosted", rounds=weighted_rounds, vote="weighted", **keys)


def test_the_team_is_the_rounds_with_their_weights_made_shares():
    team = select(POOL, boosted((2, 1.0), (0, 3.0), metric="accuracy"))
    assert team.members == (member(2), member(0))
    assert team.weights == (0.25, 0.75)
    assert (team.how, team.validation_score) == ("boosted", 1.0)
    # (0.25 x 0.6 + 0.75 x 0.9, …)
    assert np.allclose(vote(POOL, team, "weighted").probabilities[0], [0.825, 0.175])


def test_a_round_whose_predictions_are_missing_leaves_its_share_to_the_others():
    team = select(POOL, boosted((0, 1.0), (9, 5.0), (1, 1.0)))
    assert (team.members, team.weights) == ((member(0), member(1)), (0.5, 0.5))


def test_without_rounds_it_says_what_to_do():
    with pytest.raises(SweepFileError, match="no round of boosting can vote: train them"):
        select(POOL, boosted())


def test_a_run_passes_its_rounds_to_boosted_alone():
    first = make_round(weight=2.0)
    assert with_rounds(EnsembleConfig(select="boosted"), [first]).rounds == tuple(named((first, 2.0)))
    assert with_rounds(EnsembleConfig(select="all"), [first]) == EnsembleConfig(select="all")
    given = EnsembleConfig(select="boosted", rounds=(("0f3a@1", 1.0),))
    assert with_rounds(given, [first]) is given


def test_chains_of_gradient_boosting_are_found_in_their_order_and_are_no_rounds_of_their_own():
    first = make_round(kind="gradient")
    second = make_round(first, seed=1, kind="gradient")
    cut = make_round(second, seed=2, kind="gradient", state="stopped")
    other = make_round(kind="gradient", seed=3)
    records = [cut, second, first, other]
    names = [tuple(name for name, _ in named((first, 1), (second, 1))), (named((other, 1))[0][0],)]
    assert list(find_chains(records)) == names
    assert list(find_rounds(records)) == []
    asked = with_rounds(EnsembleConfig(select="boosted"), records)
    assert (asked.rounds, asked.chains) == ((), tuple(names))
    assert with_rounds(asked, []) is asked


def chained(*chains, **keys):
    return EnsembleConfig(
        select="boosted", chains=tuple(tuple(map(str, map(member, chain))) for chain in chains), **keys
    )


# log-losses: (0.105 + 0.223) / 2 of the first, (1.609 + 0.511) / 2 of the second, (0.511 + 0.916) / 2 of the third
@pytest.mark.parametrize(("chain", "best"), [((0, 1, 2), 0), ((1, 2), 2), ((2, 1), 2), ((1,), 1), ((9, 1), 1)])
def test_of_a_chain_of_gradient_boosting_the_best_round_votes_alone(chain, best):
    team = select(POOL, chained(chain))
    assert (team.members, team.weights) == ((member(best),), (1.0,))


def test_of_equal_rounds_the_earliest_votes():
    # of both images the second and the third have one right
    assert select(POOL, chained((2, 1), metric="accuracy")).members == (member(2),)
    assert select(POOL, chained((1, 2), metric="accuracy")).members == (member(1),)


def test_of_several_chains_each_has_one_vote():
    team = select(POOL, chained((0, 1), (2,)))
    assert (team.members, team.weights) == ((member(0), member(2)), (0.5, 0.5))
