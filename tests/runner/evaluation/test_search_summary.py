import json

import pytest

from runner.config.sweep import SweepSpec
from runner.evaluation.search_summary import summarise_search
from runner.journal.events import Decided, EpochReported, RangeTested, TrialAudited
from runner.journal.state import RunState
from runner.search.choose import choose_search
from runner.testing.search_run import WHEN, SearchRun
from tests.runner.search.sample_searches import make_sweep
from tests.sample_runs.sample_run import make_result, make_spec, write_sample_run


def finished_search(search, score, **parts):
    """The state of a run that has ended, and its sweep."""
    spec = make_sweep(search, **parts)
    run = SearchRun(choose_search(spec, "data"))
    run.to_the_end(score)
    return run.state, spec


def test_a_search_that_decided_nothing_has_no_summary(tmp_path):
    state, spec = finished_search({"trials": 3, "space": {"optimizer.lr": {"log": [0.01, 0.1]}}}, lambda values: 0.5)
    assert summarise_search(state, spec).is_empty
    assert summarise_search(RunState(), None).is_empty


def test_rungs_are_those_of_the_stages_that_have_begun():
    def rungs(scheduler, **search):
        state, spec = finished_search(
            {"trials": 9, "space": {"optimizer.lr": {"log": [0.01, 0.1]}}, **search},
            lambda values: 0.5,
            scheduler=scheduler,
        )
        return summarise_search(state, spec).rungs

    assert rungs({"method": "asha", "max_epochs": 27, "grace_epochs": 3}) == (3, 9)
    assert rungs({"method": "asha", "max_epochs": 9, "brackets": 2}) == (1, 3)
    assert rungs({"method": "hyperband", "max_epochs": 8, "reduction": 3}) == (2,)  # 8, 8 // 3
    assert rungs({"method": "none", "max_epochs": 3}) == ()
    assert summarise_search(RunState(), None).rungs == ()


def test_ranges_are_the_widest_ends_of_the_stages():
    space = {
        "optimizer.lr": {"log": [0.01, 0.1]},
        "model.width": {"choice": [16, 8, 32]},
        "model.batch_norm": {"choice": [True, False]},
        "optimizer.name": {"choice": ["sgd", "adamw"]},
    }
    state, spec = finished_search({"trials": 3, "space": space}, lambda values: 0.5)
    assert summarise_search(state, spec).ranges == {"optimizer.lr": (0.01, 0.1), "model.width": (8.0, 32.0)}


def test_stages_and_borders_are_reported_with_their_reasons():
    stages = [
        {
            "name": "a",
            "method": "grid",
            "epochs": 1,
            "border": 1,
            "space": {"optimizer.lr": {"log": [0.01, 0.1], "factor": 10}},
        },
        {"name": "b", "method": "grid", "epochs": 2, "space": {"optimizer.lr": {"around": "a", "factor": 3}}},
    ]
    state, spec = finished_search({"stages": stages}, lambda values: min(0.9, values["optimizer.lr"]))
    summary = summarise_search(state, spec)
    assert [(entry.stage, entry.what) for entry in summary.decisions] == [
        ("a", "border"),
        ("a", "border"),
        ("a", "stage"),
        ("b", "stage"),
    ]
    assert "the mesh grows past it to 1.0" in summary.decisions[0].reason
    first, second = summary.stages
    assert (first.name, first.method, first.chosen) == ("a", "grid", {"optimizer.lr": 1.0})
    assert (first.trials, first.epochs, second.trials, second.epochs, second.best) == (3, 3, 3, 3, 0.9)


def test_an_ablation_is_compared_arm_by_arm():
    search = {"method": "ablation", "repeats": 2, "changes": {"dropout": {"model.dropout": 0.3}}}
    none = {"method": "none", "max_epochs": 1}
    state, spec = finished_search(search, lambda values: 0.8 if values["model.dropout"] else 0.7, scheduler=none)
    ablation = summarise_search(state, spec).ablation
    (row,) = ablation.rows
    assert (row.name, row.pairs) == ("dropout", 2)
    assert row.validation.difference == pytest.approx(0.1)


def test_arms_stand_in_the_order_of_the_file_whatever_order_the_stored_record_has():
    changes = {"z": {"model.dropout": 0.3}, "a": {"model.batch_norm": False}}
    search = {"method": "ablation", "changes": changes}
    state, spec = finished_search(search, lambda values: 0.8, scheduler={"method": "none", "max_epochs": 1})
    stored = SweepSpec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json"), sort_keys=True)))
    assert list(stored.search.changes) == ["a", "z"]
    found = summarise_search(state, stored).ablation
    assert [row.name for row in found.rows] == ["z", "a", "all together"]
    assert [level.name for level in found.levels] == ["baseline", "z", "a", "all together"]


def test_repeats_measure_the_noise_of_seeds():
    search = {"method": "grid", "repeats": 2, "space": {"optimizer.lr": {"choice": [0.01, 0.1]}}}
    scores = iter([0.7, 0.72, 0.9, 0.9])
    state, spec = finished_search(search, lambda values: next(scores))
    noise = summarise_search(state, spec).noise
    assert noise.sd == pytest.approx(0.01)
    assert [group.tied for group in noise.groups] == [True, False]


def test_range_tests_and_lineages_are_reported():
    entry = RangeTested(
        **WHEN, key="abc", low=0.01, high=0.2, reason="falls", rates=[0.1, 0.2], losses=[2.0, 1.0], busy_s=1.0
    )
    step = {"first_epoch": 1, "last_epoch": 3, "trial_id": "t", "values": {"optimizer.lr": 0.1}, "accuracy": 0.5}
    schedule = Decided(**WHEN, what="schedule", reason="found", values={"steps": [step]})
    summary = summarise_search(RunState([entry, schedule]), None)
    assert (summary.range_tests[0].label, summary.range_tests[0].low, summary.range_tests[0].rates) == (
        "abc",
        0.01,
        (0.1, 0.2),
    )
    assert [(one.last_epoch, one.values) for one in summary.lineage] == [(3, {"optimizer.lr": 0.1})]
    assert [one.what for one in summary.decisions] == ["range", "schedule"]


def test_audited_trials_are_evaluated(tmp_path):
    state = write_sample_run(tmp_path).state
    pruned = next(record for record in state.trials.values() if record.state == "pruned")
    state.apply(TrialAudited(**WHEN, trial_id=pruned.trial_id, epoch=1))
    assert summarise_search(state, make_spec("runs")).audit is None  # nothing is known of it yet
    for epoch in (2, 3):
        state.apply(EpochReported(**WHEN, trial_id=pruned.trial_id, result=make_result(epoch, 0.4), trained=True))
    summary = summarise_search(state, make_spec("runs"))
    assert [row.audited.record.trial_id for row in summary.audit.rows] == [pruned.trial_id]
    assert [entry.what for entry in summary.decisions] == ["audit", "budget"]
