"""The events of a run in its store, in order. Objects cannot be appended to, so the last one is written again as it grows.

Each driver of a run writes segments of its own. The first line of its first one is a fence: of each driver before, how
much this one has read. Nobody reads beyond it, so that a driver which lost the run (`lease.py`) and goes on writing, because
it was cut off and does not know it yet, changes nothing.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from runner.journal.events import Event, read_line, to_line
from runner.journal.state import RunState
from trainables.errors import DamagedObject, ObjectMissing, StoreError
from trainables.store import layout
from trainables.store.base import Store, StoredObject
from trainables.store.json_records import get_json

SEGMENT_BYTES = 64 * 1024
"""At this size a segment is left alone and a new one begins: what one more event costs to write stays bounded."""

FENCE = b'{"kind":"fence",'

MEND = "run the sweep again: it reads up to there and finds later epochs in the store; or restore that object"

_FILE = re.compile(r"(?:(\d{6})-)?(\d{6})\.jsonl")
_SUM = re.compile(rb'(\{.*),"sum":"([0-9a-f]{8})"\}\n', re.DOTALL)


@dataclass(frozen=True, order=True)
class Segment:
    """An object of the journal: whose it is (0: it was written before drivers were told apart), and which of theirs."""

    driver: int
    number: int

    @property
    def file(self) -> str:
        """Its name in the run's folder of events."""
        return f"{self.driver:06d}-{self.number:06d}.jsonl" if self.driver else f"{self.number:06d}.jsonl"


@dataclass(frozen=True)
class Extent:
    """How much of a driver's segments counts: all before `segment`, and so many bytes of that one."""

    segment: int
    size_bytes: int


NOTHING = Extent(-1, 0)


@dataclass(frozen=True)
class Count:
    """What status.json says of the journal: a driver, and how many events it knew. A little behind while a run goes on."""

    driver: int
    events: int


class Journal:
    """All events of one run. What `append` returned from is in the store.

    `driver` is the number of the lease under which events are appended; left out, they go on where the last one stopped.
    With `mend` a journal that is damaged is read up to the damage, which `damage` tells, and what came after is not read by
    others either, once something is appended. Without it `DamagedObject` is raised. Segments that are listed as they were
    when `before` read them are not read again.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        run: str,
        driver: int | None = None,
        mend: bool = False,
        before: Journal | None = None,
    ) -> None:
        self._store, self._name, self._run = store, name, run
        self._prefix = layout.run_key(name, run, layout.EVENTS)
        self._loaded: dict[Segment, tuple[StoredObject, bytes]] = before._loaded if before else {}
        self.events: list[Event] = []
        self.damage = ""
        """What was found damaged, for a person; "" where nothing was."""
        self._extents: dict[int, Extent] = {}
        """How much was read of each driver's segments."""
        self._last = Segment(0, 0)
        self._tail = b""
        self._sum = 0
        self.unread: Counter[str] = Counter()
        """What of it this version does not understand, in words: a newer one has written it. All else counts."""
        self._unknown = 0
        """Events that are not understood, and do not count."""
        try:
            self._read()
        except DamagedObject as error:
            if not mend:
                raise
            self.damage = str(error)
        self._fence = b""
        if driver is not None:
            if driver > 1 or self._extents:
                self._fence = _fence_line(self._extents)
            self._last, self._tail, self._sum = Segment(driver, 0), b"", 0

    def append(self, *events: Event) -> None:
        """Write `events` down, whole or not at all. Raises `StoreError`."""
        segment, tail, chained = self._last, self._tail, self._sum
        if len(tail) >= SEGMENT_BYTES:
            segment, tail = Segment(segment.driver, segment.number + 1), b""
        for line in ([self._fence] if self._fence else []) + list(map(to_line, events)):
            sealed, chained = seal(line, chained)
            tail += sealed
        self._store.put(self._prefix + segment.file, tail)
        self._last, self._tail, self._sum, self._fence = segment, tail, chained, b""
        self.events.extend(events)

    def _read(self) -> None:
        counted = self._read_count()  # before the events, or a run that goes on might be ahead of what was listed
        contents = self._load()
        until = _read_fence(contents)
        for driver in sorted({segment.driver for segment in contents} | set(until)):
            extent = until.get(driver)
            numbers = sorted(segment.number for segment in contents if segment.driver == driver)
            self._tail, self._sum = b"", 0
            for number in numbers if extent is None else [each for each in numbers if each <= extent.segment]:
                data = contents[Segment(driver, number)]
                if extent and number == extent.segment:
                    data = data[: extent.size_bytes]
                self._last, self._tail = Segment(driver, number), b""
                self._take(data)
            if extent and extent != self._extents.get(driver, NOTHING):
                raise DamagedObject(f"{self._where()} is shorter than the driver after it has read it: {MEND}")
        # No segment tells of those after it; and what a driver counted that was followed by another may not count any more.
        missing = counted.events - len(self.events) - self._unknown
        if missing > 0 and counted.driver >= max((segment.driver for segment in contents), default=0):
            raise DamagedObject(
                f"{self._store.uri}/{self._prefix} lacks the last {missing} of {counted.events} events: {MEND}"
            )

    def _read_count(self) -> Count:
        try:
            told = get_json(self._store, layout.run_key(self._name, self._run, layout.STATUS)).get("journal")
        except (ObjectMissing, DamagedObject):
            return Count(0, 0)
        match told:
            case {"driver": int(driver), "events": int(events)}:
                return Count(driver, events)
        return Count(0, 0)

    def _load(self) -> dict[Segment, bytes]:
        found: dict[Segment, tuple[StoredObject, bytes]] = {}
        for each in self._store.find(self._prefix):
            if told := _FILE.fullmatch(each.key.removeprefix(self._prefix)):
                segment = Segment(int(told[1] or 0), int(told[2]))
                known, data = self._loaded.get(segment, (None, b""))
                is_same = (
                    known is not None and each.etag and (known.etag, known.size_bytes) == (each.etag, each.size_bytes)
                )
                found[segment] = (each, data if is_same else self._store.get(each.key))
        self._loaded = found
        return {segment: data for segment, (_, data) in found.items()}

    def _take(self, data: bytes) -> None:
        """Read a segment. Raises `DamagedObject`; what came before the damage is taken."""
        where, size_bytes = self._where(), 0
        try:
            for line in data.splitlines(keepends=True):
                self._sum = unseal(line, self._sum, where)
                if line.startswith(FENCE):
                    size_bytes += len(line)
                    continue
                read = read_line(line, where)
                size_bytes += len(line)
                if read.event:
                    self.events.append(read.event)
                else:
                    self._unknown += 1
                if read.unread:
                    self.unread[read.unread] += 1
        finally:
            self._tail = data[:size_bytes]
            self._extents[self._last.driver] = Extent(self._last.number, size_bytes)

    def _where(self) -> str:
        return f"{self._store.uri}/{self._prefix}{self._last.file}"


