"""What a vote reads of many checkpoints, kept in one object of the run: for the next vote of the same checkpoints.

A vote reads a manifest and a column of each candidate, and the whole predictions of some: in a bucket thousands of requests
for a few megabytes. What it has read it keeps beside the report. The next one lists the candidates, and takes from the one
object what belongs to checkpoints that are listed as they were: it reads the same bytes, and comes to the same numbers.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trainables.errors import DamagedObject, ObjectMissing, StoreTooNew
from trainables.results.checkpoint import CheckpointId, Promise, parse_promises
from trainables.results.listing import NOT_LISTED, Listing, list_checkpoints
from trainables.store import layout
from trainables.store.base import Store, StoredObject, sha256_of
from trainables.store.json_records import parse_json

CACHE_BYTES = 128 * 2**20
"""No more is kept. Manifests and columns are read first, so they are what a large run keeps."""

HEAD = b"caucus parts 1\n"


@dataclass(frozen=True, eq=False)
class CachedStore(Store):
    """`store` for a vote on `members`: parts of checkpoints that are listed as they were come from `held`.

    held    bytes by key, from the cache
    read    bytes by key that the store was asked for since
    """

    store: Store
    listing: Listing
    held: Mapping[str, bytes]
    read: dict[str, bytes] = field(default_factory=dict)
    _key: str = ""
    _folders: Mapping[str, CheckpointId] = field(default_factory=dict)
    _size_bytes: list[int] = field(default_factory=lambda: [0])

    @property
    def uri(self) -> str:
        """That of the store."""
        return self.store.uri

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        if key in self.held:
            return self.held[key]
        data = self.store.get(key)
        if key.rpartition("/")[0] + "/" in self._folders and self._size_bytes[0] + len(data) <= CACHE_BYTES:
            self._size_bytes[0] += len(data)
            self.read[key] = data
        return data

    def put(self, key: str, data: bytes) -> StoredObject:
        """See `Store.put`."""
        return self.store.put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        """See `Store.create`."""
        return self.store.create(key, data)

    def create_together(self, key: str, many: Sequence[bytes]) -> int:
        """See `Store.create_together`."""
        return self.store.create_together(key, many)

    def stat(self, key: str) -> StoredObject | None:
        """See `Store.stat`."""
        return self.store.stat(key)

    def find(self, prefix: str) -> list[StoredObject]:
        """See `Store.find`."""
        return self.store.find(prefix)

    def folders(self, prefix: str) -> list[str]:
        """See `Store.folders`."""
        return self.store.folders(prefix)

    def written_unix_s(self, prefix: str) -> dict[str, float]:
        """See `Store.written_unix_s`."""
        return self.store.written_unix_s(prefix)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self.store.delete(key)

    def check(self) -> None:
        """See `Store.check`."""
        self.store.check()

    def check_writable(self, needed_bytes: int = 0) -> None:
        """See `Store.check_writable`."""
        self.store.check_writable(needed_bytes)

    def keep(self) -> None:
        """Store what was read, beside what is held, for the next vote; nothing where nothing is new. Raises `StoreError`.

        Only what its manifest proves: a byte that was wrong on its way here must not be what all later votes read.
        """
        found = {**self.held, **self.read}
        proved: dict[str, bytes] = {}
        for folder, member in self._folders.items():
            if manifest := found.get(member.key(layout.MANIFEST)):
                with contextlib.suppress(DamagedObject, StoreTooNew):
                    promises = parse_promises(manifest, folder)
                    proved[member.key(layout.MANIFEST)] = manifest
                    for part, promised in promises.items():
                        data = found.get(member.key(part))
                        if data is not None and _is_whole(data, promised):
                            proved[member.key(part)] = data
        if proved.keys() != self.held.keys():
            marks = {folder: self.listing.mark(member) for folder, member in self._folders.items()}
            self.store.put(self._key, pack(proved, marks))


def open_cache(store: Store, key: str, members: Iterable[CheckpointId], listing: Listing | None = None) -> Store:
    """`store` with what lies cached under `key` for a vote on `members`; the store itself where it has no ETags to go by.

    `listing` is what was listed of their trials a moment ago, if it was. Raises `StoreError`.
    """
    asked = frozenset(members)
    if not store.has_etags:
        return store
    known = listing or NOT_LISTED
    missing = {member.trial_id for member in asked} - known.trials
    if missing:
        known = known.with_more(list_checkpoints(store, missing))
    folders = {member.key(""): member for member in asked if known.mark(member)}
    held: dict[str, bytes] = {}
    with contextlib.suppress(ObjectMissing, DamagedObject):
        for each, data, mark in unpack(store.get(key), f"{store.uri}/{key}"):
            member = folders.get(each.rpartition("/")[0] + "/")
            if member and known.mark(member) == mark:
                held[each] = data
    return CachedStore(store, known, held, {}, key, folders, [sum(map(len, held.values()))])


def keep_cache(store: Store) -> None:
    """Keep what a vote has read through `store`, where it is one that keeps anything. Raises `StoreError`."""
    if isinstance(store, CachedStore):
        store.keep()


def pack(parts: Mapping[str, bytes], marks: Mapping[str, str]) -> bytes:
    """Parts of checkpoints as one object: a line, a line of JSON with keys, sizes, marks and a hash of all that follows, the bytes.

    `marks` are those of the checkpoints' folders.
    """
    body = b"".join(parts.values())
    entries = [[key, len(data), marks[key.rpartition("/")[0] + "/"]] for key, data in parts.items()]
    index = json.dumps(entries, separators=(",", ":")).encode()
    told = {"index_sha256": sha256_of(index), "body_sha256": sha256_of(body), "index": entries}
    return HEAD + json.dumps(told, separators=(",", ":")).encode() + b"\n" + body


def unpack(data: bytes, where: str) -> list[tuple[str, bytes, str]]:
    """The inverse of `pack`: key, bytes and the mark of the folder. Raises `DamagedObject`, naming `where`, for anything else."""
    damaged = DamagedObject(f"{where} is not what was written: delete it, it is made again")
    if not data.startswith(HEAD):
        raise damaged
    line, _, body = data[len(HEAD) :].partition(b"\n")
    told = parse_json(line, where)
    entries = told.get("index")
    if told.get("body_sha256") != sha256_of(body) or not isinstance(entries, list):
        raise damaged
    if told.get("index_sha256") != sha256_of(json.dumps(entries, separators=(",", ":")).encode()):
        raise damaged
    found, at = [], 0
    try:
        for key, size_bytes, mark in entries:
            if not (isinstance(key, str) and isinstance(mark, str) and 0 <= size_bytes <= len(body) - at):
                raise damaged
            found.append((key, body[at : at + size_bytes], mark))
            at += size_bytes
    except (TypeError, ValueError):
        raise damaged from None
    return found


def _is_whole(data: bytes, promised: Promise) -> bool:
    return len(data) == promised.size_bytes and sha256_of(data) == promised.sha256
