"""Which trials hang, by a clock that the test turns; and that their workers are killed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from runner.execution import watchdog
from runner.execution.watchdog import FIRST_S, PATIENCE, Watch, Watchdog
from tests.sample_runs.sample_run import make_result
from trainables.training.tune_messages import TuneReport


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def dog(now):
    return Watchdog(60.0, lambda: now[0])


def test_before_any_epoch_is_known_a_trial_has_half_an_hour(dog, now):
    dog.begin("a")
    now[0] = FIRST_S
    assert dog.hanging() == []
    now[0] += 1
    assert dog.hanging() == ["a"]


@pytest.mark.parametrize(
    ("epochs_s", "limit_s"),
    [
        ([1.0], 60.0),  # never less than the least
        ([20.0], 20.0 * PATIENCE),
        ([20.0, 20.0, 400.0], 20.0 * PATIENCE),  # in the middle, not on average
        ([100.0, 10.0, 100.0], 100.0 * PATIENCE),
    ],
)
def test_a_trial_hangs_after_ten_of_its_own_epochs(dog, now, epochs_s, limit_s):
    dog.begin("a")
    for epoch_s in epochs_s:
        dog.hear("a", epoch_s)
    now[0] = limit_s
    assert dog.hanging() == []
    now[0] += 0.1
    assert dog.hanging() == ["a"]


def test_in_its_first_epoch_a_trial_is_compared_with_the_longest_of_all(dog, now):
    dog.begin("small")
    dog.hear("small", 2.0)
    dog.begin("large")
    dog.hear("large", 50.0)
    dog.begin("new")
    now[0] = 60.1
    assert dog.hanging() == ["small"]
    now[0] = 50.0 * PATIENCE + 1
    assert set(dog.hanging()) == {"small", "large", "new"}


def test_an_epoch_that_was_read_from_the_store_does_not_count_as_a_measurement(dog):
    dog.begin("a")
    dog.hear("a", None)
    assert dog.limit_s("a") == FIRST_S


def test_every_result_and_every_new_beginning_starts_the_clock_again(dog, now):
    dog.begin("a")
    dog.hear("a", 1.0)
    now[0] = 59.0
    dog.hear("a", 1.0)
    now[0] = 118.0
    assert dog.hanging() == []
    dog.begin("a")
    now[0] = 177.0
    assert dog.hanging() == []
    assert dog.limit_s("a") == 60.0  # what it took before still counts


def test_a_slot_that_is_free_is_not_monitored(dog, now):
    dog.begin("a")
    dog.end("a")
    now[0] = 1e9
    assert dog.hanging() == []


def tune_trial(name, **config):
    return SimpleNamespace(
        trial_id=name, config={"name": name, **config}, temporary_state=SimpleNamespace(ray_actor=f"actor of {name}")
    )


def test_the_worker_of_the_trial_that_hangs_is_killed_and_no_other(dog, now, monkeypatch):
    killed, lines = [], []
    monkeypatch.setattr(watchdog, "_kill", killed.append)
    callback = Watch(dog, lines.append)
    good, bad, idle = tune_trial("good"), tune_trial("bad"), tune_trial("idle", standby=1.0)
    for trial in (good, bad, idle):
        callback.on_trial_start(1, [], trial)
    epoch = TuneReport("a", trained=True, epoch=replace(make_result(1, 0.5), train_s=1.0, evaluate_s=0.5)).to_result()
    for trial in (good, bad, idle):
        callback.on_trial_result(1, [], trial, epoch)
    now[0] = 50.0
    callback.on_trial_result(2, [], good, epoch)
    now[0] = 61.0
    callback.on_step_begin(3, [])
    callback.on_step_begin(4, [])  # not twice for the same silence
    assert killed == ["actor of bad"]
    assert lines == [
        "bad was not heard of for 60 s: its worker is killed, and it begins again from its newest checkpoint"
    ]


def test_a_trial_that_has_ended_is_not_killed(dog, now, monkeypatch):
    killed = []
    monkeypatch.setattr(watchdog, "_kill", killed.append)
    callback = Watch(dog)
    done, failed = tune_trial("done"), tune_trial("failed")
    for trial in (done, failed):
        callback.on_trial_start(1, [], trial)
    callback.on_trial_complete(2, [], done)
    callback.on_trial_error(2, [], failed)
    now[0] = 1e9
    callback.on_step_begin(3, [])
    assert killed == []
