import re
import time

import pytest

from runner.journal.events import RunClosed
from runner.journal.lease import take_lease
from runner.journal.state import RunState
from runner.runs.locate import Located
from runner.runs.status import SILENT_AFTER_S, WRITE_EVERY_S, StatusWriter, read_status, show_status, summarise
from tests.sample_runs.sample_run import make_result, make_spec, make_trial, open_log, write_sample_run
from trainables.errors import RunCutShort
from trainables.results.record import rank
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import get_json, to_json

KEY = layout.run_key("dots", "r1", layout.STATUS)


@pytest.fixture
def store(tmp_path):
    return Folder(tmp_path, "runs")


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_status_holds_state_counts_the_best_and_the_time(tmp_path):
    run = write_sample_run(tmp_path)
    status = summarise(run.state, "dots", run.run_id, 12.345, "ship it")
    leader = rank(list(run.state.trials.values()))[0]
    heartbeat_unix_s = status.pop("heartbeat_unix_s")
    assert status == {
        "run": f"dots/{run.run_id}",
        "state": "done",
        "reason": "the budget ran out",
        "verdict": "ship it",
        "journal": {"driver": 0, "events": 30},
        "elapsed_s": run.state.elapsed_s,
        "eta_s": 12.3,
        "trials": {"planned": 7, "finished": 2, "pruned": 1, "stopped": 1, "diverged": 1, "failed": 1, "waiting": 1},
        "best": {
            "trial_id": leader.trial_id,
            "epoch": leader.best.epoch,
            "validation_accuracy": leader.best.validation_accuracy,
        },
    }
    assert abs(heartbeat_unix_s - time.time()) < 60


def test_a_run_without_a_close_is_running():
    status = summarise(RunState(), "dots", "r1")
    assert (status["state"], status["best"], status["eta_s"], status["trials"]) == (
        "running",
        None,
        None,
        {"planned": 0},
    )


def test_no_metric_on_test_is_in_a_status(tmp_path):
    assert "test" not in str(summarise(write_sample_run(tmp_path).state, "dots", "r1"))


def test_the_status_is_written_at_most_every_two_seconds_but_always_at_the_close(store, clock, monkeypatch):
    written = []
    put = Folder.put

    def count(self, key, data):
        written.extend([clock[0]] if key == KEY else [])
        return put(self, key, data)

    monkeypatch.setattr(Folder, "put", count)
    log = open_log(store, listeners=[StatusWriter(store, make_spec("runs"), "r1")])
    trials = [make_trial(number) for number in range(40)]
    log.open({}, slots=1)
    log.plan(trials)
    for trial in trials:
        clock[0] += 0.25
        log.report(trial.trial_id, make_result(1, 0.5), True, ("finished", ""))
    assert written == [1000.0 + WRITE_EVERY_S * turn for turn in range(6)]
    clock[0] += 0.25
    log.close("done", "")
    assert written[6:] == [1010.25]
    assert get_json(store, KEY)["state"] == "done"
    assert get_json(store, KEY)["trials"] == {"planned": 40, "finished": 40}


def test_the_status_knows_the_time_left_until_the_close(store, clock):
    spec = make_spec("runs", scheduler={"method": "none", "max_epochs": 5})
    log = open_log(store, listeners=[StatusWriter(store, spec, "r1")])
    log.open({}, slots=1)
    log.plan([make_trial()])
    assert get_json(store, KEY)["eta_s"] is None
    clock[0] += 10
    log.report(make_trial().trial_id, make_result(1, 0.5, seconds=2.0), True, None)
    assert get_json(store, KEY)["eta_s"] == 4 * 3.0
    log.close("partial", "interrupted")
    payload = get_json(store, KEY)
    assert (payload["eta_s"], payload["state"], payload["reason"]) == (None, "partial", "interrupted")


def test_a_run_that_has_fallen_silent_is_stale(tmp_path, monkeypatch):
    run = write_sample_run(tmp_path)
    status = summarise(RunState(), "dots", run.run_id)
    key = layout.run_key("dots", run.run_id, layout.STATUS)
    heard_unix_s = status["heartbeat_unix_s"]
    run.store.put(key, to_json(status))
    for silence_s, state in ((0.0, "running"), (SILENT_AFTER_S, "running"), (SILENT_AFTER_S + 1, "stale")):
        monkeypatch.setattr(time, "time", lambda silence_s=silence_s: heard_unix_s + silence_s)
        assert (read_status(run.found)["state"], read_status(run.found)["heartbeat_age_s"]) == (state, silence_s)
    run.store.put(key, to_json(status | {"state": "partial"}))
    assert read_status(run.found)["state"] == "partial"


