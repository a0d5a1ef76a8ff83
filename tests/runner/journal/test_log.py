import time

import pytest

from runner.journal.events import EpochReported, RunOpened, TrialEnded, TrialPlanned
from runner.journal.journal import Journal
from tests.sample_runs.sample_run import make_result, make_trial, open_log
from trainables.errors import StoreError
from trainables.store.folder import Folder

A, B = make_trial(1), make_trial(2)


@pytest.fixture
def store(tmp_path):
    return Folder(tmp_path, "runs")


def stored(store):
    return Journal(store, "dots", "r1").events


def test_every_method_writes_its_event_before_it_returns(store):
    log = open_log(store)
    calls = [
        (lambda: log.open({"ray": "2"}, slots=2), "run-opened"),
        (lambda: log.plan([A]), "trial-planned"),
        (lambda: log.start(A.trial_id), "trial-started"),
        (lambda: log.report(A.trial_id, make_result(1, 0.5), True, None), "epoch-reported"),
        (lambda: log.repeat(A.trial_id, make_result(1, 0.5)), "epoch-repeated"),
        (lambda: log.end(A.trial_id, "failed", "x"), "trial-ended"),
        (lambda: log.close("failed", "x"), "run-closed"),
    ]
    for count, (call, kind) in enumerate(calls, start=1):
        call()
        assert [event.kind for event in stored(store)][-1] == kind
        assert stored(store) == log.events
        assert len(log.events) == count


def test_an_epoch_and_the_end_it_brings_are_written_in_one_go(store, monkeypatch):
    log = open_log(store)
    log.plan([A])
    puts = []
    put = Folder.put
    monkeypatch.setattr(Folder, "put", lambda self, key, data: (puts.append(key), put(self, key, data))[1])
    log.report(A.trial_id, make_result(1, 0.5), True, ("pruned", "rank 2 of 2"))
    assert len(puts) == 1
    assert [type(event) for event in stored(store)[1:]] == [EpochReported, TrialEnded]
    assert log.state.trials[A.trial_id].reason == "rank 2 of 2"


def test_trials_that_the_run_knows_are_not_planned_twice(store):
    log = open_log(store)
    log.plan([A])
    log.start(A.trial_id)
    log.plan([A, B])
    log.plan([A, B])
    assert [event.trial_id for event in log.events if isinstance(event, TrialPlanned)] == [A.trial_id, B.trial_id]
    assert log.state.trials[A.trial_id].state == "running"
    assert log.state.trials[B.trial_id].config == B


def test_listeners_hear_of_an_event_once_the_store_has_it(store):
    heard = []

    def listen(event, state):
        heard.append((event, stored(store)[-1], state.slots))

    log = open_log(store, listeners=[listen, lambda event, state: heard.append("second")])
    log.open({}, slots=3)
    log.close("done", "")
    opened, closed = log.events
    assert heard == [(opened, opened, 3), "second", (closed, closed, 3), "second"]


def test_an_event_that_cannot_be_written_changes_nothing(store, monkeypatch):
    heard = []
    log = open_log(store, listeners=[lambda event, state: heard.append(event)])
    log.plan([A])

    def refuse(self, key, data):
        raise StoreError("no space left on device")

    monkeypatch.setattr(Folder, "put", refuse)
    with pytest.raises(StoreError, match="no space"):
        log.report(A.trial_id, make_result(1, 0.5), True, ("finished", ""))
    assert log.state.trials[A.trial_id].epochs == ()
    assert log.state.trials[A.trial_id].state == "waiting"
    assert len(heard) == len(log.events) == 1


def test_a_new_driver_has_the_state_of_the_one_before_and_its_clock_goes_on(store, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    log = open_log(store)
    log.open({}, 2)
    log.plan([A])
    clock[0] = 130.0
    log.report(A.trial_id, make_result(1, 0.5), True, None)
    clock[0] = 7.0  # another machine, another clock
    again = open_log(store)
    assert again.state.trials == log.state.trials
    assert again.elapsed_s == 30.0
    clock[0] = 12.0
    again.open({}, 2)
    assert again.elapsed_s == 35.0
    assert [event.elapsed_s for event in again.events if isinstance(event, RunOpened)] == [0.0, 35.0]


def test_events_carry_the_time_of_day(store):
    before_unix_s = time.time()
    log = open_log(store)
    log.open({}, 1)
    assert before_unix_s - 0.01 <= log.events[0].at_unix_s <= time.time() + 0.01
