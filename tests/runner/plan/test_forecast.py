import pytest

from runner.control.architecture import name_architecture
from runner.journal.journal import UnwrittenJournal
from runner.journal.log import RunLog
from runner.plan.epoch_times import EpochTimes, Overheads
from runner.plan.forecast import SweepState, dry_run, make_forecast
from runner.search.choose import choose_search, list_trials
from tests.sample_runs.sample_run import make_result, make_spec

NO_OVERHEADS = Overheads(start_s=0.0, switch_s=0.0, closing_s=0.0, command_s=0.0)


def make_sweep_state(slots=2, before=(), stored=None, known=None, price=None, **parts):
    """Four trials, each to its end, unless `parts` say otherwise."""
    defaults = {
        "search": {"method": "grid", "space": {"optimizer.lr": {"choice": [0.001, 0.01, 0.1, 1.0]}}},
        "scheduler": {"method": "none", "max_epochs": 3},
    }
    spec = make_spec("runs", **(defaults | parts))
    return SweepState(
        spec, lambda changed: choose_search(changed, "data"), slots, before, stored or {}, known or {}, price
    )


def make_epoch_times(sweep_state, seconds=2.0, unsure=0.0, overheads=NO_OVERHEADS):
    config = list_trials(sweep_state.spec, "data")[0]
    name = name_architecture(config)
    return EpochTimes({name: seconds}, {name: config}, overheads, unsure)


def test_four_trials_of_three_epochs_of_two_seconds_take_twelve_on_two_slots():
    sweep_state = make_sweep_state()
    found = make_forecast(sweep_state, make_epoch_times(sweep_state))
    assert (found.seconds, found.low_s, found.high_s) == (12.0, 12.0, 12.0)
    assert (found.middle.epochs, found.middle.trials, found.middle.ended) == (12, 4, 4)


def test_start_end_and_the_change_of_trials_come_on_top():
    sweep_state = make_sweep_state()
    overheads = Overheads(start_s=10.0, switch_s=0.1, closing_s=1.0, command_s=0.5)
    # Each slot begins two trials.
    assert make_forecast(sweep_state, make_epoch_times(sweep_state, overheads=overheads)).seconds == pytest.approx(
        10 + 12.2 + 1 + 0.5
    )


def test_the_range_is_as_wide_as_the_error_of_the_times():
    sweep_state = make_sweep_state()
    overheads = Overheads(start_s=8.0, switch_s=0.0, closing_s=0.0, command_s=0.0)
    found = make_forecast(sweep_state, make_epoch_times(sweep_state, unsure=0.25, overheads=overheads))
    assert (found.seconds, found.low_s, found.high_s) == (20.0, 15.0, 25.0)


def test_early_stopping_depends_on_luck_and_so_has_a_range():
    sweep_state = make_sweep_state(
        search={"method": "random", "trials": 30, "space": {"optimizer.lr": {"log": [1e-4, 1e-1]}}},
        scheduler={"method": "asha", "max_epochs": 9, "reduction": 3},
    )
    found = make_forecast(sweep_state, make_epoch_times(sweep_state))
    assert 30 < found.low_epochs < found.middle.epochs < found.high_epochs < 270
    assert found.low_s < found.seconds < found.high_s
    assert found == make_forecast(sweep_state, make_epoch_times(sweep_state))


def test_stored_epochs_are_read_in_no_time_and_not_counted():
    sweep_state = make_sweep_state(slots=1)
    trials = [trial.trial_id for trial in list_trials(sweep_state.spec, "data")]
    sweep_state = make_sweep_state(slots=1, stored={trials[0]: {1, 2, 3}, trials[1]: {1}})
    found = make_forecast(sweep_state, make_epoch_times(sweep_state))
    assert found.middle.epochs == 8
    assert found.seconds == pytest.approx(16, abs=0.1)


def test_a_run_continues_where_it_is():
    sweep_state = make_sweep_state(slots=1)
    log = RunLog(UnwrittenJournal(), [])
    log.open({}, 1)
    trials = list_trials(sweep_state.spec, "data")
    log.plan(trials)
    for trial in trials[:3]:
        log.report(trial.trial_id, make_result(1, 0.5), True, None)
        log.report(trial.trial_id, make_result(2, 0.5), True, None)
        log.report(trial.trial_id, make_result(3, 0.5), True, ("finished", ""))
    sweep_state = make_sweep_state(slots=1, before=log.events)
    found = make_forecast(sweep_state, make_epoch_times(sweep_state))
    assert (found.middle.epochs, found.middle.ended) == (3, 4)
    assert found.seconds == pytest.approx(6.0, abs=0.01)


def test_where_nothing_is_left_ray_is_not_started():
    sweep_state = make_sweep_state(slots=1)
    log = RunLog(UnwrittenJournal(), [])
    log.open({}, 1)
    trials = list_trials(sweep_state.spec, "data")
    log.plan(trials)
    for trial in trials:
        log.report(trial.trial_id, make_result(3, 0.5), True, ("finished", ""))
    overheads = Overheads(start_s=10.0, switch_s=0.1, closing_s=1.0, command_s=0.5)
    sweep_state = make_sweep_state(slots=1, before=log.events)
    found = make_forecast(sweep_state, make_epoch_times(sweep_state, overheads=overheads))
    assert found.seconds == pytest.approx(1.5)
    assert found.middle.epochs == 0


