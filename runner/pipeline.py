"""A run from its start to its report, on one page."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from runner.config.search import NAME_PATTERN
from runner.config.sweep import SweepSpec
from runner.evaluation.conclusion import Conclusion, choose_and_evaluate, publish
from runner.execution.context import RunContext
from runner.execution.lost_epochs import is_done, lost_epochs
from runner.execution.prepare import PreparedRun, prepare_run
from runner.execution.stop import StopCause, StopReason
from runner.execution.train import Trainer
from runner.journal.deleted import read_deleted
from runner.journal.journal import Journal
from runner.journal.lease import Lease, is_next, take_lease
from runner.journal.log import Listener, RunLog
from runner.journal.state import RunState
from runner.runs.compatibility import check_understood
from runner.runs.integrity_check import invalidate, verify_run
from runner.runs.status import StatusWriter
from runner.runs.stored_run import NothingToVote, StoredRun
from trainables.data.images import ImageSet
from trainables.errors import PluginUnusable, RunCutShort, StoreError, SweepFileError
from trainables.results.listing import Listing, list_checkpoints


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
"""How often the epochs whose checkpoints are not whole at the end are trained again before the run is called partial."""


def run_sweep(
    spec: SweepSpec,
    run: str | None,
    address: str | None,
    command: str,
    listeners: list[Listener],
    notify: Callable[[str], None] = lambda _: None,
    sweep: str | None = None,
    verify: bool = False,
    images: ImageSet | None = None,
) -> RunResult:
    """Run a sweep to its end, or on from where it is: train what is not trained yet, select, vote, evaluate, report.

    `run` names the run (left out: `SweepSpec.run_id`), `address` a Ray cluster (left out: one of our own on this
    machine), `command` is what the report says to type, `notify` shows a person what is no event, `sweep` is the path of the
    sweep file, beside which a cluster file may lie, `verify` reads back what was read back before, too,
    `images` are those of `spec.data` where a program has them in memory. Raises
    `CaucusError`, with nothing written, where the sweep cannot be run, `RunTaken` where another driver has the run, and
    `RunCutShort` where the store gives out on the way or another driver takes the run over.
    """
    start_s = time.monotonic()
    if run is not None and not re.fullmatch(NAME_PATTERN, run):
        raise SweepFileError(f"--run-id is {run!r}: letters, digits, dots, dashes and underscores name a run")
    prepared = prepare_run(spec, run, address, notify, images)
    with (
        take_lease(prepared.store, prepared.spec.name, prepared.run, notify, prepared.driver) as lease,
        cut_short(),
    ):
        journal = open_journal(prepared, lease, notify)
        status = StatusWriter(prepared.store, prepared.spec, prepared.run, lease)
        context = RunContext(
            spec=prepared.spec,
            run=prepared.run,
            store=prepared.store,
            images=prepared.images,
            budget=prepared.budget,
            lease=lease,
            log=RunLog(journal, [*listeners, status]),
            notify=notify,
        )
        trainer = Trainer(context, prepared, address, command, sweep)
        trained = train_until_whole(context, trainer, verify)
        stored = StoredRun(
            prepared.store,
            prepared.spec.name,
            prepared.run,
            context.log.state,
            prepared.spec.ensemble,
            command,
            prepared.spec,
            listing=trained.listing,
        )
        conclusion = conclude(stored)
        outcome, reason = decide_outcome(context.log.state, conclusion, trained.stop, trained.lost)
        report = publish(stored, conclusion, reason) if conclusion else None
        status.verdict = conclusion.verdict.sentence if conclusion else None
        closed = context.log.state.closed
        if closed is None or (closed.state, closed.reason) != (outcome, reason):
            context.log.close(outcome, reason)  # last: a run that says it is done has its report
    return RunResult(
        run=context.title,
        outcome=outcome,
        reason=reason,
        state=context.log.state,
        conclusion=conclusion,
        report=report,
        epochs_trained=trainer.epochs_trained,
        busy_s=trainer.busy_s,
        wall_s=time.monotonic() - start_s,
    )


def open_journal(prepared: PreparedRun, lease: Lease, notify: Callable[[str], None]) -> Journal:
    """The journal under the claim of `lease`; read again where another driver has written since `prepared` was read."""
    store, name, run = prepared.store, prepared.spec.name, prepared.run
    journal = Journal(store, name, run, lease.number, repair=True, before=prepared.journal)
    if not is_next(lease, prepared.driver):
        check_understood(store, name, run, journal, RunState(journal.events))
    if journal.damage:
        notify(
            f"{journal.damage.partition(':')[0]}: the journal is read up to there, later epochs are found in the store"
        )
    return journal


@dataclass(frozen=True)
class Trained:
    """What training a run came to."""

    stop: StopReason | None
    """Why it ended early."""
    lost: Mapping[str, set[int]]
    """Epochs whose checkpoints are not whole, by trial."""
    listing: Listing
    """What the store has of the run's trials."""


def train_until_whole(context: RunContext, trainer: Trainer, verify: bool) -> Trained:
    """Train what is left, verify every checkpoint, and train again what is not whole, `REPAIRS` times at most."""
    store, name, run, state = context.store, context.spec.name, context.run, context.log.state
    deleted = read_deleted(store, name, run)
    listing = None if is_done(state) else list_checkpoints(store, state.trials)
    lost = lost_epochs(store, state, deleted, listing)
    repairs = 0
    while True:
        stop = trainer.train(lost)
        context.lease.confirm()
        current = None if trainer.has_connected or repairs else listing
        report = verify_run(store, name, run, state.trials.values(), deleted, current, verify)
        lost = report.lost
        if stop or not lost or repairs == REPAIRS:
            return Trained(stop, lost, report.listing)
        repairs += 1
        context.notify(
            f"{next(iter(report.broken.values()))}; {len(report.broken)} checkpoint(s) in all are trained again"
        )
        invalidate(store, report.broken)


@contextlib.contextmanager
def cut_short() -> Iterator[None]:
    """A store or a plug-in that fails once a run is under way is no wrong input: `RunCutShort` takes the place of their errors."""
    try:
        yield
    except StoreError as error:
        raise RunCutShort(f"{error}; what reached the store is kept: run it again to go on") from None
    except PluginUnusable as error:
        raise RunCutShort(f"{error}; what was trained is kept: repair it, and run it again to go on") from error


def conclude(stored: StoredRun) -> Conclusion | None:
    """The conclusion, or None where no trial has an epoch to vote with."""
    try:
        return choose_and_evaluate(stored)
    except NothingToVote:
        return None


def decide_outcome(
    state: RunState, conclusion: Conclusion | None, stop: StopReason | None, lost: Mapping[str, set[int]]
) -> tuple[str, str]:
    """`done`, `partial` or `failed`, and why. A budget that ran out is a proper end: what was trained has voted."""
    if conclusion is None:
        reasons = [record.reason for record in state.trials.values() if record.reason]
        return "failed", next(iter(reasons), stop.text if stop else "no trial was trained")
    stopped = [record.reason for record in state.trials.values() if record.state == "stopped" and not record.by_budget]
    if lost:
        count = sum(map(len, lost.values()))
        return "partial", f"{count} checkpoint(s) did not reach the store: {next(iter(stopped), 'run it again')}"
    is_cut_off = stop is not None and stop.cause is not StopCause.BUDGET
    if stopped or is_cut_off:
        return "partial", next(iter(stopped), stop.text if stop else "")
    return "done", stop.text if stop else ""