def test_a_run_whose_heart_beats_is_running_however_long_its_epochs_take(tmp_path, monkeypatch):
    run = write_sample_run(tmp_path)
    status = summarise(RunState(), "dots", run.run_id)
    run.store.put(layout.run_key("dots", run.run_id, layout.STATUS), to_json(status | {"heartbeat_unix_s": 1000.0}))
    beat = {"beat": 9, "at_unix_s": 5000.0, "ended": False}
    run.store.put(layout.claim_key("dots", run.run_id, 3), to_json({"host": "elsewhere", "pid": 7}))
    run.store.put(layout.beat_key("dots", run.run_id, 3), to_json(beat))
    monkeypatch.setattr(time, "time", lambda: 5002.0)
    found = read_status(run.found)
    assert (found["state"], found["heartbeat_age_s"], found["heartbeat_unix_s"]) == ("running", 2.0, 5000.0)
    run.store.put(layout.beat_key("dots", run.run_id, 3), to_json(beat | {"ended": True}))
    assert read_status(run.found)["state"] == "stale"  # it ended without a word


def test_a_driver_that_lost_the_run_leaves_its_status_alone(store):
    with take_lease(store, "dots", "r1") as lease:
        writer = StatusWriter(store, make_spec("runs"), "r1", lease)
        writer.write({"state": "running"})
        store.put(layout.claim_key("dots", "r1", 2), b"{}")
        with pytest.raises(RunCutShort):
            lease.confirm()
        writer.write({"state": "done"})
    assert get_json(store, KEY) == {"state": "running"}


def test_a_clock_that_is_behind_the_drivers_makes_no_negative_age(tmp_path, monkeypatch):
    run = write_sample_run(tmp_path)
    status = summarise(RunState(), "dots", run.run_id)
    run.store.put(layout.run_key("dots", run.run_id, layout.STATUS), to_json(status))
    monkeypatch.setattr(time, "time", lambda: status["heartbeat_unix_s"] - 50)
    assert read_status(run.found)["heartbeat_age_s"] == 0.0


def test_a_missing_status_is_rebuilt_from_the_events_and_not_written(tmp_path):
    run = write_sample_run(tmp_path)
    before = run.files()
    status = read_status(run.found)
    expected = summarise(run.state, "dots", run.run_id)
    for each in (status, expected):
        each.pop("heartbeat_unix_s")
    assert status == expected | {"heartbeat_age_s": status["heartbeat_age_s"]}
    assert run.files() == before


def test_a_run_whose_driver_is_gone_is_stale_even_where_its_status_is_missing(tmp_path, monkeypatch):
    store = Folder(tmp_path, "runs")
    log = open_log(store)
    log.open({}, slots=1)
    late_unix_s = log.events[-1].at_unix_s + 10_000
    monkeypatch.setattr(time, "time", lambda: late_unix_s)
    status = read_status(Located(store, "dots", "r1"))
    assert (status["state"], status["heartbeat_age_s"]) == ("stale", 10_000.0)


def test_a_run_without_an_event_yet_was_never_heard_of(tmp_path):
    status = read_status(Located(Folder(tmp_path, "runs"), "dots", "r1"))
    assert (status["state"], status["heartbeat_unix_s"], status["heartbeat_age_s"]) == ("running", None, None)


def test_a_damaged_status_is_rebuilt_from_the_events(tmp_path):
    run = write_sample_run(tmp_path)
    expected = read_status(run.found)
    run.store.put(layout.run_key("dots", run.run_id, layout.STATUS), b"{")
    assert read_status(run.found) | {"heartbeat_age_s": 0} == expected | {"heartbeat_age_s": 0}
    assert expected["trials"]["finished"] == 2


def test_a_person_reads_a_status_in_a_few_lines(tmp_path):
    run = write_sample_run(tmp_path)
    status = summarise(run.state, "dots", run.run_id, 90.0) | {"elapsed_s": 75.0, "heartbeat_age_s": 3.0}
    lines = show_status(status).splitlines()
    assert lines[:2] == [
        f"dots/{run.run_id}: done: the budget ran out",
        "trials: 7, of which 2 finished, 1 pruned, 1 diverged, 1 failed, 1 stopped, 1 waiting",
    ]
    assert re.fullmatch(rf"best: {status['best']['trial_id']}, validation \d+\.\d\d% at epoch \d", lines[2])
    assert lines[3:] == ["time: 1 m 15 s so far, about 1 m 30 s left; last heard of 3.0 s ago"]


def test_a_status_without_a_result_is_shorter():
    status = summarise(RunState(), "dots", "r1") | {"heartbeat_age_s": None}
    assert show_status(status).splitlines() == [
        "dots/r1: running",
        "trials: 0, of which none has begun",
        "time: 0.0 s so far; not heard of yet",
    ]


def test_a_close_is_what_a_status_tells_of():
    state = RunState([RunClosed(at_unix_s=1.0, elapsed_s=5.0, state="failed", reason="no room")])
    assert (summarise(state, "dots", "r1")["state"], summarise(state, "dots", "r1")["reason"]) == ("failed", "no room")
