"""The fold over a run's journal that decides for all slots; Tune's side of it is `RayScheduler`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler

from runner.config.scheduler import PatienceConfig, SchedulerConfig
from runner.journal.events import (
    EpochRepeated,
    EpochReported,
    TrialAudited,
    TrialEnded,
    TrialPaused,
    TrialPlanned,
    TrialPromoted,
)
from tests.sample_runs.driver import A, B, C, Driver, FixedTrials
from tests.sample_runs.sample_run import make_result, make_trial
from trainables.results.record import TrialCost

CONTINUE, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP

ASHA = SchedulerConfig(method="asha", max_epochs=9, reduction=3)
NONE = SchedulerConfig(method="none", max_epochs=3)


def begin(folder, config, trials=None, **parts):
    """A driver whose trials have all been handed out."""
    driver = Driver(folder, config, trials or [A, B, C], **parts)
    driver.take_all()
    return driver


def test_a_trial_is_finished_at_its_last_epoch(tmp_path):
    driver = begin(tmp_path, NONE)
    assert [driver.report_epoch(A, epoch, 0.5) for epoch in (1, 2, 3)] == [CONTINUE, CONTINUE, STOP]
    assert driver.record(A).state == "finished"
    assert driver.record(A).epochs == tuple(make_result(epoch, 0.5) for epoch in (1, 2, 3))
    assert driver.log.state.epochs_trained == 3


def test_a_trial_at_its_last_epoch_is_finished_even_if_it_is_the_worst(tmp_path):
    driver = begin(tmp_path, SchedulerConfig(method="asha", max_epochs=1, reduction=3))
    assert driver.report_epoch(A, 1, 0.9) == STOP
    assert driver.report_epoch(B, 1, 0.1) == STOP
    assert [driver.record(trial).state for trial in (A, B)] == ["finished", "finished"]


def test_a_trial_below_the_cut_off_is_pruned_and_the_log_says_why(tmp_path):
    driver = begin(tmp_path, ASHA)
    assert driver.report_epoch(A, 1, 0.9) == CONTINUE
    assert driver.report_epoch(B, 1, 0.5) == STOP
    assert (driver.record(B).state, driver.record(B).reason) == ("pruned", "pruned at rung 1, rank 2 of 2")
    assert driver.record(A).state == "waiting"  # `Slots` tells of starts


def test_the_scheduler_none_prunes_nobody(tmp_path):
    driver = begin(tmp_path, NONE)
    for epoch in (1, 2):
        assert [driver.report_epoch(trial, epoch, value) for trial, value in ((A, 0.9), (B, 0.1), (C, 0.0))] == [
            CONTINUE
        ] * 3
    assert driver.events_of(TrialEnded) == []


@pytest.mark.parametrize("state", ["diverged", "failed", "stopped"])
def test_a_trial_that_reports_its_own_end_is_stopped_with_its_reason(tmp_path, state):
    driver = begin(tmp_path, ASHA)
    driver.report_epoch(A, 1, 0.9)
    assert driver.report_end(A, state, "loss is nan") == STOP
    assert (driver.record(A).state, driver.record(A).reason) == (state, "loss is nan")
    assert len(driver.record(A).epochs) == 1


def test_an_end_does_not_replace_the_one_on_record(tmp_path):
    driver = begin(tmp_path, ASHA)
    driver.report_epoch(A, 1, 0.9)
    driver.report_epoch(B, 1, 0.5)
    assert driver.report_end(B, "stopped", "the budget ran out") == STOP
    driver.lose(B, "killed")
    assert (driver.record(B).state, len(driver.events_of(TrialEnded))) == ("pruned", 1)


def test_a_lost_worker_is_a_failure_that_names_the_last_cause(tmp_path):
    driver = begin(tmp_path, ASHA)
    driver.lose(A, "Traceback\n  at x\nray.exceptions.ActorDiedError: killed by signal 9\n")
    reason = "its worker was lost 4 times; the last time: ray.exceptions.ActorDiedError: killed by signal 9"
    assert (driver.record(A).state, driver.record(A).reason) == ("failed", reason)


def test_a_worker_that_could_not_be_started_is_no_fault_of_its_trial(tmp_path):
    driver = begin(tmp_path, ASHA)
    driver.lose(A, "ray.exceptions.RuntimeEnvSetupError: Failed to set up runtime environment.")
    assert driver.record(A).state == "stopped"
    assert A.trial_id in {record.trial_id for record in driver.log.state.pending()}


@pytest.mark.parametrize("error", [None, ""])
def test_a_lost_worker_without_a_message_is_a_failure_too(tmp_path, error):
    driver = begin(tmp_path, ASHA)
    driver.lose(A, error, failures=1)
    assert driver.record(A).reason == "its worker was lost 1 times; the last time: no reason is known"


def test_an_epoch_that_is_reported_again_changes_nothing(tmp_path):
    driver = begin(tmp_path, ASHA)
    driver.report_epoch(A, 1, 0.9)
    driver.report_epoch(A, 2, 0.9)
    before = list(driver.log.events)
    assert driver.report_epoch(A, 1, 0.1, trained=False) == CONTINUE
    assert driver.log.events == before
    assert driver.report_epoch(B, 1, 0.89) == STOP  # the rung still has 0.9 of A


def test_an_epoch_that_was_trained_again_counts_as_work_and_not_as_a_result(tmp_path):
    driver = begin(tmp_path, ASHA)
    driver.report_epoch(A, 1, 0.9)
    driver.report_epoch(A, 2, 0.9)
    assert driver.report_epoch(A, 1, 0.9, trained=True) == CONTINUE
    assert [event.epoch for event in driver.events_of(EpochRepeated)] == [1]
    assert len(driver.events_of(EpochReported)) == 2
    assert driver.log.state.epochs_trained == 3
    assert driver.report_epoch(A, 2, 0.9, trained=False) == CONTINUE
    assert driver.report_epoch(A, 3, 0.9) == CONTINUE
    assert driver.log.state.last_epoch(A.trial_id) == 3


def test_a_trial_that_has_ended_is_repaired_up_to_its_last_epoch_and_stopped_there_again(tmp_path):
    config = SchedulerConfig(method="asha", max_epochs=9, reduction=3, grace_epochs=3)
    driver = begin(tmp_path, config)
    for epoch in (1, 2, 3):
        driver.report_epoch(A, epoch, 0.9)
    assert [driver.report_epoch(B, epoch, 0.5) for epoch in (1, 2, 3)] == [CONTINUE, CONTINUE, STOP]
    again = begin(tmp_path, config)
    assert [again.report_epoch(B, epoch, 0.5) for epoch in (1, 2, 3)] == [CONTINUE, CONTINUE, STOP]
    assert (again.record(B).state, len(again.record(B).epochs)) == ("pruned", 3)
    assert (len(again.events_of(TrialEnded)), len(again.events_of(EpochRepeated))) == (1, 3)


def test_the_rungs_are_filled_from_the_record(tmp_path):
    first = begin(tmp_path, ASHA)
    first.report_epoch(A, 1, 0.9)
    again = begin(tmp_path, ASHA)
    assert again.report_epoch(B, 1, 0.5) == STOP
    assert again.record(B).reason == "pruned at rung 1, rank 2 of 2"


def test_decisions_on_record_are_not_taken_a_second_time(tmp_path):
    first = begin(tmp_path, ASHA)
    first.report_epoch(A, 1, 0.5)  # alone at its rung
    first.report_epoch(B, 1, 0.8)
    first.report_epoch(C, 1, 0.9)
    before = [event for event in first.log.events if isinstance(event, TrialEnded)]
    again = begin(tmp_path, ASHA)
    assert again.events_of(TrialEnded) == before == []
    assert again.report_epoch(A, 1, 0.5, trained=False) == CONTINUE
    assert again.report_epoch(A, 2, 0.99) == STOP  # a new result, and by now two have beaten its only rung
    assert again.record(A).reason == "pruned at rung 1, rank 3 of 3"


def test_epochs_from_the_store_are_decided_on_as_if_they_were_trained(tmp_path):
    driver = begin(tmp_path, ASHA)
    driver.report_epoch(A, 1, 0.9, trained=False)
    assert driver.report_epoch(B, 1, 0.5, trained=False) == STOP
    assert driver.log.state.epochs_trained == 0
    assert driver.record(B).state == "pruned"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), max_size=27),
    st.lists(st.integers(0, 27), max_size=2),
)
def test_a_run_that_is_killed_between_results_ends_as_one_that_is_not(tmp_path_factory, told, killed_at):
    config = SchedulerConfig(method="asha", max_epochs=4, reduction=2)

    def run(killed_at):
        folder = tmp_path_factory.mktemp("store")
        driver, answers = begin(folder, config), []
        for turn, (number, eighths) in enumerate(told):
            if turn in killed_at:
                driver = begin(folder, config)
            trial = (A, B, C)[number]
            if not driver.log.state.has_ended(trial.trial_id):
                epoch = driver.log.state.last_epoch(trial.trial_id) + 1
                answers.append(driver.report_epoch(trial, epoch, eighths / 8))
        return answers, driver.log.state.trials

    assert run(killed_at) == run([])


def test_trials_come_in_the_order_of_the_search_and_then_no_more(tmp_path):
    driver = Driver(tmp_path, NONE)
    assert [task.name for task in driver.take_all()] == [A.trial_id, B.trial_id, C.trial_id]
    assert [event.trial_id for event in driver.events_of(TrialPlanned)] == [A.trial_id, B.trial_id, C.trial_id]
    assert driver.controller.next_task() == "wait"  # they are running
    for trial in (A, B, C):
        driver.report_end(trial, "failed", "it broke")
    assert driver.controller.next_task() == "over"
    assert driver.controller.is_over


def test_a_new_driver_begins_with_what_has_no_end_after_the_last_epoch_on_record(tmp_path):
    first = begin(tmp_path, NONE)
    first.report_epoch(A, 1, 0.5)
    first.report_epoch(B, 1, 0.5)
    first.report_epoch(B, 2, 0.5)
    first.report_end(C, "diverged", "loss is nan")
    again = Driver(tmp_path, NONE)
    assert [(task.name, task.after_epoch) for task in again.take_all()] == [(A.trial_id, 1), (B.trial_id, 2)]


def test_epochs_whose_checkpoints_were_lost_are_trained_again_even_of_trials_that_have_ended(tmp_path):
    first = begin(tmp_path, NONE)
    for epoch in (1, 2, 3):
        first.report_epoch(A, epoch, 0.5)
    first.report_epoch(B, 1, 0.5)
    again = Driver(tmp_path, NONE, lost={A.trial_id: {2, 3}})
    tasks = [(task.name, task.after_epoch) for task in again.take_all()]
    assert tasks == [(A.trial_id, 1), (B.trial_id, 1), (C.trial_id, 0)]


def test_trials_that_the_search_dropped_are_not_trained(tmp_path):
    begin(tmp_path, NONE)
    again = Driver(tmp_path, NONE, [A, B])
    assert [task.name for task in again.take_all()] == [A.trial_id, B.trial_id]


def test_a_trial_that_pauses_releases_its_slot_and_continues_when_it_is_promoted(tmp_path):
    driver = begin(tmp_path, SchedulerConfig(method="asha-promote", max_epochs=4, reduction=2))
    assert driver.report_epoch(A, 1, 0.5) == STOP
    assert driver.record(A).state == "paused"
    assert driver.report_epoch(B, 1, 0.4) == STOP  # the better one of two may go on
    assert [(task.name, task.after_epoch) for task in driver.take_all()] == [(A.trial_id, 1)]
    assert [event.trial_id for event in driver.events_of(TrialPromoted)] == [A.trial_id]
    assert [event.trial_id for event in driver.events_of(TrialPaused)] == [A.trial_id, B.trial_id]
    assert driver.record(B).state == "paused"


def test_paused_trials_are_pruned_once_nothing_more_can_come(tmp_path):
    driver = begin(tmp_path, SchedulerConfig(method="asha-promote", max_epochs=2, reduction=3))
    for trial, accuracy in ((A, 0.9), (B, 0.5), (C, 0.4)):
        driver.report_epoch(trial, 1, accuracy)
    assert [task.name for task in driver.take_all()] == [A.trial_id]
    assert driver.report_epoch(A, 2, 0.9) == STOP
    assert driver.controller.next_task() == "over"
    assert [driver.record(trial).state for trial in (A, B, C)] == ["finished", "pruned", "pruned"]
    assert driver.record(C).reason == "pruned at rung 1, rank 3 of 3"


def test_a_paused_trial_waits_over_a_restart(tmp_path):
    config = SchedulerConfig(method="asha-promote", max_epochs=4, reduction=3)
    first = begin(tmp_path, config)
    first.report_epoch(A, 1, 0.9)
    first.report_epoch(B, 1, 0.5)
    again = Driver(tmp_path, config)
    assert [task.name for task in again.take_all()] == [C.trial_id]
    assert again.report_epoch(C, 1, 0.4) == STOP
    assert [(task.name, task.after_epoch) for task in again.take_all()] == [(A.trial_id, 1)]


def test_patience_finishes_a_trial_early_and_says_so(tmp_path):
    config = SchedulerConfig(method="none", max_epochs=50, patience=PatienceConfig(epochs=3, smoothing=0.0))
    driver = begin(tmp_path, config)
    answers = [driver.report_epoch(A, epoch, 0.5, loss=1.0 if epoch < 3 else 2.0) for epoch in range(1, 12)]
    assert STOP in answers
    assert driver.record(A).state == "finished"
    assert driver.record(A).reason.startswith("stopped early")


def test_an_audit_trains_pruned_trials_to_the_end_and_ignores_the_scheduler(tmp_path):
    config = SchedulerConfig(method="asha", max_epochs=3, reduction=3, audit=1)
    driver = begin(tmp_path, config)
    driver.report_epoch(A, 1, 0.9)
    assert [driver.report_epoch(trial, 1, accuracy) for trial, accuracy in ((B, 0.5), (C, 0.4))] == [STOP, STOP]
    for epoch in (2, 3):
        driver.report_epoch(A, epoch, 0.9)
    (task,) = driver.take_all()
    assert task.after_epoch == 1
    trial = B if task.name == B.trial_id else C
    assert [event.trial_id for event in driver.events_of(TrialAudited)] == [trial.trial_id]
    assert (driver.report_epoch(trial, 2, 0.99), driver.report_epoch(trial, 3, 0.99)) == (CONTINUE, STOP)
    record = driver.record(trial)
    assert (record.state, record.audited_from, len(record.epochs)) == ("pruned", 1, 3)
    assert record.reason.startswith("pruned at rung 1")
    assert driver.controller.next_task() == "over"
    assert Driver(tmp_path, config).controller.is_over


def test_an_audit_that_was_cut_short_continues(tmp_path):
    config = SchedulerConfig(method="asha", max_epochs=3, reduction=3, audit=2)
    first = begin(tmp_path, config)
    first.report_epoch(A, 1, 0.9)
    first.report_epoch(B, 1, 0.5)
    first.report_epoch(C, 1, 0.4)
    first.report_epoch(A, 2, 0.9)
    first.report_epoch(A, 3, 0.9)
    first.take_all()
    first.report_epoch(B, 2, 0.6)
    again = Driver(tmp_path, config)
    assert {(task.name, task.after_epoch) for task in again.take_all()} == {(B.trial_id, 2), (C.trial_id, 1)}


def test_a_budget_of_trials_begins_no_more_than_that(tmp_path):
    driver = Driver(tmp_path, NONE, budget={"trials": 2})
    assert [task.name for task in driver.take_all()] == [A.trial_id, B.trial_id]
    for trial in (A, B):
        for epoch in (1, 2, 3):
            driver.report_epoch(trial, epoch, 0.5)
    assert driver.controller.next_task() == "over"
    assert driver.controller.is_capped
    more = Driver(tmp_path, NONE, budget={"trials": 3})
    assert [task.name for task in more.take_all()] == [C.trial_id]


def test_a_later_stage_continues_a_trial_and_prunes_it_by_its_own_rungs(tmp_path):
    stages = {
        "stages": [
            {"name": "coarse", "epochs": 1, "space": {"optimizer.lr": {"choice": [0.1]}}},
            {"name": "fine", "scheduler": {"method": "none", "max_epochs": 3}, "space": {}},
        ]
    }
    first = begin(tmp_path, NONE, FixedTrials([A], "coarse"), search=stages)
    assert first.report_epoch(A, 1, 0.5) == STOP
    later = Driver(tmp_path, NONE, FixedTrials([A], "fine"), search=stages)
    assert [(task.name, task.after_epoch) for task in later.take_all()] == [(A.trial_id, 1)]
    assert (later.report_epoch(A, 2, 0.5), later.report_epoch(A, 3, 0.5)) == (CONTINUE, STOP)
    assert later.record(A).stage == "fine"


def test_a_trial_that_has_had_the_epochs_of_a_later_stage_is_not_trained_again(tmp_path):
    stages = {
        "stages": [
            {"name": "long", "epochs": 2, "space": {"optimizer.lr": {"choice": [0.1]}}},
            {"name": "short", "epochs": 1, "space": {}},
        ]
    }
    first = begin(tmp_path, NONE, FixedTrials([A], "long"), search=stages)
    first.report_epoch(A, 1, 0.5)
    first.report_epoch(A, 2, 0.5)
    later = Driver(tmp_path, NONE, FixedTrials([A], "short"), search=stages)
    assert later.take_all() == []
    assert (later.record(A).state, later.record(A).reason) == ("finished", "it had 2 epochs already")


def test_a_trial_that_continues_a_checkpoint_counts_from_its_epoch(tmp_path):
    child = make_trial(7, parent={"trial_id": A.trial_id, "epoch": 2})
    driver = Driver(tmp_path, NONE, [child])
    assert [task.after_epoch for task in driver.take_all()] == [2]
    assert driver.report_epoch(child, 3, 0.5) == STOP
    assert driver.record(child).state == "finished"


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["asha", "asha-promote", "hyperband", "median"]),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), max_size=60),
    st.lists(st.integers(0, 60), max_size=3),
)
def test_with_every_scheduler_a_run_that_is_killed_ends_as_one_that_is_not(tmp_path_factory, method, told, killed_at):
    config = SchedulerConfig(method=method, max_epochs=4, reduction=2)
    trials = [make_trial(number) for number in range(6)]

    def run(killed_at):
        folder = tmp_path_factory.mktemp("store")
        driver = Driver(folder, config, trials)
        running = {task.name for task in driver.take_all()}
        for turn, (number, eighths) in enumerate(told):
            if turn in killed_at:
                driver = Driver(folder, config, trials)
                running = {task.name for task in driver.take_all()}
            trial = trials[number]
            if trial.trial_id in running:
                epoch = driver.log.state.last_epoch(trial.trial_id) + 1
                if driver.report_epoch(trial, epoch, eighths / 8) == STOP:
                    running.discard(trial.trial_id)
            running |= {task.name for task in driver.take_all()}
        return driver.log.state.trials

    assert run(killed_at) == run([])


def test_what_a_net_costs_is_on_record_once_and_before_its_first_epoch(tmp_path):
    driver = Driver(tmp_path, SchedulerConfig(method="none", max_epochs=3))
    name = driver.controller.next_task().name
    driver.controller.start(name)
    first, later = (TrialCost(650, 1300, seconds, 64, 1e-4, 2**20, False) for seconds in (1e-5, 2e-5))
    driver.controller.report(name, make_result(1, 0.5), True, first)
    driver.controller.report(name, make_result(2, 0.5), True, later)  # a restarted trial reports it again
    kinds = [event.kind for event in driver.log.events if getattr(event, "trial_id", "") == name]
    assert kinds[-3:] == ["trial-measured", "epoch-reported", "epoch-reported"]
    assert driver.log.state.trials[name].cost == first
    assert Driver(tmp_path, SchedulerConfig(method="none", max_epochs=3)).log.state.trials[name].cost == first
