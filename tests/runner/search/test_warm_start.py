from dataclasses import replace

import pytest

from runner.journal.events import Decided
from runner.search.base.former import Former
from runner.testing.search_run import SearchRun
from tests.runner.search.sample_searches import make_search, rates
from tests.sample_runs.sample_run import make_result
from trainables.results.record import TrialRecord

SPACE = {"optimizer.lr": {"log": [1e-4, 1e-1]}}


def make_former(*scores):
    """A run with a trial for each (rate, accuracy)."""
    run = SearchRun(
        make_search({"method": "grid", "space": {"optimizer.lr": {"choice": [rate for rate, _ in scores]}}})
    )
    trials = run.take(run.search.step(run.state))
    records = [
        TrialRecord(trial, "finished" if accuracy else "diverged", "", (make_result(1, accuracy),) if accuracy else ())
        for trial, (_, accuracy) in zip(trials, scores, strict=True)
    ]
    return Former("t/r0", tuple(records), ())


FORMER = make_former((0.002, 0.7), (0.03, 0.9), (0.5, 0.95), (0.01, 0.8), (0.05, None))


def test_the_best_points_inside_the_space_come_first():
    run = SearchRun(make_search({"space": SPACE, "trials": 6, "warm_start": {"run": "t", "best": 2}}, FORMER))
    trials = run.to_the_end(lambda values: 0.5)
    assert rates(trials)[:2] == [0.03, 0.01]
    assert len(trials) == 6
    (decision,) = run.decisions("warm-start")
    assert decision.reason == "2 of the best points of t/r0 come first"


def test_the_same_point_over_the_same_data_is_the_same_trial():
    run = SearchRun(make_search({"space": SPACE, "trials": 1, "warm_start": {"run": "t", "best": 1}}, FORMER))
    (trial,) = run.to_the_end(lambda values: 0.5)
    assert trial.trial_id == FORMER.records[1].trial_id


def test_what_is_on_record_needs_the_former_run_no_more():
    search = {"space": SPACE, "trials": 4, "warm_start": {"run": "t", "best": 2}}
    whole = SearchRun(make_search(search, FORMER))
    whole.to_the_end(lambda values: 0.5)
    again = SearchRun(make_search(search, None), whole.events[:1])
    again.to_the_end(lambda values: 0.5)
    assert list(again.state.trials) == list(whole.state.trials)


@pytest.mark.parametrize("method", ["tpe", "bohb"])
def test_a_model_gets_all_results_of_the_former_run(method):
    pytest.importorskip("optuna")
    warm = {"run": "t", "best": 0}
    search = {"method": method, "startup": 1, "trials": 8, "space": SPACE}
    informed = SearchRun(make_search({**search, "warm_start": warm}, FORMER))
    informed.take(informed.search.step(informed.state))
    values = next(event for event in informed.events if isinstance(event, Decided)).values
    assert [(one["values"], one["state"]) for one in values["results"]][:2] == [
        ({"optimizer.lr": 0.002}, "finished"),
        ({"optimizer.lr": 0.03}, "finished"),
    ]
    assert values["results"][4]["state"] == "diverged"
    alone = SearchRun(make_search({**search, "warm_start": {**warm, "tell": False}}, FORMER))
    assert rates(informed.to_the_end(lambda v: 0.5)) != rates(alone.to_the_end(lambda v: 0.5))


def test_a_model_does_not_get_results_on_other_data_but_the_best_points_come_first():
    pytest.importorskip("optuna")
    records = tuple(
        replace(record, config=record.config.model_copy(update={"data_id": "other"})) for record in FORMER.records
    )
    warm = {"run": "t", "best": 2, "other_data": True}
    search = {"method": "tpe", "startup": 1, "trials": 4, "space": SPACE, "warm_start": warm}
    run = SearchRun(make_search(search, Former("t/r0", records, ())))
    trials = run.to_the_end(lambda values: 0.5)
    (decision,) = run.decisions("warm-start")
    assert (decision.reason, decision.values["results"]) == ("2 of the best points of t/r0 come first", [])
    assert rates(trials)[:2] == [0.03, 0.01]
    assert not {trial.trial_id for trial in trials} & {record.trial_id for record in records}
