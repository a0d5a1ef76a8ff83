"""The protocol of a store: bytes under keys, with atomic writes. Implementations: a folder and an S3 bucket."""

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
    """The ETag of a listing, which changes whenever other bytes are written. "" where the store has no ETags
    (`Store.has_etags`), or where the object does not come from a listing."""


LISTERS = 16
"""Folders that are listed concurrently."""


class Store(Protocol):
    """Bytes under keys. Keys are relative, with forward slashes, and never start with one.

    Every method raises `StoreError`, whose message names the store and what to do.
    """

    @property
    def uri(self) -> str:
        """The store's name as people type it: a folder or `s3://bucket/prefix`."""
        ...

    def put(self, key: str, data: bytes) -> StoredObject:
        """Write `data` under `key` atomically, replacing an existing object.

        Returns only when the store has confirmed size and content; readers never see a part of it.
        """
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write `data` under `key` atomically unless the object exists; returns False, with nothing changed, if it does.

        Among any number of concurrent writers exactly one gets True, once the store has confirmed size and content. Writers
        must write different `data`, by which the store distinguishes them.
        """
        ...

    def create_together(self, key: str, many: Sequence[bytes]) -> int:
        """How many of several writers, which `create` the same object concurrently, get True.

        One, or none where another process was faster. More than one, where the store breaks the guarantee of `create`.
        """
        with ThreadPoolExecutor(len(many), thread_name_prefix="rival") as rivals:
            return sum(rivals.map(lambda data: self.create(key, data), many))

    def get(self, key: str) -> bytes:
        """The bytes under `key`. Raises `ObjectMissing` where there is no such object."""
        ...

    def stat(self, key: str) -> StoredObject | None:
        """Key and size of the object under `key`; None where there is none."""
        ...

    def find(self, prefix: str) -> list[StoredObject]:
        """Every object whose key starts with `prefix` (a folder name that ends in a slash, or ""), sorted by key."""
        ...

    def find_many(self, prefixes: Sequence[str]) -> list[StoredObject]:
        """The results of `find` for all `prefixes`, none of which lies in another, sorted by key; with as few requests as possible."""
        with ThreadPoolExecutor(LISTERS, thread_name_prefix="list") as listers:
            found = [each for many in listers.map(self.find, prefixes) for each in many]
        return sorted(found, key=lambda each: each.key)

    @property
    def has_etags(self) -> bool:
        """Whether listings have ETags. A server that has them stores a checksum of each object; a disk does not."""
        return False

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly under `prefix` (which ends in a slash, or is ""), sorted."""
        ...

    def written_unix_s(self, prefix: str) -> dict[str, float]:
        """By key, when each object whose key starts with `prefix` was written, in Unix seconds on the store's own clock."""
        ...

    def delete(self, key: str) -> None:
        """Delete the object under `key`, if there is one."""
        ...

    def check(self) -> None:
        """Raise `StoreError` unless the store answers and may be read. Writes nothing."""
        ...

    def check_writable(self, needed_bytes: int = 0) -> None:
        """Raise `StoreError` unless an object can be written now (and `needed_bytes` fit, where the free space is known)."""
        ...


def sha256_of(data: bytes) -> str:
    """Hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()
