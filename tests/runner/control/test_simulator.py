import pytest

from runner.control.simulator import simulate
from runner.journal.events import TrialEnded
from runner.journal.journal import UnwrittenJournal
from runner.search.choose import choose_search
from tests.runner.search.sample_searches import make_sweep
from trainables.results.record import EpochResult

LR = {"optimizer.lr": {"choice": [0.01, 0.02, 0.03, 0.04]}}
NONE = {"method": "none", "max_epochs": 3}


def simulated_epochs(seconds=2.0, diverges=()):
    """Trials whose accuracy is their learning rate; an epoch takes `seconds`."""

    def outcome(trial, epoch):
        if trial.optimizer.lr in diverges:
            return None
        return EpochResult(epoch, 0.5, 0.5, 0.5, trial.optimizer.lr, seconds, 0.0)

    return outcome


def run(spec, outcome, slots=2, **options):
    return simulate(spec, choose_search(spec, "data"), slots, outcome, **options)


def test_the_clock_is_that_of_the_slots():
    spec = make_sweep({"method": "grid", "space": LR}, scheduler=NONE)
    simulation = run(spec, simulated_epochs())
    assert simulation.elapsed_s == 4 * 3 * 2.0 / 2
    assert simulation.state.counts() == {"finished": 4}
    assert run(spec, simulated_epochs(), slots=4).elapsed_s == 6.0
    assert run(spec, simulated_epochs(), slots=3).elapsed_s == 12.0


def test_beginning_a_trial_takes_its_time():
    spec = make_sweep({"method": "grid", "space": LR}, scheduler=NONE)
    assert run(spec, simulated_epochs(), trial_start_s=0.5).elapsed_s == pytest.approx(12.0 + 2 * 0.5)


def test_a_range_test_takes_its_time_once_an_architecture():
    space = {"optimizer.lr": {"range_test": True}, "model.width": {"choice": [8, 16]}}
    spec = make_sweep({"trials": 4, "space": space}, scheduler=NONE)
    assert run(spec, simulated_epochs(), range_test_s=5.0).elapsed_s == pytest.approx(5.0 + 12.0)


def test_trials_that_diverge_end_at_once():
    spec = make_sweep({"method": "grid", "space": LR}, scheduler=NONE)
    simulation = run(spec, simulated_epochs(diverges=(0.02, 0.03)))
    assert simulation.state.counts() == {"finished": 2, "diverged": 2}


def test_a_budget_stops_what_runs():
    spec = make_sweep({"method": "grid", "space": LR}, scheduler=NONE, budget={"epochs": 4})
    simulation = run(spec, simulated_epochs())
    assert simulation.state.all_epochs_trained == 4
    spec = make_sweep({"method": "grid", "space": LR}, scheduler=NONE, budget={"wall": 5.0})
    simulation = run(spec, simulated_epochs())
    assert (simulation.elapsed_s, simulation.state.all_epochs_trained) == (5.0, 4)
    assert simulation.state.counts() == {"stopped": 2, "waiting": 2}


def test_a_simulation_continues_from_the_events_of_a_run():
    spec = make_sweep({"method": "grid", "space": LR}, scheduler=NONE)
    whole = run(spec, simulated_epochs())
    ends = [place for place, event in enumerate(whole.events, start=1) if isinstance(event, TrialEnded)]
    half = whole.events[: ends[1]]  # an epoch and the end that it brings are written in one go
    rest = run(spec, simulated_epochs(), journal=UnwrittenJournal(half))
    assert rest.state.counts() == {"finished": 4}
    assert rest.state.all_epochs_trained == 12
    assert rest.elapsed_s < whole.elapsed_s


def test_promotions_and_stages_come_to_their_end():
    stages = [
        {"name": "a", "method": "grid", "space": LR, "epochs": 1},
        {
            "name": "b",
            "method": "grid",
            "space": {"optimizer.lr": {"around": "a", "factor": 1.1}},
            "scheduler": {"method": "asha-promote", "max_epochs": 4, "reduction": 2},
        },
    ]
    spec = make_sweep({"stages": stages}, scheduler=NONE)
    simulation = run(spec, simulated_epochs())
    assert not simulation.state.pending()
    assert {record.stage for record in simulation.state.trials.values()} == {"a", "b"}
    assert max(len(record.epochs) for record in simulation.state.trials.values()) == 4
