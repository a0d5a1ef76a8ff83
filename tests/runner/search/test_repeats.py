"""Every configuration gets all of its seeds: after a plan that was cut short, and where `repeats` was raised."""

from __future__ import annotations

import pytest

from runner.search.base.best import configuration_of
from runner.search.base.protocol import Plan
from runner.search.choose import choose_search, list_trials
from runner.testing.search_run import SearchRun
from tests.runner.search.sample_searches import make_search, make_sweep

SPACE = {"optimizer.lr": {"log": [0.01, 1.0]}}


def score(values: object) -> float:
    return 0.5


@pytest.mark.parametrize("method", ["random", "tpe"])
@pytest.mark.parametrize("cut", range(1, 6))
def test_a_plan_that_was_cut_short_is_completed(method: str, cut: int) -> None:
    search = {"method": method, "space": SPACE, "trials": 3, "repeats": 2}
    whole = SearchRun(make_search(search)).to_the_end(score)
    run = SearchRun(make_search(search))
    run.take(Plan(tuple(whole[:cut])))
    assert sorted([*whole[:cut], *run.to_the_end(score)], key=lambda trial: trial.trial_id) == sorted(
        whole, key=lambda trial: trial.trial_id
    )


def test_more_repeats_train_only_the_seeds_that_are_new() -> None:
    earlier = list_trials(make_sweep({"space": SPACE, "trials": 3}), "data")
    spec = make_sweep({"space": SPACE, "trials": 3, "repeats": 3})
    run = SearchRun(choose_search(spec, "data", None, earlier))
    first = run.search.step(run.state)
    assert isinstance(first, Plan)
    assert list(first.trials) == earlier  # which the store has
    trials = run.to_the_end(score)
    assert len(trials) == 9
    assert {configuration_of(trial) for trial in trials} == {configuration_of(trial) for trial in earlier}
    assert len({trial.seed for trial in trials}) == 9


def test_fewer_trials_leave_out_the_repeats_of_the_others() -> None:
    many = SearchRun(make_search({"space": SPACE, "trials": 3, "repeats": 2})).to_the_end(score)
    run = SearchRun(make_search({"space": SPACE, "trials": 2, "repeats": 2}))
    run.take(Plan((many[0], many[2], many[4])))  # a seed of each of three configurations
    assert [trial.trial_id for trial in run.to_the_end(score)] == [many[1].trial_id, many[3].trial_id]
