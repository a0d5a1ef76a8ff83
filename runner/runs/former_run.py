"""The earlier run that a sweep starts from or replays, read from its store."""

from __future__ import annotations

import contextlib

from ensembles.pool.in_metric import in_metric
from runner.config.sweep import SweepSpec
from runner.journal.journal import Journal, read_state
from runner.journal.latest import read_latest
from runner.journal.state import RunState
from runner.runs.locate import existing_run
from runner.search.base.former import Former
from trainables.config.trial import TrialConfig
from trainables.data.data_table import read_data_table
from trainables.errors import DamagedObject, ObjectMissing, RunMismatch, SweepFileError
from trainables.results.newer_trial import NewerTrial
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json


def read_former(store: Store, spec: SweepSpec, data_id: str) -> Former | None:
    """The run that `search.warm_start` or a `replay` names, None where neither does.

    Raises `RunMissing` where it is not in the store, and `RunMismatch` where it has other data, unless a warm start allows that.
    """
    replays = [method.replay for _, method in spec.search.parts if method.replay]
    warm = spec.search.warm_start
    named = [
        *([("search.warm_start.run", warm.run)] if warm else []),
        *(("search.replay", reference) for reference in replays),
    ]
    if not named:
        return None
    if len({reference for _, reference in named}) > 1:
        raise SweepFileError(
            f"{' and '.join(f'{key} ({reference})' for key, reference in named)} name different runs: a sweep starts from one"
        )
    key, reference = named[0]
    name, run = existing_run(store, reference)
    try:
        head = get_json(store, layout.run_key(name, run, layout.SWEEP))
    except ObjectMissing:
        head = {}
    if head.get("data_id") != data_id and not (warm and warm.other_data and not replays):
        raise RunMismatch(
            f"{key} is {reference}, which was run on other data ({head.get('data_id')}, this sweep has {data_id}): its scores "
            "say nothing here; name a run on the same images and split, or remove the key"
        )
    state = read_state(store, name, run)
    known = tuple(record for record in state.trials.values() if not isinstance(record.config, NewerTrial))
    if warm and not replays and known:
        # Another sweep may have looked at another metric: its results are told by the one that counts here.
        with contextlib.suppress(ObjectMissing, DamagedObject):
            known = tuple(
                in_metric(
                    known,
                    spec.ensemble.deciding_metric,
                    store,
                    lambda: read_data_table(store, known[0].config.data_id),
                )
            )
    return Former(f"{name}/{run}", known, tuple(state.decisions))


def read_trained(store: Store, spec: SweepSpec, data_id: str) -> list[TrialConfig]:
    """Trials with a result of all runs of the same sweep over the same data, the newest run's first.

    For a damaged run these are the trials before the damage; trials of a newer version are left out.
    """
    runs = store.folders(layout.sweep_prefix(spec.name))
    with contextlib.suppress(ObjectMissing, DamagedObject):
        newest = read_latest(store, spec.name)
        runs.sort(key=lambda run: run != newest)
    found: dict[str, TrialConfig] = {}
    for run in runs:
        # Damage of one run must not stop other runs: its unreadable rest is ignored.
        for record in RunState(Journal(store, spec.name, run, repair=True).events).trials.values():
            is_known = not isinstance(record.config, NewerTrial)
            if record.epochs and record.config.data_id == data_id and is_known:
                found.setdefault(record.trial_id, record.config)
    return list(found.values())
