import math

import pytest

from runner.search.base.protocol import Decide, Over, Wait
from runner.testing.search_run import SearchRun
from tests.runner.search.sample_searches import make_search, rates

LOG = {"optimizer.lr": {"log": [1e-3, 1e-1], "factor": 10}}
JOINT = {**LOG, "optimizer.weight_decay": {"log": [1e-5, 1e-3], "steps": 3}}


def plan(**search):
    run = SearchRun(make_search(search))
    return run.take(run.search.step(run.state))


def near(key, best):
    """A score that falls with the distance to `best` on the logarithmic axis `key`."""
    return lambda values: 1 - abs(math.log10(values[key] / best)) / 10


def test_a_grid_has_every_point_once():
    space = {"model.width": {"choice": [8, 16]}, "optimizer.lr": {"log": [1e-3, 1e-1], "steps": 3}}
    assert [(trial.model.width, trial.optimizer.lr) for trial in plan(method="grid", space=space)] == [
        (width, rate) for width in (8, 16) for rate in (1e-3, 1e-2, 1e-1)
    ]


def test_a_joint_mesh_of_two_keys_has_their_product():
    points = [(trial.optimizer.lr, trial.optimizer.weight_decay) for trial in plan(method="grid", space=JOINT)]
    assert points == [(rate, decay) for rate in (1e-3, 1e-2, 1e-1) for decay in (1e-5, 1e-4, 1e-3)]


def test_a_linear_mesh_has_equal_steps():
    space = {"model.dropout": {"uniform": [0, 0.4], "by": 0.1}}
    assert [trial.model.dropout for trial in plan(method="grid", space=space)] == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_keys_that_have_no_effect_give_no_further_points():
    space = {"optimizer.name": {"choice": ["sgd", "adamw"]}, "optimizer.momentum": {"choice": [0.0, 0.5]}}
    points = [(trial.optimizer.name, trial.optimizer.momentum) for trial in plan(method="grid", space=space)]
    assert sorted(points) == [("adamw", 0.9), ("sgd", 0.0), ("sgd", 0.5)]


def test_a_jittered_mesh_stays_in_its_cells_and_in_its_range():
    points = plan(method="jittered", jitter=0.8, space={"optimizer.lr": {"log": [1e-4, 1.0], "factor": 10}})
    places = [math.log10(trial.optimizer.lr) + 4 for trial in points]
    assert [round(place) for place in places] == [0, 1, 2, 3, 4]
    assert all(abs(place - round(place)) <= 0.4 + 1e-3 for place in places)
    assert min(places) >= 0
    assert max(places) <= 4
    assert any(abs(place - round(place)) > 0.05 for place in places)


def test_points_of_a_jittered_joint_mesh_are_shifted_each_for_itself():
    points = plan(method="jittered", space=JOINT)
    assert len(set(rates(points))) == 9
    assert plan(method="jittered", space=JOINT) == points
    assert {trial.trial_id for trial in plan(method="jittered", space=JOINT, seed=1)}.isdisjoint(
        trial.trial_id for trial in points
    )


def test_without_jitter_a_jittered_mesh_is_a_grid():
    assert rates(plan(method="jittered", jitter=0, space=LOG)) == rates(plan(method="grid", space=LOG))


def test_the_mesh_grows_past_the_border_until_the_best_is_inside():
    run = SearchRun(make_search({"method": "grid", "border": 3, "space": LOG}))
    trials = run.to_the_end(near("optimizer.lr", 1.0))
    assert rates(trials) == [1e-3, 1e-2, 1e-1, 1.0, 10.0]
    assert [decision.values["side"] for decision in run.decisions("border")] == ["above", "above"]
    assert run.decisions("border")[0].reason == (
        "the best point (90.00%) lies on the border 0.1 of optimizer.lr: the mesh grows past it to 1.0"
    )


def test_the_mesh_stops_growing_at_its_limit_and_says_so():
    run = SearchRun(make_search({"method": "grid", "border": {"optimizer.lr": 2}, "space": LOG}))
    trials = run.to_the_end(near("optimizer.lr", 1e-9))
    assert rates(trials) == [1e-3, 1e-2, 1e-1, 1e-4, 1e-5]
    assert [decision.values["grows"] for decision in run.decisions("border")] == [True, True, False]
    assert "which has grown 2 time(s), the limit" in run.decisions("border")[-1].reason


def test_a_border_stays_where_nothing_beyond_it_is_admissible():
    run = SearchRun(
        make_search({"method": "grid", "border": 5, "space": {"model.dropout": {"uniform": [0, 0.8], "by": 0.2}}})
    )
    trials = run.to_the_end(lambda values: values["model.dropout"])
    assert [trial.model.dropout for trial in trials] == [0.0, 0.2, 0.4, 0.6, 0.8]
    assert "1.0 is not admissible" in run.decisions("border")[0].reason


def test_only_the_axis_whose_border_is_best_grows_and_by_a_whole_row():
    run = SearchRun(make_search({"method": "grid", "border": 1, "space": JOINT}))
    trials = run.to_the_end(near("optimizer.lr", 0.2))
    grown = [(trial.optimizer.lr, trial.optimizer.weight_decay) for trial in trials[9:12]]
    assert grown == [(1.0, 1e-5), (1.0, 1e-4), (1.0, 1e-3)]


def test_a_border_that_was_grown_in_a_jittered_mesh_has_points_in_the_new_cell():
    run = SearchRun(make_search({"method": "jittered", "border": 1, "space": LOG}))
    trials = run.to_the_end(near("optimizer.lr", 100))
    assert len(trials) == 4
    assert round(math.log10(trials[3].optimizer.lr)) == 0


def test_the_mesh_waits_for_all_points_before_it_checks_the_border():
    run = SearchRun(make_search({"method": "grid", "border": 1, "space": LOG}))
    first, second, third = run.take(run.search.step(run.state))
    run.end(first, 0.1)
    run.end(third, 0.9)
    assert isinstance(run.search.step(run.state), Wait)
    run.end(second, None)
    assert isinstance(run.search.step(run.state), Decide)


def test_a_mesh_without_a_single_result_does_not_grow():
    run = SearchRun(make_search({"method": "grid", "border": 3, "space": LOG}))
    assert len(run.to_the_end(lambda values: None)) == 3


def test_the_mean_over_the_repeats_decides_which_point_is_best():
    run = SearchRun(make_search({"method": "grid", "border": 1, "repeats": 2, "space": LOG}))
    scores = iter([0.5, 0.5, 0.6, 0.6, 0.9, 0.2])  # the single best is on the border, its mean is not the best
    trials = run.to_the_end(lambda values: next(scores))
    assert len(trials) == 6


@pytest.mark.parametrize("cut", range(0, 24, 3))
def test_a_driver_that_is_replaced_grows_the_same_mesh(cut):
    search = {"method": "jittered", "border": 2, "space": LOG}
    score = near("optimizer.lr", 3.0)
    whole = SearchRun(make_search(search))
    trials = whole.to_the_end(score)
    events = [event for event in whole.events if type(event).__name__ in ("TrialPlanned", "Decided")]
    assert len(events) > 3
    again = SearchRun(make_search(search), whole.events[:cut])
    missing = [record.config for record in again.state.pending()]
    for trial in missing:
        again.end(trial, score({"optimizer.lr": trial.optimizer.lr}))
    again.to_the_end(score)
    assert sorted(again.state.trials) == sorted(trial.trial_id for trial in trials)
    assert isinstance(again.search.step(again.state), Over)
