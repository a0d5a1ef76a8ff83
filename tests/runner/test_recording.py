from dataclasses import asdict
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler

from runner.event import EpochRepeated, EpochReported, TrialEnded
from runner.recording import Recording
from runner.spec import SchedulerConfig
from runner.trial_queue import Slots
from tests.runner.sample_run import make_result, make_trial, open_log
from trainables.folder import Folder

CONTINUE, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP

A, B, C = (make_trial(number) for number in range(3))

ASHA = SchedulerConfig(method="asha", max_epochs=9, reduction=3)
NONE = SchedulerConfig(method="none", max_epochs=3)


class Driver:
    """A log and its scheduler, and what Tune tells it of its trials."""

    def __init__(self, folder, config, trials=(A, B, C)):
        self.log = open_log(Folder(folder, "runs"))
        self.log.open({}, slots=2)
        self.log.plan(list(trials))
        self.scheduler = Recording(config, self.log)

    def tell(self, trial, epoch, accuracy, trained=True):
        told = {"name": trial.trial_id, "trained": trained, "end": None, "reason": "", "done": False, "pid": 1}
        return self._tell(trial, told | asdict(make_result(epoch, accuracy)))

    def tell_end(self, trial, state, reason):
        return self._tell(trial, {"name": trial.trial_id, "trained": False, "end": state, "reason": reason})

    def lose(self, trial, error, failures=4):
        tune_trial = SimpleNamespace(
            trial_id="tune1", config={"name": trial.trial_id}, num_failures=failures, get_error=lambda: error
        )
        Slots(self.log).on_trial_error(1, [tune_trial], tune_trial)

    def record(self, trial):
        return self.log.state.trials[trial.trial_id]

    def told(self, kind):
        return [event for event in self.log.events if isinstance(event, kind)]

    def _tell(self, trial, result):
        return self.scheduler.on_trial_result(None, SimpleNamespace(trial_id="tune1"), result)


def test_a_trial_is_finished_at_its_last_epoch(tmp_path):
    driver = Driver(tmp_path, NONE)
    assert [driver.tell(A, epoch, 0.5) for epoch in (1, 2, 3)] == [CONTINUE, CONTINUE, STOP]
    assert driver.record(A).state == "finished"
    assert driver.record(A).epochs == tuple(make_result(epoch, 0.5) for epoch in (1, 2, 3))
    assert driver.log.state.epochs_trained == 3


def test_a_trial_at_its_last_epoch_is_finished_even_if_it_is_the_worst(tmp_path):
    driver = Driver(tmp_path, SchedulerConfig(method="asha", max_epochs=1, reduction=3))
    assert driver.tell(A, 1, 0.9) == STOP
    assert driver.tell(B, 1, 0.1) == STOP
    assert [driver.record(trial).state for trial in (A, B)] == ["finished", "finished"]


def test_a_trial_below_the_cut_off_is_pruned_and_the_log_says_why(tmp_path):
    driver = Driver(tmp_path, ASHA)
    assert driver.tell(A, 1, 0.9) == CONTINUE
    assert driver.tell(B, 1, 0.5) == STOP
    assert (driver.record(B).state, driver.record(B).reason) == ("pruned", "pruned at rung 1, rank 2 of 2")
    assert driver.record(A).state == "waiting"  # `Starts` tells of starts


def test_the_scheduler_none_prunes_nobody(tmp_path):
    driver = Driver(tmp_path, NONE)
    for epoch in (1, 2):
        assert [driver.tell(trial, epoch, value) for trial, value in ((A, 0.9), (B, 0.1), (C, 0.0))] == [CONTINUE] * 3
    assert driver.told(TrialEnded) == []


@pytest.mark.parametrize("state", ["diverged", "failed", "stopped"])
def test_a_trial_that_says_its_own_end_is_stopped_with_its_reason(tmp_path, state):
    driver = Driver(tmp_path, ASHA)
    driver.tell(A, 1, 0.9)
    assert driver.tell_end(A, state, "loss is nan") == STOP
    assert (driver.record(A).state, driver.record(A).reason) == (state, "loss is nan")
    assert len(driver.record(A).epochs) == 1


def test_an_end_does_not_replace_the_one_on_record(tmp_path):
    driver = Driver(tmp_path, ASHA)
    driver.tell(A, 1, 0.9)
    driver.tell(B, 1, 0.5)
    assert driver.tell_end(B, "stopped", "the budget ran out") == STOP
    driver.lose(B, "killed")
    assert (driver.record(B).state, len(driver.told(TrialEnded))) == ("pruned", 1)


