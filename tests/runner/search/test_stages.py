import math

import pytest

from runner.search.base.protocol import Over, Wait
from runner.testing.search_run import SearchRun
from tests.runner.search.sample_searches import make_search, make_sweep, rates
from trainables.errors import RunCutShort, SweepFileError

COARSE = {
    "name": "coarse",
    "method": "grid",
    "epochs": 2,
    "space": {"optimizer.lr": {"log": [1e-4, 1.0], "factor": 10}},
}
FINE = {
    "name": "fine",
    "method": "grid",
    "epochs": 9,
    "space": {"optimizer.lr": {"around": "coarse", "factor": 3, "steps": 5}},
}


def near(best):
    return lambda values: 1 - abs(math.log10(values["optimizer.lr"] / best)) / 10


def test_the_fine_stage_lies_around_the_best_of_the_coarse_one():
    run = SearchRun(make_search({"stages": [COARSE, FINE]}))
    trials = run.to_the_end(near(0.02))
    assert rates(trials) == [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 0.001111, 0.003333, 0.01, 0.03, 0.09]
    first, second = run.decisions("stage")
    assert (first.stage, first.values) == ("coarse", {"optimizer.lr": 0.01})
    assert first.reason == "the best of 5 trials has 96.99%: optimizer.lr 0.01"
    assert (second.stage, second.values) == ("fine", {"optimizer.lr": 0.03})


def test_each_stage_has_its_own_epochs():
    run = SearchRun(make_search({"stages": [COARSE, FINE]}, schedule={"name": "cosine"}))
    trials = run.to_the_end(near(0.02))
    assert [trial.schedule.epochs for trial in trials] == [2] * 5 + [9] * 5


def test_a_point_that_a_former_stage_had_is_the_same_trial_and_is_planned_again():
    run = SearchRun(make_search({"stages": [COARSE, FINE]}))
    trials = run.to_the_end(near(0.02))
    assert trials[2].trial_id == trials[7].trial_id
    assert run.state.trials[trials[2].trial_id].stage == "fine"


def test_a_stage_waits_for_all_trials_of_the_one_before():
    run = SearchRun(make_search({"stages": [COARSE, FINE]}))
    trials = run.take(run.search.step(run.state))
    for trial in trials[1:]:
        run.end(trial, 0.5)
    assert isinstance(run.search.step(run.state), Wait)


def test_what_a_stage_found_or_set_holds_until_a_later_one_says_otherwise():
    stages = [
        {
            "name": "capacity",
            "method": "grid",
            "set": {"model.dropout": 0.0},
            "space": {"model.width": {"choice": [8, 16]}},
        },
        {"name": "rate", "method": "grid", "space": {"optimizer.lr": {"log": [0.01, 0.1], "steps": 2}}},
        {"name": "regularise", "method": "grid", "space": {"model.dropout": {"uniform": [0.1, 0.2], "steps": 2}}},
    ]
    run = SearchRun(make_search({"stages": stages}, model={"dropout": 0.4}))
    trials = run.to_the_end(lambda values: values["model.width"] / 100 + values["optimizer.lr"])
    assert [(t.model.width, t.optimizer.lr, t.model.dropout) for t in trials] == [
        (8, 0.05, 0.0),
        (16, 0.05, 0.0),
        (16, 0.01, 0.0),
        (16, 0.1, 0.0),
        (16, 0.1, 0.1),
        (16, 0.1, 0.2),
    ]


def test_points_around_a_value_that_are_not_admissible_fall_away_and_leave_the_others():
    stages = [
        {"name": "a", "method": "grid", "space": {"model.dropout": {"choice": [0.1]}}},
        {"name": "b", "method": "grid", "space": {"model.dropout": {"around": "a", "by": 0.1, "steps": 7}}},
    ]
    run = SearchRun(make_search({"stages": stages}))
    assert [trial.model.dropout for trial in run.to_the_end(lambda values: 0.5)][1:] == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_a_random_stage_draws_around_the_best_and_not_what_another_stage_draws():
    stages = [
        {"name": "a", "trials": 4, "space": {"optimizer.lr": {"log": [1e-3, 1e-1]}}},
        {"name": "b", "trials": 6, "space": {"optimizer.lr": {"around": "a", "factor": 2}}},
    ]
    run = SearchRun(make_search({"stages": stages}))
    trials = run.to_the_end(near(0.01))
    best = run.decisions("stage")[0].values["optimizer.lr"]
    assert all(best / 2 - 1e-9 <= rate <= best * 2 + 1e-9 for rate in rates(trials[4:]))
    assert len(set(rates(trials))) == 10


def test_a_mesh_in_a_stage_may_grow_past_its_border():
    run = SearchRun(make_search({"stages": [{**COARSE, "border": 1}, FINE]}))
    trials = run.to_the_end(near(5.0))
    assert rates(trials)[5:] == [10.0, 1.111, 3.333, 10.0, 30.0, 90.0]


def test_a_stage_without_any_result_cuts_the_run_short_and_says_why():
    run = SearchRun(make_search({"stages": [COARSE, FINE]}))
    with pytest.raises(RunCutShort, match=r"no trial of stage coarse .* loss is nan"):
        run.to_the_end(lambda values: None)


@pytest.mark.parametrize("cut", range(0, 34, 3))
def test_a_driver_that_is_replaced_continues_in_the_same_stage(cut):
    search = {"stages": [COARSE, FINE]}
    whole = SearchRun(make_search(search))
    whole.to_the_end(near(0.02))
    again = SearchRun(make_search(search), whole.events[:cut])
    for record in again.state.pending():
        again.end(record.config, near(0.02)({"optimizer.lr": record.config.optimizer.lr}))
    again.to_the_end(near(0.02))
    assert list(again.state.trials) == list(whole.state.trials)
    assert [one.values for one in again.decisions("stage")] == [one.values for one in whole.decisions("stage")]
    assert isinstance(again.search.step(again.state), Over)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([FINE, COARSE], "optimizer.lr is around stage coarse, which comes later"),
        ([{**FINE, "name": "coarse"}], "which is that stage itself"),
        (
            [COARSE, {**FINE, "space": {"optimizer.lr": {"around": "corse", "factor": 3}}}],
            "around 'corse', but the stages are",
        ),
        ([COARSE, COARSE], "two stages are called coarse"),
        ([{**COARSE, "set": {"optimizer.lr": 0.1}}], "both set and searched"),
        (
            [{**COARSE, "set": {"model.droput": 0.1}}],
            "stages.coarse.set.model.droput: no such key; did you mean model.dropout?",
        ),
        ([{**COARSE, "set": {"model.dropout": 2.0}}], "must be less than 1"),
        ([{**COARSE, "scheduler": {"method": "none"}}], "epochs and scheduler are both set"),
    ],
)
def test_stages_that_cannot_be_run_are_refused(stages, message):
    with pytest.raises(SweepFileError, match=message):
        make_sweep({"stages": stages})
