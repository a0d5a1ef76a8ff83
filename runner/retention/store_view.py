"""A read-only view of a store without some of its checkpoints: to see the effect of a deletion before it takes place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from typing_extensions import override

from trainables.errors import ObjectMissing, StoreError
from trainables.results.checkpoint import CheckpointId
from trainables.store import layout
from trainables.store.base import Store, StoredObject


@dataclass(frozen=True)
class StoreWithout(Store):
    """A view of `store` without the checkpoints in `folders_gone`. Every write raises `StoreError`."""

    store: Store
    folders_gone: frozenset[str]

    @property
    @override
    def uri(self) -> str:
        return self.store.uri

    @override
    def put(self, key: str, data: bytes) -> StoredObject:
        raise StoreError(f"store {self.uri} is viewed as if something were deleted: {key} is not written there")

    @override
    def create(self, key: str, data: bytes) -> bool:
        raise StoreError(f"store {self.uri} is viewed as if something were deleted: {key} is not written there")

    @override
    def create_together(self, key: str, many: Sequence[bytes]) -> int:
        return int(self.create(key, b""))

    @override
    def get(self, key: str) -> bytes:
        if self._is_gone(key):
            raise ObjectMissing(f"store {self.uri} holds no {key}")
        return self.store.get(key)

    @override
    def stat(self, key: str) -> StoredObject | None:
        return None if self._is_gone(key) else self.store.stat(key)

    @override
    def find(self, prefix: str) -> list[StoredObject]:
        return [found for found in self.store.find(prefix) if not self._is_gone(found.key)]

    @property
    @override
    def has_etags(self) -> bool:
        return self.store.has_etags

    @override
    def find_many(self, prefixes: Sequence[str]) -> list[StoredObject]:
        return [found for found in self.store.find_many(prefixes) if not self._is_gone(found.key)]

    @override
    def folders(self, prefix: str) -> list[str]:
        return [name for name in self.store.folders(prefix) if f"{prefix}{name}/" not in self.folders_gone]

    @override
    def written_unix_s(self, prefix: str) -> dict[str, float]:
        return {key: at for key, at in self.store.written_unix_s(prefix).items() if not self._is_gone(key)}

    @override
    def delete(self, key: str) -> None:
        raise StoreError(f"store {self.uri} is viewed as if something were deleted: {key} is not deleted there")

    @override
    def check(self) -> None:
        self.store.check()

    @override
    def check_writable(self, needed_bytes: int = 0) -> None:
        raise StoreError(f"store {self.uri} is viewed as if something were deleted: it is not written to")

    def _is_gone(self, key: str) -> bool:
        return key.rpartition("/")[0] + "/" in self.folders_gone


def without(store: Store, gone: Collection[CheckpointId]) -> StoreWithout:
    """A view of `store` without these checkpoints."""
    return StoreWithout(store, frozenset(layout.checkpoint_prefix(each.trial_id, each.epoch) for each in gone))
