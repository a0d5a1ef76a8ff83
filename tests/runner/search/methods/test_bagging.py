"""The members of a bag, and a search that ends in one."""

from __future__ import annotations

import pytest

from runner.search.base.protocol import Over
from runner.testing.search_run import SearchRun
from tests.runner.search.sample_searches import make_search, make_sweep
from trainables.errors import SweepFileError

NONE = {"scheduler": {"method": "none", "max_epochs": 3}}


def bags(trials):
    return [(trial.bag.kind, trial.bag.number, trial.bag.of) for trial in trials]


def run_search(search, **parts):
    return SearchRun(make_search({"method": "bagging", **search}, **NONE, **parts))


def test_bootstraps_are_trained_at_once_and_differ_in_nothing_but_bag_and_seed():
    search = run_search({"bags": 3})
    trials = search.to_the_end(lambda values: 0.5)
    assert bags(trials) == [("bootstrap", 1, 10), ("bootstrap", 2, 10), ("bootstrap", 3, 10)]
    configs = [trial.model_dump(exclude={"bag", "seed"}) for trial in trials]
    assert configs[0] == configs[1] == configs[2]
    assert len({trial.seed for trial in trials}) == 3


def test_folds_are_as_many_as_there_are_members():
    trials = run_search({"bags": {"kind": "fold", "count": 4}}).to_the_end(lambda values: 0.5)
    assert bags(trials) == [("fold", number, 4) for number in (1, 2, 3, 4)]


def test_more_bootstraps_only_add_to_the_end():
    few, more = (run_search({"bags": count}).to_the_end(lambda values: 0.5) for count in (3, 5))
    assert more[:3] == few


def test_each_bag_has_as_many_seeds_as_asked_for():
    trials = run_search({"bags": 2, "repeats": 2}).to_the_end(lambda values: 0.5)
    assert [trial.bag.number for trial in trials] == [1, 2, 1, 2]
    assert len({trial.seed for trial in trials}) == 4


def test_a_new_driver_plans_what_is_missing():
    first = run_search({"bags": 3})
    trials = first.take(first.search.step(first.state))
    again = run_search({"bags": 3}, **{})
    for event in first.events[:2]:
        again.record(event)
    assert again.take(again.search.step(again.state)) == trials[2:]
    assert isinstance(again.search.step(again.state), Over)


def test_a_last_stage_bags_the_best_of_the_stage_before():
    stages = [
        {"name": "find", "method": "grid", "space": {"model.width": {"choice": [4, 8]}}},
        {"name": "bag", "method": "bagging", "bags": 2},
    ]
    search = SearchRun(make_search({"stages": stages}, **NONE))
    trials = search.to_the_end(lambda values: 0.9 if values["model.width"] == 8 else 0.5)
    assert [(trial.model.width, trial.bag.kind) for trial in trials[2:]] == [(8, "bootstrap")] * 2


def test_the_bag_can_be_searched_as_any_other_key():
    space = {"bag.number": {"choice": [1, 2]}, "model.width": {"choice": [4, 8]}}
    search = SearchRun(make_search({"method": "grid", "space": space}, bag={"kind": "fold", "of": 2}, **NONE))
    trials = search.to_the_end(lambda values: 0.5)
    assert sorted((trial.bag.number, trial.model.width) for trial in trials) == [(1, 4), (1, 8), (2, 4), (2, 8)]


@pytest.mark.parametrize(
    ("search", "parts", "complaint"),
    [
        ({"space": {"model.width": {"choice": [4, 8]}}}, {}, "method bagging draws nothing: remove space"),
        ({"trials": 3}, {}, "trials means nothing to method bagging"),
        ({}, {"scheduler": {"method": "asha"}}, "bagging, which wants each of its members whole, but scheduler"),
        ({}, {"bag": {"kind": "fold"}}, "bag.kind is fold, but search.method=bagging has bags of its own: remove bag"),
        ({"bags": 1}, {}, "greater than or equal to 2"),
    ],
)
def test_what_cannot_be_meant_is_refused(search, parts, complaint):
    with pytest.raises(SweepFileError, match=complaint):
        make_search({"method": "bagging", **search}, **(NONE | parts))


def test_bags_mean_nothing_to_other_methods():
    with pytest.raises(SweepFileError, match="bags means nothing to method random: it goes with bagging"):
        make_sweep({"bags": 3})
