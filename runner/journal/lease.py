"""One driver a run. Whoever drives it has the newest claim; all that older ones still write is not read (`journal.py`).

A claim is an object that is created once, under the next free number: of any number of drivers that try, the store lets
one. Its holder shows that it lives by writing a heartbeat. A driver that finds a claim takes the run over only where the
heartbeat has ended, where the process is gone from this machine, or where the heartbeat has not changed for `SILENT_S`
by its own clock, so that clocks need not agree.
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
"""A heartbeat is written so often."""

SILENT_S = 15.0
"""A heartbeat that does not change for so long has stopped. A store may be out of reach for some seconds."""

RELEASE_S = 10.0
"""A driver that ends waits so long for its last heartbeat to be written."""

POLL_S = 0.5

OWN_BEATS = 10
"""So many times a driver looks at first whether its own claim is still there: a race for it is over by then."""

RIVALS = 4
"""A claim is tried so often at once: a server that lets two of them be the first would let two drivers, too."""


@dataclass(frozen=True)
class Driver:
    """Who has claimed a run, as the store has it."""

    number: int
    """Counted from 1: which driver of the run it is."""
    told: dict[str, Any]
    """What the claim says of its process."""
    beat: dict[str, Any] | None
    """Its newest heartbeat, None before the first."""

    @property
    def has_ended(self) -> bool:
        """Whether it said that it ended, or is known to be gone."""
        return bool(self.beat and self.beat.get("ended")) or process_has_exited(self.told)

    @property
    def beat_unix_s(self) -> float | None:
        """When it was last heard of, by its own clock."""
        at = self.beat.get("at_unix_s") if self.beat else self.told.get("at_unix_s")
        return float(at) if isinstance(at, int | float) else None

    def __str__(self) -> str:
        return f"process {self.told.get('pid', '?')} on {self.told.get('host', '?')}"


NOBODY = Driver(0, {}, {"ended": True})
"""The driver before the first."""


def find_driver(store: Store, name: str, run: str) -> Driver | None:
    """The newest driver of a run, whether it lives or not; None where none ever claimed it."""
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
    store: Store, name: str, run: str, say: Callable[[str], None] = lambda _: None, seen: Driver | None = None
) -> Lease:
    """The right to drive a run, from now on until `Lease.release` or until another driver takes it over.

    `seen` is the newest driver as it was found a moment ago (`NOBODY` where there was none), so that nobody need look again: where
    one came since, its claim is in the way. Waits up to `SILENT_S` to see whether the driver before is still there, and tells `say` so. Raises `RunTaken` where it
    is, and `StoreError` where the store cannot tell two drivers apart.
    """
    while True:
        before, seen = seen or find_driver(store, name, run), None
        if before and not before.has_ended:
            say(f"{name}/{run} was driven by {before}: waiting up to {SILENT_S:g} s to see whether it still is")
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
    """Return once the driver `seen` is known to have stopped. Raises `RunTaken` at its next heartbeat."""
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
    """How many of `RIVALS` attempts at the same time were told that they created `key`: 1 or, where others were faster, 0."""
    told = {**describe_process(), "at_unix_s": round(time.time(), 3)}

    return store.create_together(key, [to_json({**told, "nonce": nonce}) for nonce in nonces])


def _unclaim(store: Store, key: str, found_at: Path | None) -> None:
    """Take a claim away, with the folders that came into being for it: all below `found_at` that are empty."""
    with contextlib.suppress(StoreError):
        store.delete(key)
    if isinstance(store, Folder) and found_at is not None:
        store.remove_empty(found_at)


def _read(store: Store, key: str) -> dict[str, Any] | None:
    """What lies under `key`; None where nothing does, or where it cannot be understood."""
    try:
        return get_json(store, key)
    except ObjectMissing:
        return None
    except DamagedObject:
        return {}


def is_next(lease: Lease, seen: Driver) -> bool:
    """Whether nobody else has driven the run since a look that found `seen`."""
    return seen.has_ended and lease.number == seen.number + 1


class Lease:
    """The claim of this process on a run. Its heart beats in a thread of its own, from `take_lease` to `release`.

    A context manager: it is released at the end of the block, or withdrawn where that is left by an error before `keep`.
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
        self._is_kept = False
        self.failure: Exception | None = None
        """What has stopped the heart, other than the store."""
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._write_beat()
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._heart.start()

    @property
    def is_lost(self) -> bool:
        """Whether another driver is known to have taken the run over. Asks nobody."""
        return self._lost.is_set()

    def confirm(self) -> None:
        """Raise `RunCutShort` where another driver has taken the run over. Asks the store, unless that is known.

        Raises what has stopped the heart, where that was not the store.
        """
        if self.failure:
            raise self.failure
        if not self.is_lost and not self._is_taken(looks_at_own=True):
            return
        self._lost.set()
        other = find_driver(self._store, self._name, self._run)
        why = f"taken over by {other}, which had not heard of this one for {SILENT_S:g} s"
        if other and other.number == self.number:
            why = f"claimed by {other} at the same time, and the store let both be the first: take another store"
        raise RunCutShort(f"run {self._name}/{self._run} in {self._store.uri} was {why}: what that one writes counts")

    def release(self) -> None:
        """Say that this driver has ended. A store that is out of reach holds nobody up: others find it out by `SILENT_S`."""
        if not self._ended.is_set():
            self._ended.set()
            self._heart.join(timeout=RELEASE_S)

    def keep(self) -> None:
        """From now on the run has something of this driver: its claim stays, whatever happens."""
        self._is_kept = True

    def withdraw(self) -> None:
        """Take the claim back, as if it had never been made: a run that is refused leaves nothing. Nothing happens where the store is
        out of reach, or does not let this driver delete: then the claim says that it has ended."""
        self.release()
        with contextlib.suppress(StoreError):
            if not self.is_lost and not self._heart.is_alive():
                self._store.delete(layout.beat_key(self._name, self._run, self.number))
                _unclaim(self._store, layout.claim_key(self._name, self._run, self.number), self._found_at)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None or self._is_kept:
            self.release()
        else:
            self.withdraw()

    def _beat(self) -> None:
        try:
            self._go_on_beating()
        except Exception as error:  # a heart that stops loses the run: the driver hears of it, and ends
            self.failure = error
            self._lost.set()

    def _go_on_beating(self) -> None:
        while not self._ended.wait(BEAT_S) and not self.is_lost:
            try:
                self._write_beat()
                if self._is_taken(looks_at_own=self._beats <= OWN_BEATS):
                    self._lost.set()
            except StoreError:
                continue  # the run itself says so, where it lasts
        with contextlib.suppress(StoreError):
            self._write_beat(ended=True)

    def _is_taken(self, looks_at_own: bool) -> bool:
        """Whether another driver claimed the run after this one or, from a server that let both be the first, with it: then
        the later claim lies where this one was."""
        if self._store.stat(layout.claim_key(self._name, self._run, self.number + 1)) is not None:
            return True
        if not looks_at_own or not self._nonces:
            return False
        told = _read(self._store, layout.claim_key(self._name, self._run, self.number)) or {}
        return bool(told.get("nonce")) and told["nonce"] not in self._nonces

    def _write_beat(self, ended: bool = False) -> None:
        self._beats += 1
        told = {"beat": self._beats, "at_unix_s": round(time.time(), 3), "ended": ended}
        self._store.put(layout.beat_key(self._name, self._run, self.number), (json.dumps(told) + "\n").encode())