@pytest.mark.parametrize(
    ("budget", "cap", "seconds", "begun", "ended"),
    [
        ({}, "", 12, 4, 4),
        ({"wall": 8}, "budget.wall is 8.0 s", 6, 4, 2),  # of 8 s a quarter is kept for the report
        ({"wall": 100}, "", 12, 4, 4),
        ({"trials": 3}, "budget.trials is 3", 12, 3, 3),
        ({"epochs": 4}, "budget.epochs is 4", 4, 2, 0),
        ({"slot_hours": 16 / 3600}, "budget.slot_hours is 0.00444444", 8, 4, 2),
        ({"money": 8.0}, "budget.money is 8", 8, 4, 2),
        ({"money": 80.0}, "", 12, 4, 4),
    ],
)
def test_a_cap_ends_the_run_and_is_named(budget, cap, seconds, begun, ended):
    sweep_state = make_sweep_state(budget=budget, price=3600.0 if "money" in budget else None)
    found = make_forecast(sweep_state, make_epoch_times(sweep_state))
    assert found.middle.cap == cap
    assert found.seconds == pytest.approx(seconds, abs=2.0)
    assert (found.middle.begun, found.middle.ended) == (begun, ended)


def test_without_epoch_times_there_are_epochs_but_no_seconds():
    sweep_state = make_sweep_state(budget={"wall": 1})
    found = make_forecast(sweep_state, None)
    assert (found.seconds, found.low_s, found.high_s) == (None, None, None)
    assert (found.middle.epochs, found.middle.cap) == (12, "")


def test_a_search_that_learns_has_as_many_trials_as_a_random_one():
    space = {"optimizer.lr": {"log": [1e-4, 1e-1]}, "model.width": {"choice": [4, 8]}}
    sweep_state = make_sweep_state(search={"method": "tpe", "trials": 12, "space": space})
    found = dry_run(sweep_state)
    assert (found.trials, found.epochs) == (12, 36)
    assert {config.model.width for config in found.configs} == {4, 8}


def test_each_stage_has_its_trials_and_epochs():
    stages = [
        {"name": "coarse", "method": "grid", "epochs": 2, "space": {"optimizer.lr": {"log": [1e-3, 1], "factor": 10}}},
        {"name": "fine", "method": "grid", "epochs": 3, "space": {"optimizer.lr": {"around": "coarse", "factor": 3}}},
    ]
    sweep_state = make_sweep_state(search={"stages": stages}, ensemble={"size": 2})
    stages = make_forecast(sweep_state, None).middle.stages
    assert stages["coarse"] == (4, 8)
    # The best of the first stage is trained on for one epoch, its neighbours for three.
    assert stages["fine"] == (3, 7)


def test_a_population_is_followed_to_its_end():
    sweep_state = make_sweep_state(
        search={
            "method": "pbt",
            "population": {"size": 4, "interval": 1},
            "space": {"optimizer.lr": {"log": [1e-3, 1e-1]}},
        }
    )
    found = make_forecast(sweep_state, make_epoch_times(sweep_state))
    assert found.middle.epochs == 12
    assert found.seconds == pytest.approx(12.0)


def test_results_on_record_decide_as_they_did():
    rates = [0.001, 0.01, 0.1]
    search = {"method": "grid", "space": {"optimizer.lr": {"choice": rates}}}
    scheduler = {"method": "asha", "max_epochs": 3, "reduction": 3}
    plain = make_sweep_state(slots=1, search=search, scheduler=scheduler)
    trials = [trial.trial_id for trial in list_trials(plain.spec, "data")]
    rising = {name: {1: make_result(1, 0.1 * at)} for at, name in enumerate(trials, 1)}
    falling = {name: {1: make_result(1, -0.1 * at)} for at, name in enumerate(trials, 1)}
    stored = {name: {1} for name in trials}
    epochs = [
        make_forecast(make_sweep_state(slots=1, search=search, scheduler=scheduler, stored=stored, known=known), None)
        for known in (rising, falling)
    ]
    # Each better than all before it: all three go on; else only the first does.
    assert [found.middle.epochs for found in epochs] == [6, 2]


def test_of_networks_that_differ_in_nothing_else_the_slower_one_is_better():
    stages = [
        {"name": "capacity", "method": "grid", "epochs": 9, "space": {"model.width": {"choice": [4, 64]}}},
        {"name": "rate", "method": "grid", "epochs": 1, "space": {"optimizer.lr": {"choice": [0.001, 0.01, 0.1]}}},
    ]
    sweep_state = make_sweep_state(slots=1, search={"stages": stages}, ensemble={"size": 2})
    first, second = list_trials(sweep_state.spec, "data")
    configs = {name_architecture(config): config for config in (first, second)}
    epoch_times = EpochTimes(dict(zip(configs, (1.0, 4.0), strict=True)), configs, NO_OVERHEADS, 0.0)
    assert make_forecast(sweep_state, epoch_times).seconds == pytest.approx(9 * 1 + 9 * 4 + 3 * 4)
