"""The story of a run, on one page."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from runner.cluster.connect import check_cluster, connected
from runner.cluster.node_types import list_nodes
from runner.cluster.slot import fit_cores
from runner.config.custom_code import find_custom_code
from runner.config.search import NAME_PATTERN
from runner.config.sweep import SweepSpec
from runner.control.budget import Budget, time_left_s
from runner.control.controller import TrialController
from runner.control.price import find_price
from runner.evaluation.conclusion import Conclusion, choose_and_evaluate, publish
from runner.execution.labelling import label, read_unlabelled, rebuild_table
from runner.execution.launch import RESIZED, launch
from runner.journal.deleted import read_deleted
from runner.journal.events import Event
from runner.journal.journal import Journal
from runner.journal.latest import write_latest
from runner.journal.lease import NOBODY, find_driver, is_next, take_lease
from runner.journal.log import Listener, RunLog
from runner.journal.state import RunState
from runner.preflight.augment_keys import check_augment
from runner.preflight.model_check import check_models
from runner.preflight.pin_weights import pin_pretrained_weights
from runner.runs.compatibility import check_understood
from runner.runs.former_run import read_former, read_trained
from runner.runs.integrity_check import invalidate, verify_run
from runner.runs.status import StatusWriter
from runner.runs.stored_run import NothingToVote, StoredRun
from runner.runs.versions import versions
from runner.search.base.protocol import Search
from runner.search.choose import choose_search, list_trials
from runner.search.pseudo_labels import SecondStage
from trainables.data.data_table import write_data_table
from trainables.data.images import ImageSet
from trainables.datasets.load import load_images
from trainables.datasets.unlabelled import UnlabelledImages
from trainables.errors import DamagedObject, ObjectMissing, RunCutShort, RunMismatch, StoreError, SweepFileError
from trainables.models.pretrained import store_weights
from trainables.results.listing import Listing, list_checkpoints
from trainables.results.record import OUT_OF_BUDGET
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import check_format, get_json, mark_format, seal_json
from trainables.store.open import open_store

CHECKPOINT_BYTES = 2**20
"""A store with room for less than this for each trial is refused before anything starts."""


@dataclass(frozen=True)
class RunResult:
    """What one execution of a sweep came to."""

    run: str
    """`<name>/<run>`."""
    outcome: str
    """`done`, `partial` (to be continued by the next execution) or `failed` (there is nothing to vote)."""
    reason: str
    state: RunState
    conclusion: Conclusion | None
    report: str | None
    """Where the report lies."""
    epochs_trained: int
    busy_s: float
    """Seconds of training and evaluation in this execution, summed over slots."""
    wall_s: float


REPAIRS = 2
"""How often the epochs whose checkpoints are not whole at the end are trained again before the run is told to be partial."""


def run_sweep(
    spec: SweepSpec,
    run: str | None,
    address: str | None,
    command: str,
    listeners: list[Listener],
    say: Callable[[str], None] = lambda _: None,
    sweep: str | None = None,
    verify: bool = False,
) -> RunResult:
    """Run a sweep to its end, or on from where it is: train what is not trained yet, choose, vote, judge, report.

    `run` names the run (left out: `SweepSpec.run_id`), `address` a Ray cluster (left out: one of our own on this
    machine), `command` is what the report says to type, `say` tells a person what is no event, `sweep` is the path of the
    sweep file, beside which a cluster file may lie, `verify` reads back what was read back before, too. Raises
    `CaucusError`, with nothing written, where the sweep cannot be run, `RunTaken` where another driver has the run, and
    `RunCutShort` where the store gives out on the way or another driver takes the run over.
    """
    start_s = time.monotonic()
    if run is not None and not re.fullmatch(NAME_PATTERN, run):
        raise SweepFileError(f"--run-id is {run!r}: letters, digits, dots, dashes and underscores name a run")
    check_cluster(address)
    budget = Budget(spec.budget, find_price(spec))
    images = load_images(spec.data)
    check_augment(spec, images.pixels.shape[3])
    store = open_store(spec.store.uri, spec.store.endpoint_url)
    store.check()
    check_format(store)
    spec, weights = pin_pretrained_weights(spec, store)
    run = run or spec.run_id(images.data_id)
    driver = (
        find_driver(store, spec.name, run) or NOBODY
    )  # before all else of the run: who comes later shows in the lease
    before = Journal(store, spec.name, run, repair=True)
    known = before.events
    check_understood(store, spec.name, run, before, RunState(known))
    former = read_former(store, spec, images.data_id)
    trained = [] if known else read_trained(store, spec, images.data_id)
    search = choose_search(spec, images.data_id, former, trained)
    trials = len(list_trials(spec, images.data_id, former)) or spec.search.configuration_count
    check_run(store, spec, run, images.data_id, needed_bytes=CHECKPOINT_BYTES * trials)
    if not known:
        for told in check_models(spec, images, list_trials(spec, images.data_id, former), weights):
            if told["only_on_cpu"] and spec.resources.gpus is None:
                say(f"model.name is {told['name']}: {told['only_on_cpu']}")
    unlabelled = read_images_to_label(spec, search, known, images)
    again_bytes = images.pixels.nbytes + unlabelled.pixels.nbytes if unlabelled else 0

    with take_lease(store, spec.name, run, say, driver) as lease, cut_short_by_the_store():
        journal = Journal(store, spec.name, run, lease.number, repair=True, before=before)
        if not is_next(lease, driver):
            check_understood(store, spec.name, run, journal, RunState(journal.events))
        if journal.damage:
            say(
                f"{journal.damage.partition(':')[0]}: the journal is read up to there, later epochs are found in the store"
            )
        status = StatusWriter(store, spec, run, lease)
        log = RunLog(journal, [*listeners, status])
        stored = StoredRun(store, spec.name, run, log.state, spec.ensemble, command, spec)
        deleted = read_deleted(store, spec.name, run)
        listing = None if is_done(log.state) else list_checkpoints(store, log.state.trials)
        lost = lost_epochs(store, log.state, deleted, listing)
        epochs_trained, busy_s, slot = 0, 0.0, ""

        def begin() -> tuple[TrialController, SecondStage | None]:
            search = choose_search(spec, images.data_id, former, trained)
            return TrialController(spec, search, log, lost), search if isinstance(search, SecondStage) else None

        def train() -> str:
            """Train what is left, and what is lost; returns why it ended early, "" where nothing is left."""
            nonlocal epochs_trained, busy_s, slot, listing
            controller, second = begin()
            if controller.is_over or time_left_s(spec, log) <= 0 or budget.spent(log.state, log.elapsed_s):
                lease.retain()
                write_head(store, spec, run, images, command)
                return "" if controller.is_over else OUT_OF_BUDGET
            bytes_held = images.pixels.nbytes + again_bytes
            with connected(spec.resources, bytes_held, address, find_custom_code(spec), sweep) as found:
                cluster = replace(found, say=say)
                if str(cluster.slot) != slot:
                    slot = str(cluster.slot)
                    say(f"{stored.run}: {slot}")
                lease.retain()
                listing = None  # from here on it is no longer true
                write_head(store, spec, run, images, command)
                for data in weights.values():
                    store_weights(store, data)
                log.open(versions(), cluster.slots)
                deadline_unix_s = time.time() + time_left_s(spec, log)
                if second:
                    rebuild_table(store, spec, log.state, images, cluster)
                while True:
                    given = (spec, images.arrays, store, log, cluster, budget, deadline_unix_s, lease, say)
                    reason = launch(controller, *given)
                    if reason == RESIZED:
                        cluster = replace(cluster, slot=fit_cores(cluster.slot, spec.resources, list_nodes()))
                        slot = str(cluster.slot)
                        say(f"{stored.run}: {RESIZED}: {slot}")
                        controller, second = begin()
                    elif second and not reason and second.is_due(log.state):
                        controller.decide(label(store, spec, log.state, images, cluster, unlabelled))
                    else:
                        break
            epochs_trained += log.state.epochs_trained
            busy_s += log.state.busy_s
            return reason

        for repair in range(REPAIRS + 1):
            reason = train()
            lease.confirm()
            proof = verify_run(store, spec.name, run, log.state.trials.values(), deleted, listing, verify)
            lost = proof.lost
            if reason or not lost or repair == REPAIRS:
                break
            say(f"{next(iter(proof.broken.values()))}; {len(proof.broken)} checkpoint(s) in all are made again")
            invalidate(store, proof.broken)
            listing = None
        stored = replace(stored, listing=proof.listing)
        conclusion = conclude(stored)
        outcome, reason = decide_outcome(log.state, conclusion, reason, lost)
        report = publish(stored, conclusion, reason) if conclusion else None
        status.verdict = conclusion.verdict.sentence if conclusion else None
        if log.state.closed is None or (log.state.closed.state, log.state.closed.reason) != (outcome, reason):
            log.close(outcome, reason)  # last: a run that says it is done has its report
    wall_s = time.monotonic() - start_s
    return RunResult(stored.run, outcome, reason, log.state, conclusion, report, epochs_trained, busy_s, wall_s)


@contextlib.contextmanager
def cut_short_by_the_store() -> Iterator[None]:
    """A store that fails once a run is under way is no wrong input: `RunCutShort` takes the place of its `StoreError`."""
    try:
        yield
    except StoreError as error:
        raise RunCutShort(f"{error}; what reached the store is kept: run it again to go on") from None


def read_images_to_label(
    spec: SweepSpec, search: Search, known: Iterable[Event], images: ImageSet
) -> UnlabelledImages | None:
    """Images from elsewhere that a second stage of a run with the events `known` still has to label, else None."""
    if not isinstance(search, SecondStage):
        return None
    for event in known:
        search.observe(event)
    return read_unlabelled(spec, images) if search.needs_images else None


def check_run(store: Store, spec: SweepSpec, run: str, data_id: str, needed_bytes: int) -> None:
    """Raise before anything is written, where the run's name is taken by another sweep or the store cannot be written.

    The store was looked at before: it answers, and its format is known.
    """
    try:
        head = get_json(store, layout.run_key(spec.name, run, layout.SWEEP))
    except (ObjectMissing, DamagedObject):  # it is written again
        head = {}
    if head and head.get("fingerprint") != spec.run_id(data_id):
        raise RunMismatch(
            f"run {spec.name}/{run} in {store.uri} was started with other data, another search space or another scheduler: "
            "take the sweep file it was started with, or another --run-id"
        )
    store.check_writable(needed_bytes)


def write_head(store: Store, spec: SweepSpec, run: str, images: ImageSet, command: str) -> None:
    """What a reader needs before the first event: the store's format, the data's record, the resolved sweep."""
    mark_format(store, versions()["caucus"])
    write_data_table(store, images)
    head = {
        "spec": spec.model_dump(mode="json", exclude={"store"}),
        "fingerprint": spec.run_id(images.data_id),
        "data_id": images.data_id,
        "command": command,
    }
    store.put(layout.run_key(spec.name, run, layout.SWEEP), seal_json(head))
    write_latest(store, spec.name, run)


def is_done(state: RunState) -> bool:
    """Whether the newest execution came to its end with all checkpoints proved."""
    return state.closed is not None and state.closed.state == "done"


def lost_epochs(
    store: Store, state: RunState, deleted: Mapping[str, set[int]] | None = None, listing: Listing | None = None
) -> dict[str, set[int]]:
    """Epochs on record whose checkpoints are not in the store, by trial; trials without any are left out.

    Those that retention has `deleted` are not lost. After a clean end there were none: what has been lost since is found
    by `verify_checkpoints`, which checks every checkpoint. `listing` is a recent listing, if there is one.
    """
    if is_done(state):
        return {}
    recorded = {
        name: {epoch.epoch for epoch in record.epochs} for name, record in state.trials.items() if record.epochs
    }
    known, there = deleted or {}, (listing or list_checkpoints(store, recorded)).committed
    lost = {name: epochs - known.get(name, set()) - there.get(name, set()) for name, epochs in recorded.items()}
    return {name: epochs for name, epochs in lost.items() if epochs}


def conclude(stored: StoredRun) -> Conclusion | None:
    """The conclusion, or None where no trial has an epoch to vote with."""
    try:
        return choose_and_evaluate(stored)
    except NothingToVote:
        return None


def decide_outcome(
    state: RunState, conclusion: Conclusion | None, reason: str, lost: dict[str, set[int]]
) -> tuple[str, str]:
    """`done`, `partial` or `failed`, and why. A budget that ran out is a proper end: what was trained has voted."""
    if conclusion is None:
        reasons = [record.reason for record in state.trials.values() if record.reason]
        return "failed", next(iter(reasons), reason or "no trial was trained")
    stopped = [record.reason for record in state.trials.values() if record.state == "stopped"]
    stopped = [why for why in stopped if not why.startswith(OUT_OF_BUDGET)]
    if lost:
        count = sum(map(len, lost.values()))
        return "partial", f"{count} checkpoint(s) did not reach the store: {next(iter(stopped), 'run it again')}"
    if stopped or (reason and not reason.startswith(OUT_OF_BUDGET)):
        return "partial", next(iter(stopped), reason)
    return "done", reason
