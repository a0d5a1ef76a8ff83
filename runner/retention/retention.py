"""Decides which checkpoints a store can do without: no selection up to a size changes, and every run can still continue.

Deletion is for a store on which nothing runs: a sweep that starts meanwhile may use checkpoints that are being deleted.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from ensembles.config import EnsembleConfig, Metric
from ensembles.pool.stored import StoredPool
from ensembles.selection.boosted import with_rounds
from ensembles.selection.retention import CHANGED, KEPT_EQUAL, agree, choose_each, retain, retained_selections
from ensembles.team import Team
from runner.evaluation.conclusion import open_candidates
from runner.evaluation.team import costs_of
from runner.journal.deleted import add_deleted, read_deleted
from runner.journal.journal import Journal
from runner.journal.state import RunState
from runner.retention.reference_set import (
    NOT_UNDERSTOOD,
    ReferenceSet,
    add_mentioned,
    add_referenced,
    add_resumable,
    retain_other_manifests,
)
from runner.retention.removal import Removal, by_kind, count_objects
from runner.retention.store_view import without
from runner.runs.compatibility import check_understood
from runner.runs.live import LIVE_S, find_live
from runner.runs.locate import Located, find_runs
from runner.runs.stored_run import NothingToVote, StoredRun, load_run, pool_trials
from trainables.errors import (
    CaucusError,
    DamagedObject,
    MismatchedPredictions,
    ObjectMissing,
    RunTaken,
    StoreError,
    StoreTooNew,
    SweepFileError,
)
from trainables.results.checkpoint import CheckpointId
from trainables.results.listing import list_objects
from trainables.results.record import TrialCost
from trainables.store import layout
from trainables.store.base import Store, StoredObject
from trainables.store.folder import Folder
from trainables.store.json_records import check_format, get_json

YOUNG_S = 24 * 3600.0
"""Objects that no run refers to are deleted only when they are older: a younger one may belong to a run that is being written."""

DELETERS = 8
"""Deletions at a time: each is a round trip in a bucket."""

CHECKPOINT_KEY = re.compile(r"trials/([^/]+)/epoch-(\d{4,})/[^/]+")
DERIVED_KEY = re.compile(r"trials/[^/]+/(?:pruned|soups)/[^/]+/[^/]+")
"""Sparsified checkpoints and soups: they cannot be made again without their training data, so whole ones stay."""


@dataclass(frozen=True)
class Retention:
    """Which objects can be deleted, which checkpoints stay, and why.

    kept        checkpoints that stay, each with its first reason
    epochs      for each run (`name/run`) the recorded epochs that are to be deleted, by trial
    """

    store: Store
    removals: tuple[Removal, ...]
    kept: Mapping[CheckpointId, str]
    kept_bytes: int
    epochs: Mapping[str, Mapping[str, set[int]]]
    notes: tuple[str, ...] = ()
    deleted: bool = False

    @property
    def checkpoints(self) -> int:
        """Number of whole checkpoints that are deleted."""
        return sum(removal.checkpoint is not None for removal in self.removals)

    @property
    def objects(self) -> int:
        """Number of objects that are deleted."""
        return sum(removal.objects for removal in self.removals)

    @property
    def size_bytes(self) -> int:
        """Bytes that the deletion frees."""
        return sum(removal.size_bytes for removal in self.removals)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that `caucus prune --json` prints."""
        return {
            "store": self.store.uri,
            "objects": self.objects,
            "bytes": self.size_bytes,
            "deleted": self.deleted,
            "kinds": [
                {
                    "what": what,
                    "count": len(many),
                    "objects": count_objects(many),
                    "bytes": sum(removal.size_bytes for removal in many),
                }
                for what, many in by_kind(self.removals).items()
            ],
            "kept": {
                "checkpoints": len(self.kept),
                "bytes": self.kept_bytes,
                "because": dict(Counter(self.kept.values())),
            },
            "stays_equal": list(KEPT_EQUAL),
            "changes": list(CHANGED),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False)
class _Selections:
    """The selections of a run that a deletion must not change."""

    stored: StoredRun
    configs: list[EnsembleConfig]
    candidates: tuple[CheckpointId, ...]
    selected: tuple[Team | None, ...]


