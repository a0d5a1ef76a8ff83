"""status.json of a run: its state for people and programs on any machine, without reading its events."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from runner.config.duration import show_duration
from runner.config.sweep import SweepSpec
from runner.control.time_left import seconds_left
from runner.journal.events import Event, RunClosed
from runner.journal.journal import Journal
from runner.journal.lease import Lease, find_driver
from runner.journal.state import RunState
from runner.output.console import find_output_failure
from runner.runs.locate import Located
from trainables.errors import DamagedObject, ObjectMissing
from trainables.metric import Metric, name_metric, show_score
from trainables.results.record import rank
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json, seal_json, to_json

SILENT_AFTER_S = 30.0
"""A driver without a heartbeat for this long counts as gone; an outage of the store looks the same from outside."""

WRITE_EVERY_S = 2.0
"""Least seconds between two writes: a run with many short epochs does not write its status for each of them."""


def summarise(
    state: RunState,
    name: str,
    run: str,
    eta_s: float | None = None,
    verdict: str | None = None,
    driver: int = 0,
    output: str | None = None,
) -> dict[str, Any]:
    """The content of status.json: state, counts, the best trial so far, seconds taken and seconds left, verdict.

    `output` says since when the output of the driver has no reader; without it the key is left out.
    """
    leader = next(iter(rank(list(state.trials.values()))), None)
    best = leader.best if leader else None
    return {
        "run": f"{name}/{run}",
        "state": state.closed.state if state.closed else "running",
        "reason": state.closed.reason if state.closed else "",
        "heartbeat_unix_s": round(time.time(), 3),
        "verdict": verdict,
        **({"output": output} if output else {}),
        "journal": {"driver": driver, "events": state.recorded_events},
        "elapsed_s": round(state.elapsed_s, 3),
        "eta_s": None if eta_s is None else round(eta_s, 1),
        "trials": {"planned": len(state.trials), **state.counts()},
        "best": {
            "trial_id": leader.trial_id,
            "epoch": best.epoch,
            "validation_accuracy": best.validation_accuracy,
            **({"metric": best.metric, "validation_score": best.validation_score} if best.metric else {}),
        }
        if leader and best
        else None,
    }


class StatusWriter:
    """A listener that keeps status.json of a run up to date, within `WRITE_EVERY_S` while it runs."""

    def __init__(self, store: Store, spec: SweepSpec, run: str, lease: Lease | None = None) -> None:
        self.verdict: str | None = None
        """The verdict's sentence, once the run has voted."""
        self._lease = lease
        self._store = store
        self._spec = spec
        self._run = run
        self._written_s = 0.0

    def __call__(self, event: Event, state: RunState) -> None:
        """Write the status after an event, if it is due."""
        closes = isinstance(event, RunClosed)
        if closes or time.monotonic() - self._written_s >= WRITE_EVERY_S:
            eta_s = None if closes else seconds_left(state, self._spec)
            driver = self._lease.number if self._lease else 0
            failure = find_output_failure()
            output = str(failure) if failure else None
            self.write(summarise(state, self._spec.name, self._run, eta_s, self.verdict, driver, output))

    def write(self, status: dict[str, Any]) -> None:
        """Replace status.json, unless another driver has taken the run over."""
        if self._lease is not None and self._lease.is_lost:
            return
        self._store.put(layout.run_key(self._spec.name, self._run, layout.STATUS), seal_json(status))
        self._written_s = time.monotonic()


def read_status(found: Located) -> dict[str, Any]:
    """status.json of a run, with the age of its heartbeat; rebuilt from the events where it is missing or damaged.

    A run in state `running` is `stale` where its driver has ended or had no heartbeat for `SILENT_AFTER_S`.
    """
    driver = find_driver(found.store, found.name, found.run)
    try:
        status = _read(found)
    except (ObjectMissing, DamagedObject):
        events = Journal(found.store, found.name, found.run).events
        status = summarise(RunState(events), found.name, found.run)
        status["heartbeat_unix_s"] = events[-1].at_unix_s if events else None
    heartbeat = status.get("heartbeat_unix_s")
    if driver and driver.beat_unix_s is not None and isinstance(heartbeat, int | float | None):
        heartbeat = max(heartbeat or 0.0, driver.beat_unix_s)
        status["heartbeat_unix_s"] = heartbeat
    age_s = max(0.0, time.time() - heartbeat) if isinstance(heartbeat, int | float) else None
    status["heartbeat_age_s"] = None if age_s is None else round(age_s, 1)
    is_silent = age_s is not None and age_s > SILENT_AFTER_S
    if status.get("state") == "running" and (is_silent or (driver is not None and driver.has_ended)):
        status["state"] = "stale"
    return status


@dataclass(frozen=True)
class _Best:
    trial_id: str
    epoch: int
    validation_accuracy: float
    metric: Metric | None = None
    validation_score: float | None = None


@dataclass(frozen=True)
class _Shown:
    """The keys of status.json that are validated. A newer version may have more, which `--json` shows unchanged."""

    run: str
    state: str
    reason: str
    elapsed_s: float
    eta_s: float | None
    trials: dict[str, int]
    best: _Best | None
    verdict: str | None = None
    heartbeat_unix_s: float | None = None


def _read(found: Located) -> dict[str, Any]:
    """status.json. Raises `ObjectMissing`, and `DamagedObject` also where the JSON is no status."""
    key = layout.run_key(found.name, found.run, layout.STATUS)
    status = get_json(found.store, key)
    try:
        TypeAdapter(_Shown).validate_json(to_json(status), strict=True)
    except ValueError as error:  # pydantic's errors, too
        raise DamagedObject(f"{found.store.uri}/{key} is no status: {error}") from None
    return status


def show_status(status: dict[str, Any]) -> str:
    """A status as a few lines of text."""
    counts = ", ".join(f"{count} {name}" for name, count in status["trials"].items() if name != "planned")
    lines = [
        f"{status['run']}: {status['state']}{': ' + status['reason'] if status['reason'] else ''}",
        f"trials: {status['trials'].get('planned', 0)}, of which {counts or 'none has begun'}",
    ]
    if status["best"]:
        best = status["best"]
        score = f"{best['validation_accuracy']:.2%}"
        if best.get("metric") and best.get("validation_score") is not None:
            score = f"{name_metric(best['metric'])} {show_score(best['metric'], best['validation_score'])}"
        lines.append(f"best: {best['trial_id']}, validation {score} at epoch {best['epoch']}")
    if status.get("verdict"):
        lines.append(f"verdict: {status['verdict']}")
    if status.get("output"):
        lines.append(f"output: {status['output']}")
    left = f", about {show_duration(status['eta_s'])} left" if status["eta_s"] is not None else ""
    age_s = status["heartbeat_age_s"]
    heard = "not heard of yet" if age_s is None else f"last heard of {show_duration(age_s)} ago"
    lines.append(f"time: {show_duration(status['elapsed_s'])} so far{left}; {heard}")
    return "\n".join(lines)
