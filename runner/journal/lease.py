"""One driver for each run. The driver with the newest claim drives it; writes of older drivers are not read (`journal.py`).

A claim is an object that is created once, under the next free number: of all drivers that try at the same time, one succeeds.
Its holder proves that it is alive by a heartbeat. A driver that finds a claim takes the run over only where the heartbeat says
that it ended, where the process is gone from this machine, or where the heartbeat has not changed for `SILENT_S` by the
clock of the new driver, so that clocks need not agree.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from runner.journal.process_id import describe_process, process_has_exited
from trainables.errors import DamagedObject, ObjectMissing, RunCutShort, RunTaken, StoreError
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.folder import Folder
from trainables.store.json_records import get_json, to_json

BEAT_S = 3.0
"""Seconds between two heartbeats."""

SILENT_S = 15.0
"""A heartbeat that does not change for this long has stopped. A store may be out of reach for some seconds."""

RELEASE_S = 10.0
"""How long a driver that ends waits for its last heartbeat to be written."""

POLL_S = 0.5

CHECKED_BEATS = 10
"""For this many first heartbeats a driver checks that its own claim is still there: a race for it is over by then."""

RIVALS = 4
"""Number of simultaneous attempts at a claim: a server that accepts two of them would accept two drivers, too."""


@dataclass(frozen=True)
class Driver:
    """A driver that has claimed a run, as recorded in the store."""

    number: int
    """Number of this driver among those of the run, counted from 1."""
    claim: dict[str, Any]
    """The record of the claim, which describes the process."""
    beat: dict[str, Any] | None
    """Its newest heartbeat, None before the first."""

    @property
    def has_ended(self) -> bool:
        """Whether the driver recorded its end, or its process is known to be gone."""
        return bool(self.beat and self.beat.get("ended")) or process_has_exited(self.claim)

    @property
    def beat_unix_s(self) -> float | None:
        """Time of the last sign of life, by the clock of the driver."""
        at = self.beat.get("at_unix_s") if self.beat else self.claim.get("at_unix_s")
        return float(at) if isinstance(at, int | float) else None

    def __str__(self) -> str:
        return f"process {self.claim.get('pid', '?')} on {self.claim.get('host', '?')}"


NOBODY = Driver(0, {}, {"ended": True})
"""The driver before the first."""


def find_driver(store: Store, name: str, run: str) -> Driver | None:
    """The newest driver of a run, alive or not; None where none ever claimed it."""
    prefix = layout.drivers_prefix(name, run)
    claims = [found.key.removeprefix(prefix) for found in store.find(prefix) if found.key.endswith(".json")]
    numbers = [int(claim.removesuffix(".json")) for claim in claims if claim.removesuffix(".json").isdecimal()]
    if not numbers:
        return None
    number = max(numbers)
    return Driver(
        number,
        _read(store, layout.claim_key(name, run, number)) or {},
        _read(store, layout.beat_key(name, run, number)),
    )


def take_lease(
    store: Store, name: str, run: str, notify: Callable[[str], None] = lambda _: None, seen: Driver | None = None
) -> Lease:
    """The right to drive a run, from now on until `Lease.release` or until another driver takes it over.

    `seen` is the newest driver as it was found a moment ago (`NOBODY` where there was none), which saves a lookup: if another
    driver came since, its claim makes this one fail. Waits up to `SILENT_S` to see whether the previous driver is still alive, and
    passes a message on that to `notify`. Raises `RunTaken` where it is alive, and `StoreError` where the store cannot distinguish two drivers.
    """
    while True:
        before, seen = seen or find_driver(store, name, run), None
        if before and not before.has_ended:
            notify(f"{name}/{run} was driven by {before}: waiting up to {SILENT_S:g} s to see whether it still is")
            _wait_for_silence(store, name, run, before)
        number = before.number + 1 if before else 1
        found_at = store.nearest() if isinstance(store, Folder) else None
        nonces = [secrets.token_hex(16) for _ in range(RIVALS)]
        claims = _claim(store, layout.claim_key(name, run, number), nonces)
        if claims > 1:
            _unclaim(store, layout.claim_key(name, run, number), found_at)  # the next one need not wait for a heartbeat
            raise StoreError(
                f"store {store.uri} let {claims} writers be the first to create the same object: it ignores If-None-Match, or "
                "looks too early (as OpenStack Swift does), and cannot tell two drivers of one run apart: take a server that "
                "knows conditional writes, or a folder"
            )
        if claims == 1:
            try:
                return Lease(store, name, run, number, found_at, frozenset(nonces))
            except BaseException:
                _unclaim(store, layout.claim_key(name, run, number), found_at)
                raise


def _wait_for_silence(store: Store, name: str, run: str, seen: Driver) -> None:
    """Wait until the driver `seen` is known to have stopped. Raises `RunTaken` at its next heartbeat."""
    quiet_since_s = time.monotonic()
    while time.monotonic() - quiet_since_s < SILENT_S:
        time.sleep(POLL_S)
        now = find_driver(store, name, run)
        if now is None or now.has_ended:
            return
        if (now.number, now.beat) != (seen.number, seen.beat):
            raise RunTaken(
                f"run {name}/{run} in {store.uri} is being driven by {now}: wait for its end, stop it, or take another --run-id"
            )


def _claim(store: Store, key: str, nonces: Sequence[str]) -> int:
    """How many of `RIVALS` simultaneous attempts succeeded in creating `key`: 1 or, where other drivers were faster, 0."""
    claim = {**describe_process(), "at_unix_s": round(time.time(), 3)}

    return store.create_together(key, [to_json({**claim, "nonce": nonce}) for nonce in nonces])


def _unclaim(store: Store, key: str, found_at: Path | None) -> None:
    """Delete a claim, with the folders that were created for it: all empty ones below `found_at`."""
    with contextlib.suppress(StoreError):
        store.delete(key)
    if isinstance(store, Folder) and found_at is not None:
        store.remove_empty(found_at)


def _read(store: Store, key: str) -> dict[str, Any] | None:
    """The record under `key`; None where there is none, empty where it is damaged."""
    try:
        return get_json(store, key)
    except ObjectMissing:
        return None
    except DamagedObject:
        return {}


def is_next(lease: Lease, seen: Driver) -> bool:
    """Whether no other driver has driven the run since `seen` was found."""
    return seen.has_ended and lease.number == seen.number + 1


class Lease:
    """The claim of this process on a run. A thread writes its heartbeat from `take_lease` to `release`.

    A context manager: it is released at the end of the block, or withdrawn where an error leaves the block before `retain`.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        run: str,
        number: int,
        found_at: Path | None = None,
        nonces: frozenset[str] = frozenset(),
    ) -> None:
        self.number = number
        self._found_at = found_at
        self._nonces = nonces
        self._store = store
        self._name = name
        self._run = run
        self._beats = 0
        self._is_retained = False
        self.failure: Exception | None = None
        """The error that has stopped the heartbeat, unless it came from the store."""
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._write_beat()
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._heart.start()

    @property
    def is_lost(self) -> bool:
        """Whether another driver is known to have taken the run over. Makes no request."""
        return self._lost.is_set()

    def confirm(self) -> None:
        """Raise `RunCutShort` where another driver has taken the run over. Asks the store, unless that is known.

        Raises the error that has stopped the heartbeat, where it did not come from the store.
        """
        if self.failure:
            raise self.failure
        if not self.is_lost and not self._is_taken(checks_claim=True):
            return
        self._lost.set()
        other = find_driver(self._store, self._name, self._run)
        why = f"taken over by {other}, which had not heard of this one for {SILENT_S:g} s"
        if other and other.number == self.number:
            why = f"claimed by {other} at the same time, and the store let both be the first: take another store"
        raise RunCutShort(f"run {self._name}/{self._run} in {self._store.uri} was {why}: what that one writes counts")

    def release(self) -> None:
        """Record that this driver has ended. Does not wait for a store that is out of reach: other drivers notice after `SILENT_S`."""
        if not self._ended.is_set():
            self._ended.set()
            self._heart.join(timeout=RELEASE_S)

    def retain(self) -> None:
        """Make the claim permanent, whatever happens: from now on the run contains writes of this driver."""
        self._is_retained = True

    def withdraw(self) -> None:
        """Delete the claim, as if it had never been made: a run that is refused leaves no trace. Where the store is out of reach, or
        does not permit the deletion, the claim stays and says that it has ended."""
        self.release()
        with contextlib.suppress(StoreError):
            if not self.is_lost and not self._heart.is_alive():
                self._store.delete(layout.beat_key(self._name, self._run, self.number))
                _unclaim(self._store, layout.claim_key(self._name, self._run, self.number), self._found_at)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None or self._is_retained:
            self.release()
        else:
            self.withdraw()

    def _beat(self) -> None:
        try:
            self._write_beats()
        except Exception as error:  # without a heartbeat the run is lost: the driver gets the error, and ends
            self.failure = error
            self._lost.set()

    def _write_beats(self) -> None:
        while not self._ended.wait(BEAT_S) and not self.is_lost:
            try:
                self._write_beat()
                if self._is_taken(checks_claim=self._beats <= CHECKED_BEATS):
                    self._lost.set()
            except StoreError:
                continue  # the run itself reports it, where it lasts
        with contextlib.suppress(StoreError):
            self._write_beat(ended=True)

    def _is_taken(self, checks_claim: bool) -> bool:
        """Whether another driver claimed the run after this one, or at the same time on a server that accepted both: then
        the later claim has replaced this one."""
        if self._store.stat(layout.claim_key(self._name, self._run, self.number + 1)) is not None:
            return True
        if not checks_claim or not self._nonces:
            return False
        claim = _read(self._store, layout.claim_key(self._name, self._run, self.number)) or {}
        return bool(claim.get("nonce")) and claim["nonce"] not in self._nonces

    def _write_beat(self, ended: bool = False) -> None:
        self._beats += 1
        beat = {"beat": self._beats, "at_unix_s": round(time.time(), 3), "ended": ended}
        self._store.put(layout.beat_key(self._name, self._run, self.number), (json.dumps(beat) + "\n").encode())
