"""Trials of other runs join the pool, each trial once, and only where they saw the same images."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.evaluation.conclusion import choose_and_evaluate
from runner.journal.events import EpochReported, TrialPlanned
from runner.journal.journal import Journal
from runner.runs.pooled_runs import pool_records, read_other_runs
from runner.runs.stored_run import load_run
from tests.sample_runs.sample_run import SampleRun, make_result, make_trial, write_epoch, write_sample_run
from trainables.errors import RunMismatch, RunMissing, SweepFileError
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord, rank
from trainables.store import layout
from trainables.store.json_records import to_json


@pytest.fixture
def run(tmp_path: Path) -> SampleRun:
    return write_sample_run(tmp_path)


def write_other(run: SampleRun, name: str, trials: dict[int, int], data_id: str | None = None) -> str:
    """Another run in the same store; `trials` are seeds and their epochs."""
    head = {"data_id": data_id or run.images.data_id}
    run.store.put(layout.run_key(name, "r2", layout.SWEEP), to_json(head))
    journal = Journal(run.store, name, "r2")
    for seed, epochs in trials.items():
        trial = make_trial(seed)
        fields = {"at_unix_s": 0.0, "elapsed_s": 0.0, "trial_id": trial.trial_id}
        journal.append(TrialPlanned(config=trial.model_dump(mode="json", exclude_defaults=True), **fields))
        for epoch in range(1, epochs + 1):
            journal.append(
                EpochReported(result=make_result(epoch, 0.5 + seed / 100 + epoch / 1000), trained=True, **fields)
            )
    return f"{name}/r2"


def test_the_trials_of_other_runs_are_read_with_their_epochs(run: SampleRun) -> None:
    others = [write_other(run, "dots", {1: 2, 2: 1}), write_other(run, "more", {3: 4})]
    found = read_other_runs(run.store, others, run.images.data_id)
    assert [(record.trial_id, len(record.epochs)) for record in found] == [
        (make_trial(1).trial_id, 2),
        (make_trial(2).trial_id, 1),
        (make_trial(3).trial_id, 4),
    ]


def test_a_run_over_other_data_is_refused(run: SampleRun) -> None:
    other = write_other(run, "other", {1: 1}, data_id="feedfeedfeedfeed")
    with pytest.raises(
        RunMismatch,
        match=rf"ensemble.runs holds other/r2, whose data is feedfeedfeedfeed, .* {run.images.data_id}: only",
    ):
        read_other_runs(run.store, [other], run.images.data_id)


@pytest.mark.parametrize("raw", ["dots", "/r2", "dots/", ""])
def test_a_run_needs_its_whole_name(run: SampleRun, raw: str) -> None:
    with pytest.raises(SweepFileError, match=r"ensemble\.runs holds .*: name each run as name/run"):
        read_other_runs(run.store, [raw], run.images.data_id)


def test_a_run_that_is_not_there_is_named_with_the_nearest(run: SampleRun) -> None:
    with pytest.raises(RunMissing, match=f"no run .* of sweep 'dots'.*{run.run_id}"):
        read_other_runs(run.store, [f"dots/{run.run_id[:-1]}"], run.images.data_id)


def record(seed: int, *accuracies: float) -> TrialRecord:
    epochs = tuple(make_result(epoch, accuracy) for epoch, accuracy in enumerate(accuracies, start=1))
    return TrialRecord(make_trial(seed), "finished", "", epochs)


def test_a_trial_that_several_runs_share_counts_once_as_it_was_trained_longest() -> None:
    own, longer, shorter = record(1, 0.6), record(1, 0.6, 0.8), record(2, 0.7)
    pooled = pool_records([own, record(2, 0.7, 0.72)], [longer, shorter, record(3, 0.75)])
    assert [(each.config.seed, len(each.epochs)) for each in pooled] == [(1, 2), (3, 1), (2, 2)]


def test_among_equal_records_the_one_of_the_run_itself_stays() -> None:
    own = record(1, 0.6)
    assert pool_records([own], [record(1, 0.6)])[0] is own


def test_without_other_runs_it_is_the_ranking(run: SampleRun) -> None:
    own = list(run.state.trials.values())
    assert pool_records(own, read_other_runs(run.store, (), run.images.data_id)) == rank(own)


def test_checkpoints_of_another_run_vote_where_the_ensemble_names_it(run: SampleRun) -> None:
    trial = run.trials[0].model_copy(update={"seed": 91})
    result = write_epoch(run.store, run.images, trial, 1, strength=9.0)
    run.store.put(layout.run_key("more", "r2", layout.SWEEP), to_json({"data_id": run.images.data_id}))
    fields = {"at_unix_s": 0.0, "elapsed_s": 0.0, "trial_id": trial.trial_id}
    config = trial.model_dump(mode="json", exclude_defaults=True)
    Journal(run.store, "more", "r2").append(
        TrialPlanned(config=config, **fields), EpochReported(result=result, trained=True, **fields)
    )
    best = CheckpointId(trial.trial_id, 1)
    alone = choose_and_evaluate(load_run(run.found, []))
    assert best not in alone.team.members
    together = choose_and_evaluate(load_run(run.found, ["ensemble.runs=[more/r2]"]))
    assert best in together.team.members
    assert together.best == best
    assert len(alone.records) == len(together.records)  # the report is of the run itself
