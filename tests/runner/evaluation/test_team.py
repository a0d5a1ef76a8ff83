from dataclasses import replace

import numpy as np
import pytest

from ensembles.config import EnsembleConfig
from runner.evaluation.conclusion import choose_and_evaluate, open_candidates
from runner.evaluation.team import choose, costs_of
from runner.runs.stored_run import load_run, pool_trials
from tests.sample_runs.sample_run import write_sample_run
from trainables.errors import MismatchedPredictions
from trainables.results.checkpoint import read_predictions, write_checkpoint
from trainables.results.record import TrialCost
from trainables.store import layout
from trainables.store.json_records import get_json


@pytest.fixture
def run(tmp_path):
    return write_sample_run(tmp_path)


def choose_from(run, *overrides):
    stored = load_run(run.found, list(overrides))
    return choose(open_candidates(stored, pool_trials(stored)), stored.ensemble, {})


@pytest.mark.parametrize("overrides", [["metric=log_loss"], ["metric=accuracy"]])
def test_a_candidate_whose_predictions_are_damaged_is_left_out_and_another_team_chosen(run, overrides):
    lost = choose_from(run, *overrides).team.members[0]
    key = lost.key(layout.predictions_part("validation"))
    run.store.put(key, run.store.get(key)[:-8] + b"\0\1\2\3\4\5\6\7")
    selected = choose_from(run, *overrides)
    assert lost not in selected.team.members
    assert lost not in selected.ranked
    assert [member for member, _ in selected.pool.true_class.left_out] == [lost]


def test_a_candidate_whose_damage_shows_in_the_correction_alone_is_left_out_as_well(run):
    selected = choose_from(run, "size=1")
    for lost in selected.ranked:
        key = lost.key(layout.predictions_part("validation"))
        whole = run.store.get(key)
        run.store.put(key, whole[:-8] + b"\0\1\2\3\4\5\6\7")
        again = choose_from(run, "size=1")
        assert [member for member, _ in again.pool.true_class.left_out] == [lost]
        assert set(again.ranked) == {*selected.ranked} - {lost}
        run.store.put(key, whole)


def test_one_column_of_the_predictions_chooses_what_all_of_them_choose(run):
    short = choose_from(run, "metric=log_loss", "size=5")
    whole = choose_from(run, "metric=log_loss", "size=5", "diverse=true")
    assert short.team.picks == whole.team.picks
    assert short.corrected.votes == whole.corrected.votes
    assert short.ranked == whole.ranked
    assert np.array_equal(short.mean.probabilities, whole.mean.probabilities)


def test_a_candidate_without_predictions_on_test_does_not_stop_the_verdict_a_member_does(run):
    selected = choose_from(run, "select=best")
    other = next(member for member in selected.ranked if member not in selected.team.members)
    for gone, stops in ((other, False), (selected.team.members[0], True)):
        names = get_json(run.store, gone.key(layout.MANIFEST))["parts"]
        parts = {name: run.store.get(gone.key(name)) for name in names if name != "test.arrow"}
        run.store.delete(gone.key("test.arrow"))
        write_checkpoint(run.store, gone, parts)
        stored = load_run(run.found, ["select=best", "size=2"])
        if stops:
            with pytest.raises(MismatchedPredictions, match=f"{gone} in runs has no test.arrow"):
                choose_and_evaluate(stored)
        else:
            conclusion = choose_and_evaluate(stored)
            assert [member for member, _ in conclusion.left_out] == [other]
            assert conclusion.verdict.baselines["all"].members == len(selected.ranked) - 1


def test_the_verdict_rests_on_the_same_pools_as_whole_ones(run):
    stored = load_run(run.found, ["size=3", "vote=weighted"])
    conclusion = choose_and_evaluate(stored)
    labels = run.images.labels[run.images.rows("test")]
    everyone = [read_predictions(run.store, member, "test").probabilities for member in choose_from(run).ranked]
    assert conclusion.verdict.baselines["all"].test_accuracy == (np.mean(everyone, axis=0).argmax(1) == labels).mean()
    assert conclusion.verdict.baselines["top"].members == 3
    assert conclusion.evidence.any_correct >= conclusion.verdict.best.test_accuracy
    assert len(conclusion.evidence.classes) == 3
    assert conclusion.corrected.accuracy == conclusion.verdict.votes["weighted"].corrected.value


def test_costs_are_those_that_were_measured(run):
    records = list(run.state.trials.values())
    cost = TrialCost(100, 5000, 0.001, 32, 0.01, 1, True)
    assert costs_of([replace(records[0], cost=cost), replace(records[1], cost=None)]) == {records[0].trial_id: cost}


def test_without_bootstraps_nothing_is_corrected(run):
    conclusion = choose_and_evaluate(load_run(run.found, ["bootstraps=0"]))
    assert conclusion.corrected is None
    assert conclusion.verdict.votes["soft"].corrected is None
    assert EnsembleConfig(bootstraps=0).bootstraps == 0
