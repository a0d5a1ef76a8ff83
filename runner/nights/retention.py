"""Which nights keep their checkpoints, and what the others can go without: what no run that stays has or starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ensembles.nights.summary import NightSummary
from runner.config.nightly import KeepConfig
from runner.journal.journal import read_state
from runner.journal.state import RunState
from runner.retention.reference_set import ReferenceSet, add_mentioned, add_referenced, keep_other_manifests
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

    The best are those of the highest validation accuracy of their vote, of equals the newer: test only judges, it keeps
    nobody alive. A night whose checkpoints went before cannot come back.
    """
    there = [run for run, story in nights.items() if not story.dropped]
    kept = dict.fromkeys(there[-keep.nights :], f"one of the newest {keep.nights} nights")
    if (accepted := last_accepted(nights)) is not None:
        kept.setdefault(accepted, "the last accepted night")
    judged = [run for run in there if nights[run].is_decided]
    best = sorted(judged, key=lambda run: (nights[run].validation_accuracy or 0.0, nights[run].number), reverse=True)
    for run in best[: keep.best]:
        kept.setdefault(run, f"one of the best {keep.best} nights on validation")
    return kept


def retain_nights(store: Store, name: str, nights: Mapping[str, NightSummary], keep: KeepConfig) -> Retention | None:
    """Delete what only nights have that are not kept; None where all are. Reports and journals stay.

    Each epoch that goes stands in `deleted.json` of its run before. Raises `StoreError`; what is left then goes after the
    next night.
    """
    kept = choose_nights(nights, keep)
    dropped = [run for run in nights if run not in kept]
    if not dropped:
        return None
    planned = plan_nights(store, name, dropped)
    for run in dropped:
        if not nights[run].dropped:
            key = layout.run_key(name, run, layout.NIGHT)
            store.put(
                key, seal_json({**get_json(store, key), "dropped": True})
            )  # with what a newer version has put there
    return carry_out(planned)


def plan_nights(store: Store, name: str, dropped: Sequence[str]) -> Retention:
    """What of the checkpoints of the nights `dropped` no other run has on record, votes with or starts from. Changes nothing.

    Every other run of the store counts, of whatever sweep and state; of a trial that one of them has, all epochs stay.
    """
    whole, _ = find_checkpoints(store)
    keeping = ReferenceSet(whole)
    left = {(name, run) for run in dropped}
    states: dict[str, RunState] = {}
    wanted: set[str] = set()
    notes: list[str] = []
    for found in find_runs(store):
        state, why = read_run(found)
        if why:  # of a run that is not understood nothing goes, whether its night is kept or not
            add_mentioned(found, keeping)
            notes.append(f"{found.name}/{found.run} keeps everything: {why}")
        elif (found.name, found.run) in left:
            states[found.run] = state
            continue
        add_referenced(store, found, state, keeping)
        wanted.update(state.trials, _voted_with(found))
    keeping.keep((member for member in whole if member.trial_id in wanted), "another run has its trial")
    theirs = {trial_id for state in states.values() for trial_id in state.trials}
    notes += keep_other_manifests(store, keeping, theirs)
    doomed: list[Removal] = [
        mark_for_removal("checkpoints of nights that are not kept", member, whole[member])
        for member in sorted(whole)
        if member.trial_id in theirs and member not in keeping.reasons
    ]
    epochs = {f"{name}/{run}": gone for run, state in states.items() if (gone := on_record(state, doomed))}
    kept_bytes = sum(each.size_bytes for member in keeping.reasons for each in whole[member])
    return Retention(store, tuple(doomed), keeping.reasons, kept_bytes, epochs, tuple(notes))


def _voted_with(found: Located) -> list[str]:
    """Trials of other runs that vote in this one's team, as its sweep names them in `ensemble.runs`."""
    trials: list[str] = []
    try:
        for told in load_run(found, []).ensemble.runs:
            name, run = existing_run(found.store, told)
            trials += read_state(found.store, name, run).trials
    except CaucusError:  # a run without a head, or of another version, names nothing that could be found
        return trials
    return trials
