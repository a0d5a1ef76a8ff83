import json
import pickle
from types import SimpleNamespace

from ray.tune.search import Searcher

from runner.config.scheduler import SchedulerConfig
from runner.execution.ray_scheduler import RayScheduler
from runner.execution.trial_queue import BEGIN_S, STANDBY_S, Slots, TrialQueue, Until
from tests.sample_runs.driver import Driver
from tests.sample_runs.sample_run import make_result, make_trial
from trainables.config.trial import TrialConfig
from trainables.training.tune_messages import TuneReport, TuneTask

A, B = make_trial(1, precision="float32"), make_trial(2)
NONE = SchedulerConfig(method="none", max_epochs=3)


def make_queue(tmp_path):
    driver = Driver(tmp_path, NONE, [B, A])
    return driver, TrialQueue(driver.controller)


def test_tune_gets_the_tasks_of_the_conductor_and_waits_while_they_run(tmp_path):
    _driver, queue = make_queue(tmp_path)
    configs = [queue.suggest("tune1"), queue.suggest("tune2")]
    assert [(one["name"], one["epoch"]) for one in configs] == [(B.trial_id, 0), (A.trial_id, 0)]
    assert queue.suggest("tune3") is None
    queue.on_trial_complete("tune1")
    queue.on_trial_complete("tune2", error=True)
    assert queue.suggest("tune3") == queue.suggest("tune3") == Searcher.FINISHED


def stand_by(driver, queue, slots):
    """Tune's trials `slots` stand by; returns what the scheduler tells each when it has stood by once."""
    for name in slots:
        assert queue.suggest(name) == {"name": "standby", "standby": 3 * STANDBY_S}
    scheduler = RayScheduler(driver.controller, queue.has_more)
    result = {"name": "standby", "standby": True}
    return lambda name: scheduler.on_trial_result(None, SimpleNamespace(trial_id=name), result)


def test_nothing_is_given_out_until_all_slots_stand_by(tmp_path):
    driver, _ = make_queue(tmp_path)
    queue = TrialQueue(driver.controller, slots=3)
    ask = stand_by(driver, queue, ["slot1", "slot2", "slot3"])
    assert [ask("slot1"), ask("slot1"), ask("slot2")] == 3 * ["CONTINUE"]
    assert ask("slot3") == "STOP"
    assert queue.suggest("tune1")["name"] == B.trial_id
    assert ask("slot2") == "STOP"
    assert queue.suggest("tune2")["name"] == A.trial_id


def test_slots_that_do_not_begin_keep_nobody_waiting_for_ever(tmp_path):
    driver, _ = make_queue(tmp_path)
    now = [100.0]
    ask = stand_by(driver, TrialQueue(driver.controller, 3, clock=lambda: now[0]), ["slot1", "slot2", "slot3"])
    assert ask("slot1") == "CONTINUE"
    now[0] += BEGIN_S + 1
    assert ask("slot1") == "STOP"


def test_a_slot_without_work_stands_by_until_there_is_some(tmp_path):
    promote = SchedulerConfig(method="asha-promote", max_epochs=4, reduction=2)
    driver = Driver(tmp_path, promote, [B, A])
    queue = TrialQueue(driver.controller, slots=3)
    ask = stand_by(driver, queue, ["slot1", "slot2", "slot3"])
    assert [ask(name) for name in ("slot1", "slot2", "slot3", "slot1", "slot2")][2:] == ["STOP", "STOP", "CONTINUE"]
    assert [queue.suggest(name)["name"] for name in ("tune1", "tune2")] == [B.trial_id, A.trial_id]
    driver.report_epoch(B, 1, 0.9)
    driver.report_epoch(A, 1, 0.5)
    queue.on_trial_complete("tune1")
    assert ask("slot2") == "STOP"
    assert ask("slot4") == "CONTINUE"  # what slot2 makes way for is not given out twice
    assert queue.suggest("tune3")["name"] == B.trial_id  # promoted


def test_slots_that_stand_by_are_given_back_at_the_end(tmp_path):
    driver, _ = make_queue(tmp_path)
    queue = TrialQueue(driver.controller, slots=3)
    ask = stand_by(driver, queue, ["slot1", "slot2", "slot3"])
    assert [ask(name) for name in ("slot1", "slot2", "slot3", "slot1", "slot2")][-1] == "CONTINUE"
    queue.suggest("tune1")
    queue.suggest("tune2")
    queue.on_trial_complete("tune1")
    queue.on_trial_complete("tune2")
    assert ask("slot2") == "STOP"
    assert queue.suggest("tune3") == Searcher.FINISHED


