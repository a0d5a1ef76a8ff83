"""The events of a run in its store, in order. Objects cannot be appended to, so the last one is written again as it grows."""

from __future__ import annotations

from collections.abc import Iterable

from runner.event import Event, from_line, to_line
from trainables import layout
from trainables.store import Store

SEGMENT_BYTES = 64 * 1024
"""At this size a segment is left alone and a new one begins: what one more event costs to write stays bounded."""


class Journal:
    """All events of one run. What `append` returned from is in the store."""

    def __init__(self, store: Store, name: str, run: str) -> None:
        self._store = store
        self._prefix = layout.run_key(name, run, layout.EVENTS)
        self._segment = 0
        self._tail = b""
        self.events: list[Event] = []
        for found in store.find(self._prefix):
            data = store.get(found.key)
            self._segment, self._tail = int(found.key.removeprefix(self._prefix).split(".")[0]), data
            for line in data.splitlines():
                event = from_line(line, f"{store.uri}/{found.key}")
                if event:
                    self.events.append(event)

    def append(self, *events: Event) -> None:
        """Write `events` down, whole or not at all. Raises `StoreError`."""
        if len(self._tail) >= SEGMENT_BYTES:
            self._segment, self._tail = self._segment + 1, b""
        tail = self._tail + b"".join(map(to_line, events))
        self._store.put(f"{self._prefix}{self._segment:06d}.jsonl", tail)
        self._tail = tail
        self.events.extend(events)


class UnwrittenJournal:
    """Events of a run that only takes place in a rehearsal; `before` are those of the run that it goes on from."""

    def __init__(self, before: Iterable[Event] = ()) -> None:
        self.events = list(before)

    def append(self, *events: Event) -> None:
        """Keep `events` in memory."""
        self.events.extend(events)
