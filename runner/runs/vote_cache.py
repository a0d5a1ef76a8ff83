"""A cache of the parts of checkpoints that a vote reads, stored as one object of the run, for later votes.

A vote reads a manifest and a column of each candidate, and the whole predictions of some: in a bucket thousands of requests
for a few megabytes. It stores what it has read beside the report. The next vote lists the candidates, and takes the parts of
unchanged checkpoints from that object: it reads the same bytes, and computes the same numbers.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from trainables.errors import DamagedObject, ObjectMissing, StoreTooNew
from trainables.results.checkpoint import CheckpointId, Promise, parse_promises
from trainables.results.listing import NOT_LISTED, Listing, list_checkpoints
from trainables.store import layout
from trainables.store.base import Store, StoredObject, sha256_of
from trainables.store.json_records import parse_json

CACHE_BYTES = 128 * 2**20
"""Most bytes in the cache. Manifests and columns are read first, so a large run caches those."""

HEAD = b"caucus parts 1\n"


@dataclass(frozen=True, eq=False)
class CachedStore(Store):
    """`store` for a vote: parts of checkpoints that are unchanged in the listing come from `cached`.

    cached  bytes by key, from the cache
    read    bytes by key that were read from the store since
    """

    store: Store
    listing: Listing
    cached: Mapping[str, bytes]
    read: dict[str, bytes] = field(default_factory=dict)
    _key: str = ""
    _folders: Mapping[str, CheckpointId] = field(default_factory=dict)
    _size_bytes: list[int] = field(default_factory=lambda: [0])

    @property
    @override
    def uri(self) -> str:
        return self.store.uri

    @override
    def get(self, key: str) -> bytes:
        if key in self.cached:
            return self.cached[key]
        data = self.store.get(key)
        if key.rpartition("/")[0] + "/" in self._folders and self._size_bytes[0] + len(data) <= CACHE_BYTES:
            self._size_bytes[0] += len(data)
            self.read[key] = data
        return data

    @override
    def put(self, key: str, data: bytes) -> StoredObject:
        return self.store.put(key, data)

    @override
    def create(self, key: str, data: bytes) -> bool:
        return self.store.create(key, data)

    @override
    def create_together(self, key: str, many: Sequence[bytes]) -> int:
        return self.store.create_together(key, many)

    @override
    def stat(self, key: str) -> StoredObject | None:
        return self.store.stat(key)

    @override
    def find(self, prefix: str) -> list[StoredObject]:
        return self.store.find(prefix)

    @override
    def folders(self, prefix: str) -> list[str]:
        return self.store.folders(prefix)

    @override
    def written_unix_s(self, prefix: str) -> dict[str, float]:
        return self.store.written_unix_s(prefix)

    @override
    def delete(self, key: str) -> None:
        self.store.delete(key)

    @override
    def check(self) -> None:
        self.store.check()

    @override
    def check_writable(self, needed_bytes: int = 0) -> None:
        self.store.check_writable(needed_bytes)

    def save(self) -> None:
        """Store what was read and what was cached for the next vote, unless nothing is new. Raises `StoreError`.

        Only parts that match their manifest are stored: an error in transfer must not reach all later votes.
        """
        found = {**self.cached, **self.read}
        verified: dict[str, bytes] = {}
        for folder, member in self._folders.items():
            if manifest := found.get(member.key(layout.MANIFEST)):
                with contextlib.suppress(DamagedObject, StoreTooNew):
                    promises = parse_promises(manifest, folder)
                    verified[member.key(layout.MANIFEST)] = manifest
                    for part, promised in promises.items():
                        data = found.get(member.key(part))
                        if data is not None and _is_whole(data, promised):
                            verified[member.key(part)] = data
        if verified.keys() != self.cached.keys():
            marks = {folder: self.listing.mark(member) for folder, member in self._folders.items()}
            self.store.put(self._key, pack(verified, marks))


def open_cache(store: Store, key: str, members: Iterable[CheckpointId], listing: Listing | None = None) -> Store:
    """`store` with the cache under `key` for a vote on `members`; the store itself where it has no ETags.

    `listing` is a recent listing of their trials, if there is one. Raises `StoreError`.
    """
    candidates = frozenset(members)
    if not store.has_etags:
        return store
    known = listing or NOT_LISTED
    missing = {member.trial_id for member in candidates} - known.trials
    if missing:
        known = known.with_more(list_checkpoints(store, missing))
    folders = {member.key(""): member for member in candidates if known.mark(member)}
    cached: dict[str, bytes] = {}
    with contextlib.suppress(ObjectMissing, DamagedObject):
        for each, data, mark in unpack(store.get(key), f"{store.uri}/{key}"):
            member = folders.get(each.rpartition("/")[0] + "/")
            if member and known.mark(member) == mark:
                cached[each] = data
    return CachedStore(store, known, cached, {}, key, folders, [sum(map(len, cached.values()))])


def save_cache(store: Store) -> None:
    """Save what a vote has read through `store`, if that has a cache. Raises `StoreError`."""
    if isinstance(store, CachedStore):
        store.save()


def pack(parts: Mapping[str, bytes], marks: Mapping[str, str]) -> bytes:
    """Parts of checkpoints as one object: a magic line, a line of JSON with keys, sizes, marks and hashes, and the bytes.

    `marks` has the mark of each checkpoint's folder.
    """
    body = b"".join(parts.values())
    entries = [[key, len(data), marks[key.rpartition("/")[0] + "/"]] for key, data in parts.items()]
    index = json.dumps(entries, separators=(",", ":")).encode()
    head = {"index_sha256": sha256_of(index), "body_sha256": sha256_of(body), "index": entries}
    return HEAD + json.dumps(head, separators=(",", ":")).encode() + b"\n" + body


def unpack(data: bytes, where: str) -> list[tuple[str, bytes, str]]:
    """The inverse of `pack`: key, bytes and the mark of the folder. Raises `DamagedObject`, naming `where`, for anything else."""
    damaged = DamagedObject(f"{where} is not what was written: delete it, it is made again")
    if not data.startswith(HEAD):
        raise damaged
    line, _, body = data[len(HEAD) :].partition(b"\n")
    head = parse_json(line, where)
    entries = head.get("index")
    if head.get("body_sha256") != sha256_of(body) or not isinstance(entries, list):
        raise damaged
    if head.get("index_sha256") != sha256_of(json.dumps(entries, separators=(",", ":")).encode()):
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