def test_a_slot_that_stands_by_is_no_trial(tmp_path):
    driver, _ = make_queue(tmp_path)
    events = list(driver.log.events)
    trial = SimpleNamespace(
        trial_id="tune1", config={"name": "standby", "standby": 0.1}, num_failures=4, get_error=lambda: "died"
    )
    slots = Slots(driver.controller, driver.log)
    slots.on_trial_start(1, [trial], trial)
    slots.on_trial_error(1, [trial], trial)
    assert driver.log.events == events


def test_a_slot_that_is_given_back_late_does_not_release_the_trial_that_was_promoted_meanwhile(tmp_path):
    promote = SchedulerConfig(method="asha-promote", max_epochs=4, reduction=2)
    driver = Driver(tmp_path, promote, [B, A])
    queue = TrialQueue(driver.controller)
    assert [queue.suggest(name)["name"] for name in ("tune1", "tune2")] == [B.trial_id, A.trial_id]
    driver.report_epoch(B, 1, 0.9)
    driver.report_epoch(A, 1, 0.5)
    assert queue.suggest("tune3")["name"] == B.trial_id  # promoted
    queue.on_trial_complete("tune1")
    queue.on_trial_complete("tune2")
    assert queue.suggest("tune4") is None  # B is running: A may not be given up
    assert driver.record(A).state == "paused"


def test_a_trial_is_queued_with_its_whole_configuration(tmp_path):
    _, queue = make_queue(tmp_path)
    queue.suggest("tune1")
    assert TrialConfig.model_validate(json.loads(queue.suggest("tune2")["trial"])) == A


def test_saving_and_restoring_leave_no_file(tmp_path):
    _, queue = make_queue(tmp_path / "runs")
    empty = tmp_path / "empty"
    empty.mkdir()
    queue.save(str(empty / "state"))
    queue.restore(str(empty / "state"))
    assert list(empty.iterdir()) == []


def test_the_log_hears_which_trial_a_slot_has_taken_up(tmp_path):
    driver, queue = make_queue(tmp_path)
    queue.suggest("tune1")
    trial = SimpleNamespace(trial_id="tune1", config=TuneTask(B.trial_id, B).to_config())
    Slots(driver.controller, driver.log).on_trial_start(1, [trial], trial)
    assert {name: record.state for name, record in driver.log.state.trials.items()} == {
        B.trial_id: "running",
        A.trial_id: "waiting",
    }


def test_all_trials_stop_as_soon_as_it_is_over_and_none_by_itself():
    over = []
    until = Until(lambda: bool(over))
    assert (until.stop_all(), until("tune1", {"epoch": 3})) == (False, False)
    over.append(True)
    assert (until.stop_all(), until("tune1", {"epoch": 3})) == (True, False)


def test_what_tune_pickles_of_the_stopper_is_empty():
    over = []
    assert Until(lambda: bool(over)).__getstate__() == {}
    pickle.dumps(Until(lambda: bool(over)))  # a lambda alone cannot be pickled


def test_a_trial_that_gets_ahead_may_lose_its_worker_any_number_of_times(tmp_path):
    driver, _queue = make_queue(tmp_path)
    trial = SimpleNamespace(trial_id="tune1", run_metadata=SimpleNamespace(num_failures=0))
    slots = Slots(driver.controller, driver.log)

    def lose_and_hear(epoch=None, **more):
        trial.run_metadata.num_failures += 1
        report = TuneReport("a", epoch=make_result(epoch, 0.5) if epoch else None, **more)
        slots.on_trial_result(1, [trial], trial, report.to_result())
        return trial.run_metadata.num_failures

    assert [lose_and_hear(epoch=epoch, trained=True) for epoch in (1, 2, 3)] == [0, 0, 0]
    # Read from the store, or trained again: that is no way ahead, and an epoch may be what kills workers.
    assert lose_and_hear(epoch=3, trained=True) == 1
    assert lose_and_hear(epoch=4, trained=False) == 2
    assert lose_and_hear(standby=True) == 3
    assert lose_and_hear(epoch=4, trained=True) == 0


def test_a_trial_that_leaves_its_machine_is_reported_and_continues_and_has_not_failed(tmp_path):
    driver, queue = make_queue(tmp_path)
    queue.suggest("tune1")
    lines: list[str] = []
    trial = SimpleNamespace(trial_id="tune1", run_metadata=SimpleNamespace(num_failures=2))
    result = {"name": B.trial_id, "trained": False, "end": "", "reason": "", "leaving": "AWS says stop"}
    assert RayScheduler(driver.controller, notify=lines.append).on_trial_result(None, trial, result) == "CONTINUE"
    assert len(lines) == 1
    assert lines[0].startswith(f"{B.trial_id} leaves a machine that is to be taken away (AWS says stop)")
    Slots(driver.controller, driver.log).on_trial_result(0, [], trial, result)
    assert trial.run_metadata.num_failures == 0
    assert driver.controller.next_task() != "over"
