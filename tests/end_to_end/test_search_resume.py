"""Searches and schedulers of real sweeps that are killed: what was decided stays, what follows is as if nothing had been."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.config.sweep import SweepSpec
from runner.journal.events import Event
from runner.journal.journal import Journal
from runner.search.choose import choose_search
from runner.testing.decisions import check_decisions
from tests.sample_runs.sweeps import ROOT, events, outcome, reported_epochs, run_sweep, start_sweep, trial_bits
from trainables.store.folder import Folder

pytestmark = pytest.mark.long

TINY = ["model.width=4", "model.blocks=1"]
PRUNING = [
    str(ROOT / "sweeps" / "digits.yaml"),
    *TINY,
    "search.trials=12",
    "scheduler.max_epochs=9",
    "scheduler.grace_epochs=1",
    "ensemble.size=4",
]


def read_run(store: Path, name: str) -> tuple[list[Event], dict]:
    """Events and head of the only run of a sweep."""
    (run,) = [path.name for path in (store / "sweeps" / name).iterdir() if path.is_dir()]
    head = json.loads((store / "sweeps" / name / run / "sweep.json").read_text())
    return Journal(Folder(store, str(store)), name, run).events, head


def run_with_kills(words: list[str], store: Path, name: str, kills: list[int]) -> dict:
    """Run a sweep that is killed once so many epochs are on record; every time, what was on record stays."""
    for at in kills:
        sweep = start_sweep(*words, f"store={store}")
        sweep.wait_for(lambda at=at: reported_epochs_of(store, name) >= at)
        before = events(store, name)
        sweep.kill()
        assert events(store, name)[: len(before)] == before
    return run_sweep(*words, f"store={store}")


def reported_epochs_of(store: Path, name: str) -> int:
    return sum(event["kind"] == "epoch-reported" for event in events(store, name))


@pytest.mark.parametrize(
    ("method", "kills"),
    [
        pytest.param("asha", [5, 20], id="asha"),
        # These decide by the same step of a record, whose contract suite is quick.
        pytest.param("asha-promote", [14], id="asha-promote", marks=pytest.mark.extended),
        pytest.param("hyperband", [24], id="hyperband", marks=pytest.mark.extended),
        pytest.param("median", [12], id="median", marks=pytest.mark.extended),
    ],
)
def test_with_every_scheduler_the_decisions_of_a_killed_sweep_are_those_of_its_record(tmp_path, method, kills):
    words = [*PRUNING, f"scheduler.method={method}"]
    result = run_with_kills(words, tmp_path / "runs", "digits", kills)
    assert sum(result["trials"].values()) == 12
    events, head = read_run(tmp_path / "runs", "digits")
    spec = SweepSpec.model_validate(head["spec"])
    results, halts = check_decisions(events, spec, lambda: choose_search(spec, head["data_id"]))
    assert results >= 24
    assert halts >= 12
    assert reported_epochs(tmp_path / "runs") == results


SEARCHES = {
    "stages": """
stages:
  - {name: coarse, method: grid, epochs: 2, border: 1, space: {optimizer.lr: {log: [1.0e-3, 1.0e-1], factor: 10}}}
  - {name: fine, method: jittered, epochs: 4, space: {optimizer.lr: {around: coarse, factor: 3, steps: 5}}}
""",
    "pbt": """
method: pbt
population: {size: 4, interval: 2}
space: {optimizer.lr: {log: [1.0e-3, 3.0e-1]}, model.dropout: {uniform: [0.0, 0.3]}}
""",
}


@pytest.mark.parametrize("kind", [pytest.param("stages", marks=pytest.mark.extended), "pbt"])
def test_a_search_that_learns_from_results_comes_to_the_same_bits_when_it_is_killed(tmp_path, kind):
    file = tmp_path / "learns.yaml"
    search = SEARCHES[kind].strip().replace("\n", "\n  ")
    file.write_text(
        f"data: {{name: digits}}\nsearch:\n  {search}\nmodel: {{width: 4, blocks: 1}}\n"
        "scheduler: {method: none, max_epochs: 6}\nensemble: {size: 4}\n"
    )
    undisturbed = run_sweep(str(file), f"store={tmp_path / 'whole'}")
    killed = run_with_kills([str(file)], tmp_path / "killed", "learns", [3, 12])
    assert outcome(killed) == outcome(undisturbed)
    assert trial_bits(tmp_path / "killed") == trial_bits(tmp_path / "whole")
    decided = [
        [
            (event["what"], event["stage"], event["values"])
            for event in events(tmp_path / store, "learns")
            if event["kind"] == "decided"
        ]
        for store in ("whole", "killed")
    ]
    assert decided[0] == decided[1]
    assert len(decided[0]) >= 2


def test_a_budget_of_epochs_ends_a_sweep_and_a_larger_one_goes_on(tmp_path):
    words = [*PRUNING, "scheduler.method=none", f"store={tmp_path / 'runs'}"]
    first = run_sweep(*words, "budget.epochs=20")
    assert (first["outcome"], first["epochs_trained"]) == ("done", 20)
    assert first["reason"] == "the budget ran out (budget.epochs is 20)"
    assert first["ensemble"]["members"] >= 1
    again = run_sweep(*words, "budget.epochs=20")
    assert again["epochs_trained"] == 0
    rest = run_sweep(*words, "budget.epochs=1000")
    assert (rest["outcome"], rest["trials"]["finished"]) == ("done", 12)


@pytest.mark.extended
def test_a_budget_of_trials_and_of_money_end_a_sweep(tmp_path):
    words = [*PRUNING, "scheduler.method=none", "scheduler.max_epochs=3"]
    trials = run_sweep(*words, "budget.trials=5", f"store={tmp_path / 'trials'}")
    assert (trials["trials"]["finished"], trials["reason"]) == (5, "the budget ran out (budget.trials is 5)")
    # A tenth of a cent at 3.60 an hour is one second of the run: over before all is trained.
    money = run_sweep(
        *words, "scheduler.max_epochs=60", "budget.money=0.02", "budget.price=3.6", f"store={tmp_path / 'money'}"
    )
    assert money["reason"] == "the budget ran out (budget.money is 0.02)"
    assert 0 < money["epochs_trained"] < 12 * 60


def test_a_space_that_is_made_narrower_trains_only_what_is_new(tmp_path):
    words = [*PRUNING, "scheduler.method=none", "scheduler.max_epochs=2", f"store={tmp_path / 'runs'}"]
    run_sweep(*words)
    kept = sum(
        0.01 <= event["config"].get("optimizer", {}).get("lr", 0.05) <= 0.3
        for event in events(tmp_path / "runs")
        if event["kind"] == "trial-planned"
    )
    assert 3 <= kept <= 11
    narrower = run_sweep(*words, "optimizer.lr=0.01..0.3:log")
    assert (narrower["epochs_trained"], narrower["trials"]["finished"]) == (2 * (12 - kept), 12)
