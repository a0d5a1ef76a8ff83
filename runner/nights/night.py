"""A night: a run of a sweep that begins where the last accepted night ended, and is compared with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

from ensembles.nights.summary import NightSummary, write_summary
from runner.config.search import DRAWN, WarmStartConfig
from runner.config.sweep import SweepSpec
from runner.evaluation.conclusion import publish
from runner.journal.log import Listener
from runner.nights.causes import describe_changed_keys, flatten_spec
from runner.nights.retention import retain_nights
from runner.nights.verdict import evaluate_night
from runner.pipeline import RunResult, run_sweep
from runner.retention.retention import Retention
from runner.runs.locate import Located
from runner.runs.nights import last_accepted, next_number, read_nights
from runner.runs.stored_run import load_run, spec_in
from trainables.config.base import short_hash
from trainables.errors import CaucusError, NightDropped, ObjectMissing, RunCutShort, RunMismatch, StoreError
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json, seal_json
from trainables.store.open import open_store

NO_BETTER = 3
"""The exit code of a night that finished, but is no better than the last accepted one."""


@dataclass(frozen=True)
class Night:
    """Result of one execution of a night."""

    result: RunResult
    summary: NightSummary
    retention: Retention | None = None
    """What the retention policy (`keep`) has deleted; None where it deletes nothing."""
    retention_failure: str = ""
    """Why the retention policy could not delete."""


@dataclass(frozen=True)
class NightPlan:
    """A sweep as a night runs it."""

    spec: SweepSpec
    warm_start: str
    """A sentence on what the night begins with, or why without a warm start."""


def name_night(now: datetime | None = None, zone: tzinfo = UTC) -> str:
    """The name of tonight's run: the date in `zone`.

    >>> from zoneinfo import ZoneInfo
    >>> name_night(datetime(2026, 11, 21, 23, 30, tzinfo=UTC))
    '2026-11-21'
    >>> name_night(datetime(2026, 11, 21, 23, 30, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    '2026-11-22'
    """
    return f"{(now or datetime.now(UTC)).astimezone(zone):%Y-%m-%d}"


def run_night(
    spec: SweepSpec,
    run: str,
    address: str | None,
    command: str,
    listeners: list[Listener],
    notify: Callable[[str], None] = lambda _: None,
    sweep: str | None = None,
) -> Night:
    """Run the night `run` of a sweep, or resume it: sweep, vote, comparison, report, retention.

    A night that is over trains nothing and returns the same summary. Raises the errors of `run_sweep`, `RunMismatch` with the
    keys that changed, and `NightDropped` where its checkpoints were deleted.
    """
    store = open_store(spec.store.uri, spec.store.endpoint_url)
    nights = read_nights(store, spec.name, notify)
    recorded = nights.get(run)
    if recorded and recorded.dropped:
        raise NightDropped(
            f"night {spec.name}/{run} is over ({recorded.verdict}), and its checkpoints are deleted: read its report at "
            f"{store.uri}/{layout.run_key(spec.name, run, layout.REPORT)}, or take another --run-id"
        )
    number = recorded.number if recorded else next_number(nights)
    plan = plan_night(store, spec, run, last_accepted(nights, number))
    notify(f"{spec.name}/{run}: {plan.warm_start}")
    try:
        result = run_sweep(plan.spec, run, address, command, listeners, notify, sweep)
    except RunMismatch as error:
        raise _name_changed_keys(store, plan.spec, run, error) from None
    try:
        summary = evaluate_night(store, plan.spec, run, result, nights, number)
        summary = replace(summary, warm_start=plan.warm_start)
        if summary != recorded:
            store.put(layout.run_key(spec.name, run, layout.NIGHT), write_summary(summary))
            if result.conclusion:
                publish(load_run(Located(store, spec.name, run), []), result.conclusion, result.reason)
        _write_status(store, spec.name, run, summary)
    except StoreError as error:
        raise RunCutShort(f"{error}; what the night has trained is kept: run it again to evaluate it") from None
    if spec.keep is None:
        return Night(result, summary)
    try:
        return Night(result, summary, retain_nights(store, spec.name, {**nights, run: summary}, spec.keep))
    except CaucusError as error:  # a failed deletion does not affect the result of the night
        return Night(result, summary, retention_failure=str(error))


def plan_night(store: Store, spec: SweepSpec, run: str, accepted: str | None) -> NightPlan:
    """`spec` as the night `run` runs it. A night that was started before keeps its warm start, whatever was accepted since."""
    search = spec.search
    if spec.nightly.reseed:
        seed = int(short_hash({"night": run, "search.seed": search.seed}, digits=8), 16)
        search = search.model_copy(update={"seed": seed})
    method = search.parts[0][1].method
    if search.warm_start is not None:
        warm_start = f"begins with the best points of {search.warm_start.run}, as search.warm_start says"
    elif not spec.nightly.warm_start:
        warm_start = "begins without a warm start: nightly.warm_start is off"
    elif method not in DRAWN:
        warm_start = f"begins without a warm start: search.method is {method}, which knows its trials"
    else:
        begun, start = _find_warm_start(store, spec.name, run)
        if not begun and accepted is not None:
            start = WarmStartConfig(run=f"{spec.name}/{accepted}", best=spec.nightly.best, other_data=True)
        search = search.model_copy(update={"warm_start": start})
        warm_start = (
            f"begins with the best points of {start.run}"
            if start
            else "begins from scratch: no night was accepted before it"
        )
    return NightPlan(spec.model_copy(update={"search": search}), warm_start)


def exit_code_of(summary: NightSummary, no_better_is: int = NO_BETTER) -> int:
    """0: accepted; `no_better_is`: finished, but no better than the last accepted night; 4: finished in part, or without a vote.

    Records always have 3 there; on the command line it can be another code, for schedulers that take 3 for a failure.
    """
    return {"accepted": 0, "no worse": no_better_is, "worse": no_better_is}.get(summary.verdict, 4)


def _find_warm_start(store: Store, name: str, run: str) -> tuple[bool, WarmStartConfig | None]:
    """Whether the night was started before, and the warm start that it had then."""
    try:
        head = get_json(store, layout.run_key(name, run, layout.SWEEP))
    except ObjectMissing:
        return False, None
    known = spec_in(head)
    return True, known.search.warm_start if known else None


def _name_changed_keys(store: Store, spec: SweepSpec, run: str, error: RunMismatch) -> RunMismatch:
    """The error, extended by the keys in which the sweep differs from the one that the night was started with."""
    try:
        head = get_json(store, layout.run_key(spec.name, run, layout.SWEEP))
    except StoreError:
        return error
    known = spec_in(head)
    changed = describe_changed_keys(flatten_spec(spec), flatten_spec(known)) if known else ""
    if not changed:
        return error
    return RunMismatch(
        f"night {spec.name}/{run} in {store.uri} was started with another sweep ({changed}): take the sweep it was started "
        f"with, or start another night with --run-id {run}-b"
    )


def _write_status(store: Store, name: str, run: str, summary: NightSummary) -> None:
    """Put the verdict into status.json: `ray submit` turns an exit code of 3 into 1, so it has to be read from there."""
    key = layout.run_key(name, run, layout.STATUS)
    night = {"verdict": summary.verdict, "accepted": summary.accepted, "exit_code": exit_code_of(summary)}
    store.put(key, seal_json({**get_json(store, key), "verdict": summary.sentence, "night": night}))