def plan_retention(
    store: Store, keep_size: int, now_unix_s: float | None = None, custom_code: bool = False
) -> Retention:
    """Find what can be deleted from `store`. Changes nothing. With `custom_code` the plug-ins that its runs name may be imported:
    without, a run whose ensemble needs one keeps everything.

    A run that is damaged, or that a newer version has written, does not prevent this: everything that its records name stays, and
    so does everything that belongs to no known run. Raises `StoreError` where it is no store of Caucus, and `SweepFileError` for a
    `keep_size` below 1.
    """
    if keep_size < 1:
        raise SweepFileError(f"keep_size is {keep_size}: a team has at least one member")
    store.check()
    if not check_format(store):
        raise StoreError(
            f"{store.uri} is no store of Caucus: name the folder or s3://bucket/prefix that `store` names in a sweep file "
            "(weights are taken out of a trained net by `caucus sparsify RUN`)"
        )
    now_unix_s = time.time() if now_unix_s is None else now_unix_s
    objects = store.find(layout.TRIALS)
    whole, incomplete = group_checkpoints(objects)
    listing = list_objects({layout.trial_of(each.key) for each in objects}, objects)
    retained = ReferenceSet(whole)
    runs = list(find_runs(store))
    read = [read_run(found) for found in runs]
    states = [state for state, _ in read]
    loaded, notes = _load(runs, read, custom_code)
    metrics = [stored.ensemble.metric for stored in loaded if stored]
    selections: list[_Selections] = []
    for found, (state, why), stored in zip(runs, read, loaded, strict=True):
        if why:
            add_mentioned(found, retained)
        add_referenced(store, found, state, retained)
        if stored is None or not _is_done(state):
            for trial_id in state.trials:
                retained.add(retained.of(trial_id), "its run has not come to its end, or cannot be read")
            continue
        add_resumable(state, retained)
        for config in _configs(stored):
            _retain_teams(
                replace(stored, ensemble=config, listing=listing), keep_size, metrics, retained, selections, notes
            )
    notes += retain_other_manifests(store, retained)
    _verify_selections(selections, retained, notes)
    is_known = not any(why for _, why in read)
    if not is_known:
        notes.append("what no run is known to have stays as well, until each of them can be read")
    removals = list(_list_removals(store, states, retained, incomplete, now_unix_s, is_known))
    epochs = {
        f"{found.name}/{found.run}": gone
        for found, state in zip(runs, states, strict=True)
        if (gone := on_record(state, removals))
    }
    kept_bytes = sum(each.size_bytes for member in retained.reasons for each in whole[member])
    return Retention(store, tuple(removals), retained.reasons, kept_bytes, epochs, tuple(dict.fromkeys(notes)))


def find_checkpoints(store: Store) -> tuple[dict[CheckpointId, list[StoredObject]], dict[str, list[StoredObject]]]:
    """The whole checkpoints of a store with their objects; and the objects of folders without a manifest, by folder."""
    return group_checkpoints(store.find(layout.TRIALS))


def group_checkpoints(
    objects: Iterable[StoredObject],
) -> tuple[dict[CheckpointId, list[StoredObject]], dict[str, list[StoredObject]]]:
    """As `find_checkpoints`, from a listing."""
    folders: dict[str, list[StoredObject]] = defaultdict(list)
    for each in objects:
        if CHECKPOINT_KEY.fullmatch(each.key) or DERIVED_KEY.fullmatch(each.key):
            folders[each.key.rpartition("/")[0] + "/"].append(each)
    whole, incomplete = {}, {}
    for folder, parts in folders.items():
        match = CHECKPOINT_KEY.fullmatch(parts[0].key)
        if all(each.key != folder + layout.MANIFEST for each in parts):
            incomplete[folder] = parts
        elif match:
            whole[CheckpointId(match[1], int(match[2]))] = parts
    return whole, incomplete


def read_run(found: Located) -> tuple[RunState, str]:
    """A run as far as it can be read, and why it is incomplete (damage, or a newer version); "" where it is complete."""
    journal = Journal(found.store, found.name, found.run, repair=True)
    state = RunState(journal.events)
    try:
        check_understood(found.store, found.name, found.run, journal, state)
        read_deleted(found.store, found.name, found.run)  # the deletion will add to it
    except (StoreTooNew, DamagedObject) as error:
        return state, str(error)
    return state, journal.damage


