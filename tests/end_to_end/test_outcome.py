"""How a run is judged at its end, and what a next one finds missing: parts of runner/pipeline.py that need no Ray."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.execution.lost_epochs import lost_epochs
from runner.execution.stop import StopCause, StopReason
from runner.pipeline import decide_outcome
from tests.sample_runs.sample_run import write_sample_run
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import OUT_OF_BUDGET
from trainables.store import layout

SPENT = StopReason(StopCause.BUDGET, OUT_OF_BUDGET)

VOTED = object()
"""Stands for a conclusion: what it says does not matter here."""


@pytest.fixture
def sample(tmp_path):
    return write_sample_run(tmp_path)


def judge(sample, stop=None, lost=None, stopped=None, by_budget=False, conclusion=VOTED):
    state = sample.state
    for name, record in state.trials.items():
        if record.state == "stopped":
            end = ("stopped", stopped, by_budget) if stopped else ("pruned", "", False)
            state.trials[name] = replace(record, **dict(zip(("state", "reason", "by_budget"), end, strict=True)))
    return decide_outcome(state, conclusion, stop, lost or {})


def test_a_run_whose_trials_all_ended_is_done(sample):
    assert judge(sample) == ("done", "")


def test_a_budget_that_ran_out_is_a_proper_end(sample):
    assert judge(sample, SPENT, stopped="whatever it says", by_budget=True) == ("done", OUT_OF_BUDGET)


def test_a_store_that_failed_a_trial_leaves_the_run_unfinished_even_within_a_spent_budget(sample):
    assert judge(sample, SPENT, stopped="store runs: no space left") == ("partial", "store runs: no space left")
    assert judge(sample, SPENT, stopped=OUT_OF_BUDGET) == ("partial", OUT_OF_BUDGET)  # the text decides nothing


def test_an_interrupted_run_is_unfinished(sample):
    assert judge(sample, StopReason(StopCause.INTERRUPTED, "interrupted")) == ("partial", "interrupted")


def test_a_checkpoint_that_did_not_arrive_leaves_the_run_unfinished(sample):
    assert judge(sample, lost={"a": {1, 2}, "b": {7}}) == (
        "partial",
        "3 checkpoint(s) did not reach the store: run it again",
    )


def test_a_run_with_nothing_to_vote_has_failed_with_its_first_reason(sample):
    outcome, reason = judge(sample, conclusion=None)
    assert outcome == "failed"
    assert reason == next(record.reason for record in sample.state.trials.values() if record.reason)


def test_an_epoch_on_record_without_its_checkpoint_is_found(sample):
    state = as_if_it_ended(sample.state, None)
    assert lost_epochs(sample.store, state) == {}
    ended = next(record for record in sample.state.trials.values() if record.state == "finished")
    sample.store.delete(CheckpointId(ended.trial_id, 2).key(layout.MANIFEST))
    assert lost_epochs(sample.store, state) == {ended.trial_id: {2}}


def test_after_a_clean_end_no_search_for_lost_checkpoints_takes_place(sample):
    ended = next(record for record in sample.state.trials.values() if record.state == "finished")
    sample.store.delete(CheckpointId(ended.trial_id, 2).key(layout.MANIFEST))
    state = as_if_it_ended(sample.state, "done")
    assert lost_epochs(sample.store, state) == {}


def as_if_it_ended(state, outcome):
    """`state` as if its newest execution had been killed (None), or had ended with `outcome`."""
    from runner.journal.events import RunClosed

    state.closed = RunClosed(at_unix_s=0, elapsed_s=0, state=outcome, reason="") if outcome else None
    return state
