"""What a store is: bytes under keys, each write whole or absent. Two kinds: a folder and an S3 bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class StoredObject:
    """One object of a store: its key and its size."""

    key: str
    size_bytes: int
    etag: str = field(default="", compare=False)
    """What a listing says of the bytes: it is another one whenever others were written. "" where the store has none
    (`Store.has_etags`), or was not asked for a listing."""


LISTERS = 16
"""Folders listed at a time."""


class Store(Protocol):
    """Bytes under keys. Keys are relative, with forward slashes, and never start with one.

    Every method raises `StoreError`, whose message names the store and what to do.
    """

    @property
    def uri(self) -> str:
        """What a person types to name this store: a folder or `s3://bucket/prefix`."""
        ...

    def put(self, key: str, data: bytes) -> StoredObject:
        """Write `data` whole under `key`, replacing what was there.

        Returns only when the store has confirmed size and content; a reader never sees half of it.
        """
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write `data` whole under `key` if nothing lies there; False, with nothing changed, where something does.

        Of any number of writers at the same time exactly one is told True, once the store has confirmed size and content.
        `data` tells them apart: no two write the same.
        """
        ...

    def create_together(self, key: str, many: Sequence[bytes]) -> int:
        """How many of these writers, who `create` the same object at the same time, are told that they did.

        One, or none where somebody else was faster. More, where the store does not keep what `create` promises.
        """
        with ThreadPoolExecutor(len(many), thread_name_prefix="rival") as rivals:
            return sum(rivals.map(lambda data: self.create(key, data), many))

    def get(self, key: str) -> bytes:
        """All bytes under `key`. Raises `ObjectMissing` where there are none."""
        ...

    def stat(self, key: str) -> StoredObject | None:
        """Size of what lies under `key`, or None."""
        ...

    def find(self, prefix: str) -> list[StoredObject]:
        """Every object whose key starts with `prefix` (a folder name that ends in a slash, or ""), sorted by key."""
        ...

    def find_many(self, prefixes: Sequence[str]) -> list[StoredObject]:
        """What `find` says of each of `prefixes`, of which none lies in another, sorted by key: as few requests as there can be."""
        with ThreadPoolExecutor(LISTERS, thread_name_prefix="list") as listers:
            found = [each for many in listers.map(self.find, prefixes) for each in many]
        return sorted(found, key=lambda each: each.key)

    @property
    def has_etags(self) -> bool:
        """Whether listings have ETags. A server that has them keeps a checksum of each object; a disk does not."""
        return False

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly under `prefix` (which ends in a slash, or is ""), sorted."""
        ...

    def written_unix_s(self, prefix: str) -> dict[str, float]:
        """When each object whose key starts with `prefix` was written, by the store's own clock."""
        ...

    def delete(self, key: str) -> None:
        """Remove what lies under `key`; nothing happens where nothing lies there."""
        ...

    def check(self) -> None:
        """Raise `StoreError` unless the place answers and may be read. Writes nothing."""
        ...

    def check_writable(self, needed_bytes: int = 0) -> None:
        """Raise `StoreError` unless an object could be written now (and `needed_bytes` fit, where that can be known)."""
        ...


def sha256_of(data: bytes) -> str:
    """Hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()