def _load(
    runs: Iterable[Located], read: Iterable[tuple[RunState, str]], custom_code: bool
) -> tuple[list[StoredRun | None], list[str]]:
    """The runs, None for those without a possible vote, and a note on each of these."""
    loaded: list[StoredRun | None] = []
    notes = []
    for found, (state, why) in zip(runs, read, strict=True):
        try:
            if why:
                raise DamagedObject(why)
            loaded.append(load_run(found, [], state, custom_code))
        except CaucusError as error:
            loaded.append(None)
            notes.append(f"{found.name}/{found.run} keeps everything: {error}")
    return loaded, notes


def _is_done(state: RunState) -> bool:
    return state.closed is not None and state.closed.state == "done"


def _configs(stored: StoredRun) -> list[EnsembleConfig]:
    """The ensemble of the run's sweep, and that of its latest report where it differs."""
    found = [stored.ensemble]
    with contextlib.suppress(StoreError, ValidationError, KeyError):
        found.append(EnsembleConfig.model_validate(get_json(stored.store, stored.key(layout.ENSEMBLE))["config"]))
    return list(dict.fromkeys(found))


def _retain_teams(
    stored: StoredRun,
    keep_size: int,
    metrics: Iterable[Metric],
    retained: ReferenceSet,
    selections: list[_Selections],
    notes: list[str],
) -> None:
    """Add the members of the run's selections, and the newest checkpoint of each trial of its team: the report shows its layers."""
    config = with_rounds(stored.ensemble, stored.state.trials.values())
    configs = retained_selections(config, keep_size, metrics)
    try:
        pool, costs = _open(stored)
        outcome = retain(pool.read(pool.members, "validation"), configs, costs)
    except NothingToVote:
        return
    except (ObjectMissing, DamagedObject, StoreTooNew) as error:
        notes.append(f"{stored.run} keeps everything: {error}")
        for trial_id in stored.state.trials:
            retained.add(retained.of(trial_id), "its run cannot be voted on")
        return
    except StoreError:
        raise
    except CaucusError as error:
        notes.append(f"{stored.run} keeps everything: {error}")
        for trial_id in stored.state.trials:
            retained.add(retained.of(trial_id), "its run cannot be voted on")
        return
    if outcome.all_stay:
        notes.append(f"{stored.run} keeps all {len(outcome.members)} candidates: its choices depend on each of them")
    team = outcome.selections[0]
    if team is not None:
        retained.add(team.members, "it votes in a run's own team")
    retained.add(sorted(outcome.members), "a choice up to --keep-size takes it")
    if team is not None:
        for trial_id in sorted({member.trial_id for member in team.members}):
            retained.add(retained.of(trial_id)[-1:], "the newest of a trial of the team")
    candidates = (*pool.members, *(member for member, _ in pool.true_class.left_out))
    selections.append(_Selections(stored, configs, candidates, outcome.selections))


def _open(stored: StoredRun) -> tuple[StoredPool, dict[str, TrialCost]]:
    """The run's candidates as a vote finds them, and the costs of their nets. Raises `NothingToVote`."""
    records = pool_trials(stored)
    return open_candidates(stored, records), costs_of(records)


def _verify_selections(selections: list[_Selections], retained: ReferenceSet, notes: list[str]) -> None:
    """Repeat every selection on a view of the store after the deletion. Where one changes, all its candidates are retained, which
    may change the candidates of others: repeat until none changes."""
    unchanged = list(selections)
    while wrong := [each for each in unchanged if not _selects_the_same(each, retained)]:
        for each in wrong:
            retained.add(each.candidates, "a choice depends on it")
            notes.append(f"{each.stored.run} keeps all candidates: a choice among what was to stay would be another")
        unchanged = [each for each in unchanged if each not in wrong]


def _selects_the_same(each: _Selections, retained: ReferenceSet) -> bool:
    gone = [member for member in retained.stored if member not in retained.reasons]
    try:
        listing = each.stored.listing.without(gone) if each.stored.listing else None
        pool, costs = _open(replace(each.stored, store=without(each.stored.store, gone), listing=listing))
        return agree(each.selected, choose_each(pool.read(pool.members, "validation"), each.configs, costs))
    except (NothingToVote, MismatchedPredictions, ObjectMissing, DamagedObject, StoreTooNew):
        return False


