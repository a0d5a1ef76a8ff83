import pytest

from runner.journal.events import (
    EpochRepeated,
    EpochReported,
    RunClosed,
    RunOpened,
    TrialEnded,
    TrialPlanned,
    TrialStarted,
)
from runner.journal.state import RunState
from tests.sample_runs.sample_run import make_result, make_trial
from trainables.results.record import ENDED, STATES, TrialRecord

A, B = make_trial(1), make_trial(2)


def when(elapsed_s=0.0):
    return {"at_unix_s": 1.0, "elapsed_s": elapsed_s}


def opened(slots=2, **versions):
    return RunOpened(**when(), slots=slots, versions=versions)


def planned(trial):
    return TrialPlanned(**when(), trial_id=trial.trial_id, config=trial.model_dump(mode="json", exclude_defaults=True))


def started(trial):
    return TrialStarted(**when(), trial_id=trial.trial_id)


def reported(trial, epoch, accuracy=0.5, trained=True):
    return EpochReported(**when(), trial_id=trial.trial_id, result=make_result(epoch, accuracy), trained=trained)


def ended(trial, state, reason=""):
    return TrialEnded(**when(), trial_id=trial.trial_id, state=state, reason=reason)


def closed(state="done"):
    return RunClosed(**when(), state=state, reason="why")


BEGUN = [opened(), planned(A), planned(B)]


@pytest.mark.parametrize(
    ("events", "record"),
    [
        ([], TrialRecord(A)),
        ([started(A)], TrialRecord(A, "running")),
        ([started(A), reported(A, 1)], TrialRecord(A, "running", "", (make_result(1, 0.5),))),
        (
            [started(A), reported(A, 1), reported(A, 2, 0.7), ended(A, "finished")],
            TrialRecord(A, "finished", "", (make_result(1, 0.5), make_result(2, 0.7))),
        ),
        ([started(A), ended(A, "diverged", "loss is nan")], TrialRecord(A, "diverged", "loss is nan")),
        ([started(A), ended(A, "stopped", "late"), started(A)], TrialRecord(A, "running")),
        ([started(A), ended(A, "pruned", "rank 2 of 2"), started(A)], TrialRecord(A, "pruned", "rank 2 of 2")),
        ([started(A), planned(A)], TrialRecord(A, "running")),
        ([started(B)], TrialRecord(A)),
    ],
    ids=str,
)
def test_the_record_of_a_trial_follows_from_its_events(events, record):
    assert RunState([*BEGUN, *events]).trials[A.trial_id] == record


def test_a_planned_trial_has_its_whole_configuration():
    trial = make_trial(3, precision="float32")
    assert RunState([planned(trial)]).trials[trial.trial_id].config == trial


def test_trials_keep_the_order_in_which_they_were_planned():
    assert list(RunState([planned(B), planned(A), planned(B)]).trials) == [B.trial_id, A.trial_id]


@pytest.mark.parametrize("state", [state for state in STATES if state not in ("waiting", "running")])
def test_a_new_driver_puts_back_what_has_no_end_of_its_own(state):
    run_state = RunState([*BEGUN, started(A), ended(A, state, "why"), started(B), reported(B, 1), opened()])
    a, b = run_state.trials[A.trial_id], run_state.trials[B.trial_id]
    assert (a.state, a.reason) == ((state, "why") if state in (*ENDED, "paused") else ("waiting", ""))
    assert (b.state, b.reason, len(b.epochs)) == ("waiting", "", 1)


def test_epochs_and_busy_seconds_are_those_of_the_newest_execution():
    first = [*BEGUN, started(A), reported(A, 1), reported(A, 2), closed("partial")]
    state = RunState(first)
    assert (state.epochs_trained, state.busy_s) == (2, 3.0)
    state.apply(opened(slots=4, torch="3"))
    assert (state.epochs_trained, state.busy_s, state.slots, state.versions) == (0, 0.0, 4, {"torch": "3"})
    state.apply(reported(A, 3))
    assert (state.epochs_trained, state.busy_s) == (1, 1.5)
    assert state.last_epoch(A.trial_id) == 3


def test_an_epoch_from_the_store_is_on_record_but_was_not_trained():
    state = RunState([*BEGUN, started(A), reported(A, 1, trained=False)])
    assert (state.epochs_trained, state.busy_s, state.last_epoch(A.trial_id)) == (0, 0.0, 1)


def test_a_repeated_epoch_was_trained_but_is_not_on_record_twice():
    again = EpochRepeated(**when(), trial_id=A.trial_id, epoch=1, busy_s=4.0)
    state = RunState([*BEGUN, started(A), reported(A, 1), again])
    assert (state.epochs_trained, state.busy_s, len(state.trials[A.trial_id].epochs)) == (2, 5.5, 1)


def test_a_close_counts_until_a_driver_begins_again():
    state = RunState([*BEGUN, closed("partial")])
    assert state.closed == closed("partial")
    state.apply(opened())
    assert state.closed is None


def test_elapsed_seconds_never_fall():
    state = RunState(
        [TrialPlanned(**when(at), trial_id=A.trial_id, config=planned(A).config) for at in (3.0, 9.0, 4.0)]
    )
    assert state.elapsed_s == 9.0


def test_pending_ended_and_counts():
    c = make_trial(3)
    state = RunState([*BEGUN, planned(c), started(A), ended(A, "failed", "x"), ended(B, "stopped", "late")])
    assert [record.trial_id for record in state.pending()] == [B.trial_id, c.trial_id]
    assert [state.has_ended(trial.trial_id) for trial in (A, B, c)] == [True, False, False]
    assert state.counts() == {"failed": 1, "stopped": 1, "waiting": 1}
    assert state.last_epoch(c.trial_id) == 0
