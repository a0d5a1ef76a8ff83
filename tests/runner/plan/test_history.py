import pytest

from runner.control.architecture import name_architecture
from runner.journal.events import (
    EpochReported,
    RangeTested,
    RunClosed,
    RunOpened,
    TrialEnded,
    TrialPaused,
    TrialPlanned,
    TrialStarted,
)
from runner.plan.history import History
from tests.sample_runs.sample_run import make_result, make_trial

VERSIONS = {"torch": "2"}
TRIALS = [make_trial(number) for number in range(3)]
A, B, C = (trial.trial_id for trial in TRIALS)
NAME = name_architecture(TRIALS[0])


def at(seconds, kind, **fields):
    return kind(at_unix_s=0.0, elapsed_s=seconds, **fields)


def opened(seconds, slots=1, versions=VERSIONS):
    return at(seconds, RunOpened, versions=versions, slots=slots)


def planned(*trials):
    return [at(0.0, TrialPlanned, trial_id=trial.trial_id, config=trial.model_dump(mode="json")) for trial in trials]


def epoch(seconds, trial, number, busy_s, trained=True):
    return at(
        seconds, EpochReported, trial_id=trial, result=make_result(number, 0.5, seconds=busy_s / 1.5), trained=trained
    )


def ended(seconds, trial, state="finished"):
    return at(seconds, TrialEnded, trial_id=trial, state=state, reason="")


def read(*events, slots=1):
    history = History(slots, VERSIONS, TRIALS[0].data_id)
    history.read(events)
    return history


RUN = [
    opened(5.0),
    *planned(*TRIALS),
    at(12.0, TrialStarted, trial_id=A),
    epoch(16.0, A, 1, 3.0),
    epoch(18.0, A, 2, 1.5),
    epoch(20.0, A, 3, 1.5),
    ended(20.0, A),
    at(20.2, TrialStarted, trial_id=B),
    epoch(22.5, B, 1, 1.5),
    epoch(24.5, B, 2, 1.5),
    ended(24.5, B),
    at(27.0, RunClosed, state="done", reason=""),
]


def test_an_epoch_lasts_from_the_end_of_the_one_before():
    found = read(*RUN)
    assert found.epochs_s == {NAME: pytest.approx(2.0)}
    assert found.configs == {NAME: TRIALS[0]}


def test_what_is_around_the_epochs_is_measured_without_them():
    found = read(*RUN)
    assert found.start_s == pytest.approx(13.0)  # 16 s less the 3 s of the first epoch
    assert found.switch_s == pytest.approx(1.0)  # 22.5 s less 20 s less 1.5 s
    assert found.closing_s == pytest.approx(2.5)
    assert found.range_test_s is None


def test_a_second_execution_starts_where_the_first_ended():
    again = [
        opened(30.0),
        at(36.0, TrialStarted, trial_id=C),
        epoch(39.0, C, 1, 2.0),
        ended(39.0, C),
        at(43.5, RunClosed, state="done", reason=""),
    ]
    found = read(*RUN, *again)
    assert found.start_s == pytest.approx((13.0 + 10.0) / 2)
    assert found.closing_s == pytest.approx((2.5 + 4.5) / 2)


@pytest.mark.parametrize("other", [{"slots": 2}, {"versions": {"torch": "3"}}])
def test_other_slots_and_other_versions_do_not_count(other):
    found = read(opened(5.0, **other), *RUN[1:])
    assert (found.epochs_s, found.start_s, found.switch_s, found.closing_s) == ({}, None, None, None)


def test_other_data_do_not_count():
    other = [trial.model_copy(update={"data_id": "other"}) for trial in TRIALS]
    history = History(1, VERSIONS, "another")
    history.read([opened(5.0), *planned(*other)])
    assert (history.epochs_s, history.configs) == ({}, {})


def test_two_epochs_are_too_few():
    assert read(*RUN[:7]).epochs_s == {}


def test_waiting_at_a_rung_is_no_part_of_an_epoch():
    events = [
        opened(0.0),
        *planned(TRIALS[0]),
        at(1.0, TrialStarted, trial_id=A),
        *(epoch(2.0 + number, A, number, 1.0) for number in (1, 2, 3, 4)),
        at(6.0, TrialPaused, trial_id=A, reason=""),
        at(96.0, TrialStarted, trial_id=A),
        epoch(97.0, A, 5, 1.0),
    ]
    assert read(*events).epochs_s == {NAME: pytest.approx(1.0)}


def test_epochs_from_the_store_are_not_timed():
    events = [
        opened(0.0),
        *planned(TRIALS[0]),
        at(1.0, TrialStarted, trial_id=A),
        *(epoch(1.0 + number / 100, A, number, 5.0, trained=False) for number in (1, 2, 3, 4, 5)),
    ]
    found = read(*events)
    assert (found.epochs_s, found.start_s) == ({}, None)


def test_one_epoch_that_was_delayed_does_not_count():
    ends = [float(number) for number in range(1, 20)]
    ends = ends[:9] + [end + 100 for end in ends[9:]]
    events = [opened(0.0), *planned(TRIALS[0]), at(0.0, TrialStarted, trial_id=A)]
    events += [epoch(end, A, number, 1.0) for number, end in enumerate(ends, 1)]
    assert read(*events).epochs_s == {NAME: pytest.approx(1.0)}


def test_range_tests_are_timed():
    tests = [
        at(3.0, RangeTested, key=key, low=0.1, high=1.0, reason="", rates=[], losses=[], busy_s=busy_s)
        for key, busy_s in (("a", 1.0), ("b", 3.0))
    ]
    assert read(opened(0.0), *tests).range_test_s == pytest.approx(2.0)
