import json
import pickle
from types import SimpleNamespace

from ray.tune.search import Searcher

from runner.run_log import RunLog
from runner.trial_queue import Slots, TrialQueue, Until
from tests.runner.sample_run import make_trial, open_log
from trainables.config import TrialConfig
from trainables.folder import Folder
from trainables.record import TrialRecord

A, B = make_trial(1, precision="float32"), make_trial(2)


def test_trials_come_in_the_given_order_and_then_no_more():
    queue = TrialQueue([(TrialRecord(B), 0), (TrialRecord(A, "stopped"), 4)])
    first, second = queue.suggest("tune1"), queue.suggest("tune2")
    assert [(told["name"], told["epoch"]) for told in (first, second)] == [(B.trial_id, 0), (A.trial_id, 4)]
    assert queue.suggest("tune3") == queue.suggest("tune3") == Searcher.FINISHED


def test_a_trial_is_told_with_its_whole_configuration():
    told = TrialQueue([(TrialRecord(A), 0)]).suggest("tune1")
    assert TrialConfig.model_validate(json.loads(told["trial"])) == A


def test_results_do_not_change_the_order():
    queue = TrialQueue([(TrialRecord(A), 0), (TrialRecord(B), 0)])
    queue.suggest("tune1")
    queue.on_trial_complete("tune1", {"validation_accuracy": 0.9})
    queue.on_trial_complete("tune1", error=True)
    assert queue.suggest("tune2")["name"] == B.trial_id


def test_saving_and_restoring_leave_no_file(tmp_path):
    queue = TrialQueue([(TrialRecord(A), 0)])
    queue.save(str(tmp_path / "state"))
    queue.restore(str(tmp_path / "state"))
    assert list(tmp_path.iterdir()) == []
    assert queue.suggest("tune1")["name"] == A.trial_id


def test_the_log_hears_which_trial_a_slot_has_taken_up(tmp_path):
    log: RunLog = open_log(Folder(tmp_path, "runs"))
    log.plan([A, B])
    trial = SimpleNamespace(trial_id="tune1", config={"name": B.trial_id})
    Slots(log).on_trial_start(1, [trial], trial)
    assert {name: record.state for name, record in log.state.trials.items()} == {
        A.trial_id: "waiting",
        B.trial_id: "running",
    }


def test_all_trials_stop_as_soon_as_it_is_over_and_none_by_itself():
    over = []
    until = Until(lambda: bool(over))
    assert (until.stop_all(), until("tune1", {"epoch": 3})) == (False, False)
    over.append(True)
    assert (until.stop_all(), until("tune1", {"epoch": 3})) == (True, False)


def test_what_tune_pickles_of_the_stopper_holds_nothing():
    over = []
    assert Until(lambda: bool(over)).__getstate__() == {}
    pickle.dumps(Until(lambda: bool(over)))  # a lambda alone cannot be pickled
