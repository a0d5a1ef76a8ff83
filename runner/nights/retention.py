"""Which nights keep their checkpoints; the others lose the checkpoints that no remaining run has or starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ensembles.nights.summary import NightSummary
from runner.config.nightly import KeepConfig
from runner.journal.journal import read_state
from runner.journal.state import RunState
from runner.retention.reference_set import ReferenceSet, add_mentioned, add_referenced, retain_other_manifests
from runner.retention.removal import Removal
from runner.retention.retention import Retention, carry_out, find_checkpoints, mark_for_removal, on_record, read_run
from runner.runs.locate import Located, existing_run, find_runs
from runner.runs.nights import last_accepted
from runner.runs.stored_run import load_run
from trainables.errors import CaucusError
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json, seal_json


def choose_nights(nights: Mapping[str, NightSummary], keep: KeepConfig) -> dict[str, str]:
    """The runs of the nights whose checkpoints stay, each with its first reason. `nights` begins with the oldest.

    The best are those whose vote is best on validation, by accuracy or by the metric that the sweep asks for, of equals the newer: test evaluates, but must not
    select. A night whose checkpoints were deleted before cannot come back.
    """
    available = [run for run, summary in nights.items() if not summary.dropped]
    kept = dict.fromkeys(available[-keep.nights :], f"one of the newest {keep.nights} nights")
    if (accepted := last_accepted(nights)) is not None:
        kept.setdefault(accepted, "the last accepted night")
    evaluated = [run for run in available if nights[run].is_decided]
    best = sorted(evaluated, key=lambda run: (nights[run].merit, nights[run].number), reverse=True)
    for run in best[: keep.best]:
        kept.setdefault(run, f"one of the best {keep.best} nights on validation")
    return kept


def retain_nights(store: Store, name: str, nights: Mapping[str, NightSummary], keep: KeepConfig) -> Retention | None:
    """Delete checkpoints that only nights outside the retention policy have; None where all nights stay. Reports and journals stay.

    Each epoch is recorded in `deleted.json` of its run before it is deleted. Raises `StoreError`; the rest is then deleted
    after the next night.
    """
    kept = choose_nights(nights, keep)
    dropped = [run for run in nights if run not in kept]
    if not dropped:
        return None
    planned = plan_nights(store, name, dropped)
    for run in dropped:
        if not nights[run].dropped:
            key = layout.run_key(name, run, layout.NIGHT)
            store.put(key, seal_json({**get_json(store, key), "dropped": True}))  # including keys of a newer version
    return carry_out(planned)


def plan_nights(store: Store, name: str, dropped: Sequence[str]) -> Retention:
    """Find the checkpoints of the nights `dropped` that no other run has on record, votes with or starts from. Changes nothing.

    Every other run of the store counts, of any sweep and in any state; all epochs of a trial that one of them has stay.
    """
    whole, _ = find_checkpoints(store)
    retained = ReferenceSet(whole)
    dropped_runs = {(name, run) for run in dropped}
    states: dict[str, RunState] = {}
    needed: set[str] = set()
    notes: list[str] = []
    for found in find_runs(store):
        state, why = read_run(found)
        if why:  # nothing of a run that is not understood is deleted, whether its night stays or not
            add_mentioned(found, retained)
            notes.append(f"{found.name}/{found.run} keeps everything: {why}")
        elif (found.name, found.run) in dropped_runs:
            states[found.run] = state
            continue
        add_referenced(store, found, state, retained)
        needed.update(state.trials, _voted_with(found))
    retained.add((member for member in whole if member.trial_id in needed), "another run has its trial")
    dropped_trials = {trial_id for state in states.values() for trial_id in state.trials}
    notes += retain_other_manifests(store, retained, dropped_trials)
    removals: list[Removal] = [
        mark_for_removal("checkpoints of nights that are not kept", member, whole[member])
        for member in sorted(whole)
        if member.trial_id in dropped_trials and member not in retained.reasons
    ]
    epochs = {f"{name}/{run}": gone for run, state in states.items() if (gone := on_record(state, removals))}
    kept_bytes = sum(each.size_bytes for member in retained.reasons for each in whole[member])
    return Retention(store, tuple(removals), retained.reasons, kept_bytes, epochs, tuple(notes))


def _voted_with(found: Located) -> list[str]:
    """Trials of other runs that vote in this one's team, those that its sweep names in `ensemble.runs`."""
    trials: list[str] = []
    try:
        for reference in load_run(found, []).ensemble.runs:
            name, run = existing_run(found.store, reference)
            trials += read_state(found.store, name, run).trials
    except CaucusError:  # a run without a head, or of another version, names nothing that could be found
        return trials
    return trials
