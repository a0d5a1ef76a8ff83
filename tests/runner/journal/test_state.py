from collections import Counter
from dataclasses import replace

import pytest

from runner.journal.events import (
    Decided,
    EpochRepeated,
    EpochReported,
    NodesChanged,
    RangeTested,
    RunClosed,
    RunOpened,
    TrialAudited,
    TrialEnded,
    TrialMeasured,
    TrialPaused,
    TrialPlanned,
    TrialPromoted,
    TrialStarted,
)
from runner.journal.state import RunState
from tests.sample_runs.sample_run import make_result, make_trial
from trainables.config.trial import ParentConfig
from trainables.results.record import ENDED, STATES, TrialCost, TrialRecord

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


def test_the_totals_of_a_run_count_every_execution_and_every_repetition():
    again = EpochRepeated(**when(), trial_id=A.trial_id, epoch=1, busy_s=4.0)
    test = RangeTested(**when(), key="cnn", low=0.1, high=1.0, reason="", rates=[0.1], losses=[1.0], busy_s=7.0)
    state = RunState(
        [*BEGUN, reported(A, 1), reported(A, 2, trained=False), again, test, opened(), reported(B, 1), reported(B, 2)]
    )
    # Each epoch is busy for 1.5 s: A's first one twice, the second time for 4 s, then B's two; A's second one is the store's.
    assert (state.epochs_trained, state.busy_s) == (2, 3.0)
    assert (state.all_epochs_trained, state.all_busy_s) == (4, 1.5 + 4.0 + 7.0 + 3.0)
    assert (state.recorded_epochs, state.recorded_busy_s) == (4, 6.0)
    assert state.recorded_events == 10
    assert state.range_tests == {"cnn": test}


def test_node_seconds_are_those_of_all_nodes_until_their_number_changes():
    state = RunState([RunOpened(**when(10.0), slots=2, versions={})])
    assert (state.node_s, state.nodes) == (10.0, 1)
    state.apply(NodesChanged(**when(12.0), nodes=3))
    assert state.node_s == 12.0
    state.apply(NodesChanged(**when(11.0), nodes=3))  # an elapsed time that falls costs nothing
    state.apply(NodesChanged(**when(16.0), nodes=2))
    assert state.node_s == 12.0 + 4 * 3
    state.apply(RunOpened(**when(17.0), slots=2, versions={}))  # a new driver begins with its own node
    assert (state.node_s, state.nodes) == (24.0 + 2, 1)


def test_how_often_something_is_not_understood_is_counted():
    config = make_trial(3).model_dump(mode="json", exclude_defaults=True)
    newer = [TrialPlanned(**when(), trial_id=f"{at:012x}", config=config) for at in (1, 1)]
    # The one that is named by another rule is shown all the same, so only what is no configuration of any version is missing.
    broken = [TrialPlanned(**when(), trial_id=f"{at:012x}", config={"seed": 1}) for at in (7, 8)]
    state = RunState([*newer, *broken, started(A), started(B)])
    assert list(state.trials) == [newer[0].trial_id]
    counts = sorted((why.partition(":")[0], count) for why, count in state.unread.items())
    assert counts == [
        ("a trial whose data_id is 'missing'", 2),
        ("trial 000000000001 with the rule by which it is named", 1),
        ("trial-started of a trial that is not planned", 2),
    ]


def test_a_trial_pauses_goes_on_and_is_audited_after_it_was_pruned():
    cost = TrialCost(10, 20, 0.1, 8, 0.2, 300, True)
    state = RunState([*BEGUN, started(A), TrialMeasured(**when(), trial_id=A.trial_id, cost=cost), reported(A, 1)])
    record = TrialRecord(A, "running", "", (make_result(1, 0.5),), cost=cost)
    assert state.trials[A.trial_id] == record
    state.apply(TrialPaused(**when(), trial_id=A.trial_id, reason="rank 2 of 3"))
    assert state.trials[A.trial_id] == replace(record, state="paused", reason="rank 2 of 3")
    state.apply(TrialPromoted(**when(), trial_id=A.trial_id, reason="rank 1 of 3"))
    assert state.trials[A.trial_id] == replace(record, state="waiting", reason="")
    state.apply(ended(A, "pruned", "rank 3 of 3"))
    state.apply(TrialAudited(**when(), trial_id=A.trial_id, epoch=1))
    assert state.trials[A.trial_id] == replace(record, state="pruned", reason="rank 3 of 3", audited_from=1)
    assert state.started == {A.trial_id}


def test_a_later_stage_trains_a_trial_further_and_both_stages_have_it():
    first = replace(planned(A), stage="coarse", max_epochs=2)
    stopped = TrialEnded(**when(), trial_id=A.trial_id, state="stopped", reason="late", by_budget=True)
    state = RunState([first, replace(planned(B), stage="coarse"), reported(A, 1), stopped])
    assert state.trials[A.trial_id].by_budget
    state.apply(TrialAudited(**when(), trial_id=A.trial_id, epoch=1))
    state.apply(replace(first, stage="fine"))
    again = TrialRecord(A, "waiting", "", (make_result(1, 0.5),), stage="fine", max_epochs=2)
    assert state.trials[A.trial_id] == again
    state.apply(replace(first, stage="fine", max_epochs=5))
    assert state.trials[A.trial_id] == replace(again, max_epochs=5)
    assert {name: list(trials) for name, trials in state.stages.items()} == {
        "coarse": [A.trial_id, B.trial_id],
        "fine": [A.trial_id],
    }


def test_trials_are_counted_by_their_length_and_by_whether_they_have_ended():
    c = make_trial(3)
    state = RunState([*BEGUN, planned(c), reported(A, 1), reported(A, 2), reported(B, 1), ended(B, "pruned")])
    assert (+state.pending_lengths, +state.ended_lengths) == (Counter({0: 1, 2: 1}), Counter({1: 1}))
    assert state.counts() == {"pruned": 1, "waiting": 2}


def test_before_its_first_epoch_a_trial_that_continues_another_is_at_its_parents_last():
    child = make_trial(3, parent=ParentConfig(trial_id=A.trial_id, epoch=4))
    state = RunState([*BEGUN, planned(child)])
    assert state.last_epoch(child.trial_id) == 4
    state.apply(reported(child, 5))
    assert state.last_epoch(child.trial_id) == 5


def test_decisions_are_kept_in_order():
    first, second = (Decided(**when(), what="winner", reason=f"why {at}", trial_id=A.trial_id) for at in (1, 2))
    assert RunState([*BEGUN, first, second]).decisions == [first, second]


def test_a_run_without_events_has_used_nothing():
    state = RunState()
    assert (state.epochs_trained, state.all_epochs_trained, state.recorded_epochs, state.recorded_events) == (
        0,
        0,
        0,
        0,
    )
    assert (state.busy_s, state.all_busy_s, state.recorded_busy_s, state.node_s, state.elapsed_s) == (0, 0, 0, 0, 0)
    assert (state.slots, state.nodes, state.pending(), state.counts()) == (0, 1, [], {})