def _list_removals(
    store: Store,
    states: Iterable[RunState],
    retained: ReferenceSet,
    incomplete: Mapping[str, list[StoredObject]],
    now_unix_s: float,
    is_known: bool,
) -> Iterator[Removal]:
    """All removals. `is_known`: every run has been read in full, so that an object that none of them has belongs to no run."""
    known = {trial_id for state in states for trial_id in state.trials}
    for member in sorted(retained.stored):
        parts = retained.stored[member]
        if member in retained.reasons:
            continue
        if member.trial_id in known:
            yield mark_for_removal("checkpoints that no choice takes", member, parts)
        elif not is_known:
            retained.add([member], NOT_UNDERSTOOD)
        elif _is_old(store, parts, now_unix_s):
            yield mark_for_removal("checkpoints of trials that no run has", member, parts)
        else:
            retained.add([member], "it is younger than a day, and no run has it yet")
    for parts in incomplete.values() if is_known else ():
        if _is_old(store, parts, now_unix_s):
            rest = tuple(each.key for each in parts)
            size = sum(each.size_bytes for each in parts)
            yield Removal("checkpoints without a manifest, older than a day", rest=rest, size_bytes=size)
    if is_known:
        yield from _list_unreferenced(store, retained.named, now_unix_s)
    if isinstance(store, Folder):
        for path, size_bytes, written_unix_s in store.unfinished():
            if now_unix_s - written_unix_s > YOUNG_S:
                yield Removal("unfinished writes, older than a day", paths=(path,), size_bytes=size_bytes)


def mark_for_removal(what: str, member: CheckpointId, parts: Iterable[StoredObject]) -> Removal:
    """The removal of a whole checkpoint, its manifest first; `what` is its kind."""
    manifest = member.key(layout.MANIFEST)
    size = sum(each.size_bytes for each in parts)
    rest = tuple(each.key for each in parts if each.key != manifest)
    return Removal(what, (manifest,), rest, size_bytes=size, checkpoint=member)


def _list_unreferenced(store: Store, named: set[str], now_unix_s: float) -> Iterator[Removal]:
    """Removals of initial weights and tables of pseudo-labels that no run refers to."""
    found = [(each, "initial weights that no run starts from") for each in store.find(layout.WEIGHTS_FOLDER)]
    for data_id in store.folders(layout.DATA):
        what = "tables of pseudo-labels that no run names"
        found += [(each, what) for each in store.find(layout.data_key(data_id, "pseudo/"))]
    for each, what in found:
        if each.key.rpartition("/")[2].partition(".")[0] not in named and _is_old(store, [each], now_unix_s):
            yield Removal(what, rest=(each.key,), size_bytes=each.size_bytes)


def _is_old(store: Store, parts: Iterable[StoredObject], now_unix_s: float) -> bool:
    keys = [each.key for each in parts]
    folder = keys[0].rpartition("/")[0] + "/"
    written = store.written_unix_s(folder)
    return all(now_unix_s - written.get(key, now_unix_s) > YOUNG_S for key in keys)


def on_record(state: RunState, removals: Iterable[Removal]) -> dict[str, set[int]]:
    """The epochs among `removals` that the run has on record, by trial."""
    gone: dict[str, set[int]] = defaultdict(set)
    for removal in removals:
        if removal.checkpoint and removal.checkpoint.trial_id in state.trials:
            gone[removal.checkpoint.trial_id].add(removal.checkpoint.epoch)
    return dict(gone)


def carry_out(planned: Retention) -> Retention:
    """Delete what was planned, the manifest of each checkpoint first.

    Raises `RunTaken`, with nothing deleted, while any run of the store is being driven: its trials may need objects that no
    record names yet. Raises `StoreError` where the store refuses; the remaining objects can be deleted later.
    """
    if live := find_live(planned.store):
        run, driver = next(iter(live.items()))
        raise RunTaken(
            f"run {run} in {planned.store.uri} is being driven by {driver}: nothing is deleted before its end"
            f" (or before {LIVE_S / 60:.0f} minutes without a sign of it)"
        )
    for run, epochs in planned.epochs.items():
        name, _, run_id = run.partition("/")
        add_deleted(planned.store, name, run_id, epochs)
    with ThreadPoolExecutor(DELETERS, thread_name_prefix="delete") as deleters:
        list(deleters.map(lambda removal: _delete(planned.store, removal), planned.removals))
    return replace(planned, deleted=True)


def _delete(store: Store, removal: Removal) -> None:
    for key in (*removal.first, *removal.rest):
        store.delete(key)
    for path in removal.paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"store {store.uri}: {error.strerror} while deleting {path}: delete it by hand") from None