def test_a_lost_worker_is_a_failure_that_names_the_last_cause(tmp_path):
    driver = Driver(tmp_path, ASHA)
    driver.lose(A, "Traceback\n  at x\nray.exceptions.ActorDiedError: killed by signal 9\n")
    reason = "its worker was lost 4 times; the last time: ray.exceptions.ActorDiedError: killed by signal 9"
    assert (driver.record(A).state, driver.record(A).reason) == ("failed", reason)


@pytest.mark.parametrize("error", [None, ""])
def test_a_lost_worker_without_a_message_is_a_failure_too(tmp_path, error):
    driver = Driver(tmp_path, ASHA)
    driver.lose(A, error, failures=1)
    assert driver.record(A).reason == "its worker was lost 1 times; the last time: no reason is known"


def test_an_epoch_that_is_told_again_changes_nothing(tmp_path):
    driver = Driver(tmp_path, ASHA)
    driver.tell(A, 1, 0.9)
    driver.tell(A, 2, 0.9)
    before = list(driver.log.events)
    assert driver.tell(A, 1, 0.1, trained=False) == CONTINUE
    assert driver.log.events == before
    assert driver.tell(B, 1, 0.89) == STOP  # the rung still has 0.9 of A


def test_an_epoch_that_was_trained_again_counts_as_work_and_not_as_a_result(tmp_path):
    driver = Driver(tmp_path, ASHA)
    driver.tell(A, 1, 0.9)
    driver.tell(A, 2, 0.9)
    assert driver.tell(A, 1, 0.9, trained=True) == CONTINUE
    assert [event.epoch for event in driver.told(EpochRepeated)] == [1]
    assert len(driver.told(EpochReported)) == 2
    assert driver.log.state.epochs_trained == 3
    assert driver.tell(A, 2, 0.9, trained=False) == CONTINUE
    assert driver.tell(A, 3, 0.9) == CONTINUE
    assert driver.log.state.last_epoch(A.trial_id) == 3


def test_a_trial_that_has_ended_is_repaired_up_to_its_last_epoch_and_stopped_there_again(tmp_path):
    config = SchedulerConfig(method="asha", max_epochs=9, reduction=3, grace_epochs=3)
    driver = Driver(tmp_path, config)
    for epoch in (1, 2, 3):
        driver.tell(A, epoch, 0.9)
    assert [driver.tell(B, epoch, 0.5) for epoch in (1, 2, 3)] == [CONTINUE, CONTINUE, STOP]
    again = Driver(tmp_path, config)
    assert [again.tell(B, epoch, 0.5) for epoch in (1, 2, 3)] == [CONTINUE, CONTINUE, STOP]
    assert (again.record(B).state, len(again.record(B).epochs)) == ("pruned", 3)
    assert (len(again.told(TrialEnded)), len(again.told(EpochRepeated))) == (1, 3)


def test_the_rungs_are_filled_from_the_record(tmp_path):
    first = Driver(tmp_path, ASHA)
    first.tell(A, 1, 0.9)
    again = Driver(tmp_path, ASHA)
    assert again.tell(B, 1, 0.5) == STOP
    assert again.record(B).reason == "pruned at rung 1, rank 2 of 2"


def test_decisions_on_record_are_not_taken_a_second_time(tmp_path):
    first = Driver(tmp_path, ASHA)
    first.tell(A, 1, 0.5)  # alone at its rung
    first.tell(B, 1, 0.8)
    first.tell(C, 1, 0.9)
    before = [event for event in first.log.events if isinstance(event, TrialEnded)]
    again = Driver(tmp_path, ASHA)
    assert again.told(TrialEnded) == before == []
    assert again.tell(A, 1, 0.5, trained=False) == CONTINUE
    assert again.tell(A, 2, 0.99) == STOP  # a new result, and by now two have beaten its only rung
    assert again.record(A).reason == "pruned at rung 1, rank 3 of 3"


def test_epochs_from_the_store_are_judged_as_if_they_were_trained(tmp_path):
    driver = Driver(tmp_path, ASHA)
    driver.tell(A, 1, 0.9, trained=False)
    assert driver.tell(B, 1, 0.5, trained=False) == STOP
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
        driver, answers = Driver(folder, config), []
        for turn, (number, eighths) in enumerate(told):
            if turn in killed_at:
                driver = Driver(folder, config)
            trial = (A, B, C)[number]
            if not driver.log.state.has_ended(trial.trial_id):
                epoch = driver.log.state.last_epoch(trial.trial_id) + 1
                answers.append(driver.tell(trial, epoch, eighths / 8))
        return answers, driver.log.state.trials

    assert run(killed_at) == run([])
