"""Trials of several runs in one pool: those of the run itself, and of the runs that `ensemble.runs` names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.journal.journal import read_state
from runner.runs.locate import existing_run
from trainables.errors import RunMismatch, SweepFileError
from trainables.results.record import TrialRecord, rank
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json


def read_other_runs(store: Store, runs: Sequence[str], data_id: str) -> list[TrialRecord]:
    """The trials of `runs` (each `name/run`, in `store`), run by run; a trial of several runs occurs several times.

    Raises `SweepFileError` for an invalid name, `RunMissing` for a run that is not in the store, and `RunMismatch` for a run
    over other data than `data_id`, or over the same images with another split.
    """
    found: list[TrialRecord] = []
    for reference in runs:
        name, _, run = reference.partition("/")
        if not name or not run:
            raise SweepFileError(
                f"ensemble.runs holds {reference!r}: name each run as name/run, such as digits/3f2a90c1"
            )
        name, run = existing_run(store, reference)
        other = get_json(store, layout.run_key(name, run, layout.SWEEP)).get("data_id")
        if other != data_id:
            raise RunMismatch(
                f"ensemble.runs holds {reference}, whose data is {other}, but this run's is {data_id}: only checkpoints that saw "
                "the same images, classes and split can vote together; leave it out"
            )
        found += read_state(store, name, run).trials.values()
    return found


def pool_records(records: Iterable[TrialRecord], others: Iterable[TrialRecord]) -> list[TrialRecord]:
    """All trials, ranked, each once. Of a trial of several runs the record with the most epochs counts, of equals the first: its
    epochs are the same in all runs, because a trial is its configuration."""
    longest: dict[str, TrialRecord] = {}
    for record in (*records, *others):
        known = longest.get(record.trial_id)
        if known is None or len(record.epochs) > len(known.epochs):
            longest[record.trial_id] = record
    return rank(list(longest.values()))