class UnwrittenJournal:
    """Events of a run that only takes place in a rehearsal; `before` are those of the run that it goes on from."""

    def __init__(self, before: Iterable[Event] = ()) -> None:
        self.events = list(before)

    def append(self, *events: Event) -> None:
        """Keep `events` in memory."""
        self.events.extend(events)


def read_state(store: Store, name: str, run: str) -> RunState:
    """What the events of a run in a store add up to, and what of them is not understood. Raises `StoreError`."""
    journal = Journal(store, name, run)
    state = RunState(journal.events)
    state.unread = journal.unread + state.unread
    return state


def _fence_line(extents: dict[int, Extent]) -> bytes:
    told = {str(driver): [extent.segment, extent.size_bytes] for driver, extent in extents.items()}
    return json.dumps({"kind": "fence", "read": told}, separators=(",", ":")).encode() + b"\n"


def _read_fence(contents: dict[Segment, bytes]) -> dict[int, Extent]:
    """How much counts of the segments of each driver but the newest one, as that one said: it has read the others' fences."""
    drivers = sorted({segment.driver for segment in contents}, reverse=True)
    for driver in drivers:
        line = contents.get(Segment(driver, 0), b"").partition(b"\n")[0] + b"\n"
        if line.startswith(FENCE):
            try:
                unseal(line, 0, "")
                read = json.loads(line)["read"]
                told = {int(before): Extent(int(segment), int(size)) for before, (segment, size) in read.items()}
            except (StoreError, ValueError, KeyError, TypeError, AttributeError):
                continue  # told when the segment itself is read
            return {before: told.get(before, NOTHING) for before in {*told, *drivers} if before < driver}
    return {}


def seal(line: bytes, before: int) -> tuple[bytes, int]:
    """A line of JSON with a checksum at its end, which is that of the lines `before` it too; and that checksum.

    A flipped bit may leave JSON that is valid and says something else, and a lost object whole lines fewer.
    """
    body = line.removesuffix(b"}\n")
    chained = zlib.crc32(body, before)
    return body + b',"sum":"%08x"}\n' % chained, chained


def unseal(line: bytes, before: int, where: str) -> int:
    """The checksum up to this line. Lines from before there were any pass. Raises `DamagedObject`, naming `where`."""
    sealed = _SUM.fullmatch(line)
    if sealed is None:
        if before or b'"sum":' in line or not line.endswith(b"}\n"):
            raise DamagedObject(f"{where} holds a line that is not whole: {MEND}")
        return before
    chained = zlib.crc32(sealed[1], before)
    if chained != int(sealed[2], 16):
        raise DamagedObject(f"{where} holds a line that is not what was written, or misses one: {MEND}")
    return chained
