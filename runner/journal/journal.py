"""The events of a run in its store, in order. Objects cannot be appended to, so the last one is written again as it grows.

Each driver of a run writes segments of its own. The first line of its first one is a fence: how much this driver has read of the
segments of each earlier driver. Nobody reads beyond a fence, so a driver that lost the run (`lease.py`) and continues to write,
because it was cut off and does not know it yet, changes nothing.
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
"""At this size a segment is closed and a new one begins: the cost of writing one more event stays bounded."""

FENCE = b'{"kind":"fence",'

REPAIR_HINT = "run the sweep again: it reads up to there and finds later epochs in the store; or restore that object"

_FILE = re.compile(r"(?:(\d{6})-)?(\d{6})\.jsonl")
_SUM = re.compile(rb'(\{.*),"sum":"([0-9a-f]{8})"\}\n', re.DOTALL)


@dataclass(frozen=True, order=True)
class Segment:
    """An object of the journal: the number of its driver (0: from before drivers had numbers), and its number among the driver's segments."""

    driver: int
    number: int

    @property
    def file(self) -> str:
        """Its name in the run's folder of events."""
        return f"{self.driver:06d}-{self.number:06d}.jsonl" if self.driver else f"{self.number:06d}.jsonl"


@dataclass(frozen=True)
class Extent:
    """How much of a driver's segments counts: all before `segment`, and `size_bytes` of that one."""

    segment: int
    size_bytes: int


NOTHING = Extent(-1, 0)


@dataclass(frozen=True)
class Count:
    """The entry of status.json on the journal: a driver, and how many events it knew. It lags a little behind a live run."""

    driver: int
    events: int


class Journal:
    """All events of one run. When `append` returns, the events are in the store.

    `driver` is the number of the lease under which events are appended; left out, they continue the last segment.
    With `repair` a damaged journal is read up to the damage, which `damage` describes; once something is appended, other
    readers ignore what came after the damage, too. Without it `DamagedObject` is raised. Segments that are listed unchanged
    since `before` read them are not read again.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        run: str,
        driver: int | None = None,
        repair: bool = False,
        before: Journal | None = None,
    ) -> None:
        self._store, self._name, self._run = store, name, run
        self._prefix = layout.run_key(name, run, layout.EVENTS)
        self._loaded: dict[Segment, tuple[StoredObject, bytes]] = before._loaded if before else {}
        self.events: list[Event] = []
        self.damage = ""
        """A sentence on the damage that was found; "" where there is none."""
        self._extents: dict[int, Extent] = {}
        """How much was read of each driver's segments."""
        self._last = Segment(0, 0)
        self._tail = b""
        self._sum = 0
        self.unread: Counter[str] = Counter()
        """Descriptions of what this version does not understand, with their counts: a newer one has written it. All else counts."""
        self._unknown = 0
        """Number of events that are not understood, and do not count."""
        try:
            self._read()
        except DamagedObject as error:
            if not repair:
                raise
            self.damage = str(error)
        self._fence = b""
        if driver is not None:
            if driver > 1 or self._extents:
                self._fence = _fence_line(self._extents)
            self._last, self._tail, self._sum = Segment(driver, 0), b"", 0

    def append(self, *events: Event) -> None:
        """Write `events`, all or none. Raises `StoreError`."""
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
        counted = self._read_count()  # before the events: otherwise a live run might be ahead of the listing
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
                self._read_segment(data)
            if extent and extent != self._extents.get(driver, NOTHING):
                raise DamagedObject(f"{self._where()} is shorter than the driver after it has read it: {REPAIR_HINT}")
        # No segment knows of later ones; and the count of a driver that was followed by another one may not hold any more.
        missing = counted.events - len(self.events) - self._unknown
        if missing > 0 and counted.driver >= max((segment.driver for segment in contents), default=0):
            raise DamagedObject(
                f"{self._store.uri}/{self._prefix} lacks the last {missing} of {counted.events} events: {REPAIR_HINT}"
            )

    def _read_count(self) -> Count:
        try:
            count = get_json(self._store, layout.run_key(self._name, self._run, layout.STATUS)).get("journal")
        except (ObjectMissing, DamagedObject):
            return Count(0, 0)
        match count:
            case {"driver": int(driver), "events": int(events)}:
                return Count(driver, events)
        return Count(0, 0)

    def _load(self) -> dict[Segment, bytes]:
        found: dict[Segment, tuple[StoredObject, bytes]] = {}
        for each in self._store.find(self._prefix):
            if match := _FILE.fullmatch(each.key.removeprefix(self._prefix)):
                segment = Segment(int(match[1] or 0), int(match[2]))
                known, data = self._loaded.get(segment, (None, b""))
                is_same = (
                    known is not None and each.etag and (known.etag, known.size_bytes) == (each.etag, each.size_bytes)
                )
                found[segment] = (each, data if is_same else self._store.get(each.key))
        self._loaded = found
        return {segment: data for segment, (_, data) in found.items()}

    def _read_segment(self, data: bytes) -> None:
        """Read a segment. Raises `DamagedObject`; events before the damage are added."""
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
    """Events of a simulated run; `before` are those of the run that it continues."""

    def __init__(self, before: Iterable[Event] = ()) -> None:
        self.events = list(before)

    def append(self, *events: Event) -> None:
        """Add `events` in memory."""
        self.events.extend(events)


