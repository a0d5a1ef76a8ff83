"""Folders that keep a writer waiting or turn it away, and what is needed to watch the one who waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from trainables.errors import StoreError
from trainables.store.base import StoredObject
from trainables.store.folder import Folder

PATIENCE_S = 10.0
"""Longest wait for another thread; in a passing run nobody waits that long."""

A_MOMENT_S = 0.05
"""How long a thread that must not get ahead is observed; a merely slow one passes undetected, none fails wrongly."""


@dataclass(frozen=True)
class Gated(Folder):
    """Writes keys that contain `held` only while `gate` is open, tells in `reached` that a writer stands before it.

    order      keys in the order in which they were written
    writers    threads that wrote
    """

    held: str = ""
    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    order: list[str] = field(default_factory=list)
    writers: set[threading.Thread] = field(default_factory=set)

    def put(self, key: str, data: bytes) -> StoredObject:
        self.wait(key)
        return super().put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self.wait(key)
        return super().create(key, data)

    def wait(self, key: str) -> None:
        self.writers.add(threading.current_thread())
        if self.held in key:
            self.reached.set()
            if not self.gate.wait(PATIENCE_S):
                raise TimeoutError(f"nobody opened the gate for {key}")
        self.order.append(key)


@dataclass(frozen=True)
class Refusing(Folder):
    """Takes nothing and gives nothing whose key contains one of the words in `refused`, which may change."""

    refused: list[str] = field(default_factory=list)

    def put(self, key: str, data: bytes) -> StoredObject:
        if any(word in key for word in self.refused):
            raise StoreError(f"store runs: {key} was not taken")
        return super().put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        if any(word in key for word in self.refused):
            raise StoreError(f"store runs: {key} was not taken")
        return super().create(key, data)

    def get(self, key: str) -> bytes:
        if any(word in key for word in self.refused):
            raise StoreError(f"store runs: {key} was not given")
        return super().get(key)


@contextmanager
def beside(action: Callable[[], object]) -> Iterator[threading.Event]:
    """Runs `action` in a thread of its own, which has ended when the block has; the event is set once it returned."""
    returned = threading.Event()

    def act() -> None:
        action()
        returned.set()

    thread = threading.Thread(target=act)
    thread.start()
    yield returned
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
