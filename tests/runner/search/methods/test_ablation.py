import pytest

from runner.search.base.stage_context import StageContext
from runner.search.methods.ablation import list_arms
from runner.testing.search_run import SearchRun
from tests.runner.search.sample_searches import make_search, make_sweep
from trainables.errors import SweepFileError

CHANGES = {"dropout": {"model.dropout": 0.3}, "no batch norm": {"model.batch_norm": False}}
NONE = {"method": "none", "max_epochs": 3}


def arms(trials):
    return [(trial.model.dropout, trial.model.batch_norm) for trial in trials]


def test_the_baseline_comes_first_then_each_change_alone_then_all_together():
    run = SearchRun(make_search({"method": "ablation", "changes": CHANGES}, scheduler=NONE))
    assert arms(run.to_the_end(lambda values: 0.5)) == [(0.0, True), (0.3, True), (0.0, False), (0.3, False)]


def test_every_arm_has_the_same_seeds_and_whole_comparisons_come_first():
    run = SearchRun(make_search({"method": "ablation", "changes": CHANGES, "repeats": 3}, scheduler=NONE))
    trials = run.to_the_end(lambda values: 0.5)
    assert len(trials) == 12
    assert [len({trial.seed for trial in trials[start : start + 4]}) for start in (0, 4, 8)] == [1, 1, 1]
    assert len({trial.seed for trial in trials}) == 3
    assert arms(trials[4:8]) == arms(trials[:4])


def test_a_single_change_is_not_tried_together_with_nothing():
    run = SearchRun(make_search({"method": "ablation", "changes": {"x": {"model.dropout": 0.3}}}, scheduler=NONE))
    assert len(run.to_the_end(lambda values: 0.5)) == 2


def test_a_change_that_has_all_others_takes_the_place_of_all_together():
    changes = {**CHANGES, "both": {"model.dropout": 0.3, "model.batch_norm": False}}
    spec = make_sweep({"method": "ablation", "changes": changes}, scheduler=NONE)
    found = list_arms(StageContext(spec, "data", "", spec.search, {}))
    assert [name for name, _, _ in found] == ["baseline", "dropout", "no batch norm", "both"]
    assert arms([trials[0] for _, _, trials in found]) == [(0.0, True), (0.3, True), (0.0, False), (0.3, False)]


@pytest.mark.parametrize(
    ("search", "scheduler", "message"),
    [
        (
            {"changes": {"x": {"model.droput": 0.3}}},
            NONE,
            r"changes\.x\.model\.droput: no such key; did you mean model\.dropout",
        ),
        ({"changes": {"x": {"model.dropout": 1.5}}}, NONE, r"changes\.x\.model\.dropout is 1\.5: must be less than 1"),
        ({}, NONE, "an ablation needs its changes"),
        ({"changes": CHANGES}, {"method": "asha"}, "compares trials at equal epochs, but scheduler.method is asha"),
        ({"changes": CHANGES, "space": {"model.width": {"choice": [8]}}}, NONE, "draws nothing: remove space"),
        ({"changes": CHANGES, "trials": 5}, NONE, "trials means nothing to method ablation"),
    ],
)
def test_an_ablation_that_cannot_be_run_is_refused(search, scheduler, message):
    with pytest.raises(SweepFileError, match=message):
        make_sweep({"method": "ablation", **search}, scheduler=scheduler)
