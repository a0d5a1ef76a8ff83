import pytest

from runner.config.scheduler import SchedulerConfig
from runner.control.time_left import expected_epochs, seconds_left
from runner.journal.events import EpochReported, RunOpened, TrialEnded, TrialPlanned
from runner.journal.state import RunState
from tests.sample_runs.sample_run import make_result, make_spec, make_trial

NONE = SchedulerConfig(method="none", max_epochs=4)


def left_s(state, wall=None):
    """Of a sweep without early stopping, four epochs a trial."""
    budget = {} if wall is None else {"wall": wall}
    return seconds_left(state, make_spec("runs", scheduler=NONE.model_dump(exclude_none=True), budget=budget))


def state_of(epochs, ended=(), slots=2, seconds=2.0, elapsed_s=100.0):
    """Trial 0 has `epochs[0]` epochs and so on, each of one and a half times `seconds`; those in `ended` have ended."""
    when = {"at_unix_s": 1.0, "elapsed_s": elapsed_s}
    trials = [make_trial(number) for number in range(len(epochs))]
    events = [RunOpened(**when, slots=slots, versions={})]
    events += [TrialPlanned(**when, trial_id=t.trial_id, config=t.model_dump(exclude_defaults=True)) for t in trials]
    for number, (trial, count) in enumerate(zip(trials, epochs, strict=True)):
        for epoch in range(1, count + 1):
            result = make_result(epoch, 0.5, seconds=seconds)
            events.append(EpochReported(**when, trial_id=trial.trial_id, result=result, trained=True))
        if number in ended:
            events.append(TrialEnded(**when, trial_id=trial.trial_id, state="finished", reason=""))
    return RunState(events)


@pytest.mark.parametrize(
    ("max_epochs", "reduction", "grace_epochs", "expected"),
    [
        (1, 3, 1, 1.0),
        (3, 3, 1, 1 + 2 / 3),
        (27, 3, 1, 1 + 2 / 3 + 6 / 9 + 18 / 27),
        (8, 2, 1, 1 + 1 / 2 + 2 / 4 + 4 / 8),
        (5, 2, 1, 1 + 1 / 2 + 2 / 4 + 1 / 8),  # the last stretch, from 4 to 5, is no whole one
        (9, 3, 2, 2 + 4 / 3 + 3 / 9),
        (4, 3, 4, 4.0),
    ],
)
def test_one_in_the_reduction_is_expected_past_each_rung(max_epochs, reduction, grace_epochs, expected):
    config = SchedulerConfig(method="asha", max_epochs=max_epochs, reduction=reduction, grace_epochs=grace_epochs)
    assert expected_epochs(config) == pytest.approx(expected)


def test_without_a_scheduler_every_trial_trains_to_the_end():
    assert expected_epochs(NONE) == 4.0


def test_nothing_is_known_before_the_first_epoch():
    assert left_s(state_of([0, 0])) is None
    assert left_s(state_of([0, 0]), 600.0) is None


def test_nothing_is_known_without_slots():
    assert left_s(state_of([1, 0], slots=0)) is None


def test_the_time_left_is_the_epochs_left_times_their_mean_over_the_slots():
    # 3, 2 and 4 epochs are left, each of 3 s, on 2 slots.
    assert left_s(state_of([1, 2, 0])) == pytest.approx(9 * 3.0 / 2)


def test_a_trial_that_has_not_ended_trains_at_least_one_more_epoch():
    assert left_s(state_of([4, 4])) == pytest.approx(2 * 3.0 / 2)


def test_once_two_trials_a_slot_have_ended_their_mean_length_is_expected():
    # Ended after 1, 1, 1 and 3 epochs: 1.5 each. Two trials are left: 1.5 and, after one epoch, at least 1.
    state = state_of([1, 1, 1, 3, 0, 1], ended=(0, 1, 2, 3))
    assert left_s(state) == pytest.approx(2.5 * 3.0 / 2)
    fewer = state_of([1, 1, 1, 3, 0, 1], ended=(0, 1, 2))
    assert left_s(fewer) == pytest.approx((1 + 4 + 3) * 3.0 / 2)


def test_nothing_is_left_when_all_have_ended():
    assert left_s(state_of([1, 1], ended=(0, 1))) == 0.0


def test_the_budget_ends_it_earlier():
    state = state_of([1, 2, 0], elapsed_s=100.0)
    assert left_s(state, 110.0) == pytest.approx(10.0)
    assert left_s(state, 500.0) == pytest.approx(13.5)
    assert left_s(state, 90.0) == 0.0