def read_state(store: Store, name: str, run: str) -> RunState:
    """The state of a run in a store, with `unread` for what is not understood. Raises `StoreError`."""
    journal = Journal(store, name, run)
    state = RunState(journal.events)
    state.unread = journal.unread + state.unread
    return state


def _fence_line(extents: dict[int, Extent]) -> bytes:
    extents_by_driver = {str(driver): [extent.segment, extent.size_bytes] for driver, extent in extents.items()}
    return json.dumps({"kind": "fence", "read": extents_by_driver}, separators=(",", ":")).encode() + b"\n"


def _read_fence(contents: dict[Segment, bytes]) -> dict[int, Extent]:
    """How much counts of the segments of each driver but the newest, by the newest fence: its driver has read the earlier fences."""
    drivers = sorted({segment.driver for segment in contents}, reverse=True)
    for driver in drivers:
        line = contents.get(Segment(driver, 0), b"").partition(b"\n")[0] + b"\n"
        if line.startswith(FENCE):
            try:
                unseal(line, 0, "")
                read = json.loads(line)["read"]
                extents = {int(before): Extent(int(segment), int(size)) for before, (segment, size) in read.items()}
            except (StoreError, ValueError, KeyError, TypeError, AttributeError):
                continue  # reported when the segment itself is read
            return {before: extents.get(before, NOTHING) for before in {*extents, *drivers} if before < driver}
    return {}


def seal(line: bytes, before: int) -> tuple[bytes, int]:
    """A line of JSON with a checksum at its end, which covers the lines `before` it too; and that checksum.

    A flipped bit may leave JSON that is valid but different, and a lost object leaves fewer lines.
    """
    body = line.removesuffix(b"}\n")
    chained = zlib.crc32(body, before)
    return body + b',"sum":"%08x"}\n' % chained, chained


def unseal(line: bytes, before: int, where: str) -> int:
    """The checksum up to this line. Lines from before there were checksums pass. Raises `DamagedObject`, naming `where`."""
    sealed = _SUM.fullmatch(line)
    if sealed is None:
        if before or b'"sum":' in line or not line.endswith(b"}\n"):
            raise DamagedObject(f"{where} holds a line that is not whole: {REPAIR_HINT}")
        return before
    chained = zlib.crc32(sealed[1], before)
    if chained != int(sealed[2], 16):
        raise DamagedObject(f"{where} holds a line that is not what was written, or misses one: {REPAIR_HINT}")
    return chained
