"""The simulation drives the real searches and schedulers; what is shown here for a few hundred trials holds at any size."""

from __future__ import annotations

import math

import pytest

from benchmarks.curves import Surrogate, load_curves
from benchmarks.search import METHODS
from benchmarks.simulation import Incumbent, Stage, make_spec, simulate_sweep, with_ray_asha
from runner.journal.events import EpochReported
from runner.search.choose import choose_search, list_trials
from runner.testing.decisions import check_decisions

ASHA = {"method": "asha", "reduction": 3}


@pytest.fixture(scope="module")
def surrogate():
    return Surrogate(load_curves())


@pytest.mark.parametrize(
    "method",
    ["asha", *(pytest.param(name, marks=pytest.mark.long) for name in ("asha-promote", "hyperband", "median"))],
)
def test_the_same_results_in_the_same_order_give_the_same_decisions(surrogate, method):
    spec = make_spec({"trials": 150}, {"method": method})
    done = simulate_sweep(spec, Stage(surrogate, seed=1), slots=8)
    assert not done.state.pending()
    results, decisions = check_decisions(done.events, spec, lambda: choose_search(spec, "simulated"), every=7)
    assert results > 30
    assert decisions > 10


def test_a_simulation_repeats(surrogate):
    spec = make_spec({"trials": 60}, ASHA)
    runs = [simulate_sweep(spec, Stage(surrogate, seed=1), slots=4) for _ in range(2)]
    assert runs[0].elapsed_s == runs[1].elapsed_s
    assert runs[0].state.trials == runs[1].state.trials


def test_the_budget_bounds_the_simulated_time_and_more_slots_do_more(surrogate):
    spec = make_spec({"trials": 400}, ASHA)
    few, many = (simulate_sweep(spec, Stage(surrogate, seed=1), slots=slots, until_s=20.0) for slots in (2, 8))
    assert few.elapsed_s == many.elapsed_s == 20.0
    assert many.state.all_epochs_trained > 3 * few.state.all_epochs_trained


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_of_the_table_finds_something(surrogate, name):
    search, scheduler = METHODS[name]
    stage, incumbent = Stage(surrogate, seed=1), Incumbent()
    simulate_sweep(make_spec(search, scheduler), stage, slots=8, until_s=12.0, listeners=[incumbent])
    regrets = [incumbent.regret_at(surrogate, stage, at_s) for at_s in (0.0, 12.0)]
    assert regrets[0] == surrogate.best_accuracy
    assert -0.02 < regrets[1] < 0.5


def test_a_loss_that_is_no_number_ends_our_trials_and_not_rays(surrogate):
    spec = make_spec({"trials": 60}, ASHA)
    ours = simulate_sweep(spec, Stage(surrogate, 1, nan_share=0.3), slots=4)
    rays = simulate_sweep(spec, Stage(surrogate, 1, nan_share=0.3, reports_nan=True), slots=4, choose=with_ray_asha)
    assert 8 <= ours.state.counts()["diverged"] <= 30
    wasted = [
        event for event in rays.events if isinstance(event, EpochReported) and math.isnan(event.result.train_loss)
    ]
    assert len(wasted) >= 20 * ours.state.counts()["diverged"]


def test_curves_do_not_depend_on_whether_they_were_prepared(surrogate):
    spec = make_spec({"trials": 5}, ASHA)
    trials = list_trials(spec, "simulated")
    prepared, directly_asked = Stage(surrogate, seed=2), Stage(surrogate, seed=2)
    prepared.prepare(trials)
    assert [prepared.epoch_result(trial, 3) for trial in trials] == [
        directly_asked.epoch_result(trial, 3) for trial in trials
    ]
