"""A store as it would be without some of its checkpoints: to try what deleting them would do before they are deleted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from trainables.errors import ObjectMissing, StoreError
from trainables.results.checkpoint import CheckpointId
from trainables.store import layout
from trainables.store.base import Store, StoredObject


@dataclass(frozen=True)
class StoreWithout(Store):
    """`store` for readers, but that it holds none of `folders`, which are those of checkpoints."""

    store: Store
    folders_gone: frozenset[str]

    @property
    def uri(self) -> str:
        """That of the store."""
        return self.store.uri

    def put(self, key: str, data: bytes) -> StoredObject:
        """Raises `StoreError`: nothing is tried by writing."""
        raise StoreError(f"store {self.uri} is looked at as if something were deleted: {key} is not written there")

    def create(self, key: str, data: bytes) -> bool:
        """Raises `StoreError`."""
        raise StoreError(f"store {self.uri} is looked at as if something were deleted: {key} is not written there")

    def create_together(self, key: str, many: Sequence[bytes]) -> int:
        """Raises `StoreError`."""
        return int(self.create(key, b""))

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        if self._is_gone(key):
            raise ObjectMissing(f"store {self.uri} holds no {key}")
        return self.store.get(key)

    def stat(self, key: str) -> StoredObject | None:
        """See `Store.stat`."""
        return None if self._is_gone(key) else self.store.stat(key)

    def find(self, prefix: str) -> list[StoredObject]:
        """See `Store.find`."""
        return [found for found in self.store.find(prefix) if not self._is_gone(found.key)]

    @property
    def has_etags(self) -> bool:
        """That of the store."""
        return self.store.has_etags

    def find_many(self, prefixes: Sequence[str]) -> list[StoredObject]:
        """See `Store.find_many`."""
        return [found for found in self.store.find_many(prefixes) if not self._is_gone(found.key)]

    def folders(self, prefix: str) -> list[str]:
        """See `Store.folders`."""
        return [name for name in self.store.folders(prefix) if f"{prefix}{name}/" not in self.folders_gone]

    def written_unix_s(self, prefix: str) -> dict[str, float]:
        """See `Store.written_unix_s`."""
        return {key: at for key, at in self.store.written_unix_s(prefix).items() if not self._is_gone(key)}

    def delete(self, key: str) -> None:
        """Raises `StoreError`."""
        raise StoreError(f"store {self.uri} is looked at as if something were deleted: {key} is not deleted there")

    def check(self) -> None:
        """See `Store.check`."""
        self.store.check()

    def check_writable(self, needed_bytes: int = 0) -> None:
        """Raises `StoreError`."""
        raise StoreError(f"store {self.uri} is looked at as if something were deleted: it is not written to")

    def _is_gone(self, key: str) -> bool:
        return key.rpartition("/")[0] + "/" in self.folders_gone


def without(store: Store, gone: Collection[CheckpointId]) -> StoreWithout:
    """`store` without these checkpoints."""
    return StoreWithout(store, frozenset(layout.checkpoint_prefix(each.trial_id, each.epoch) for each in gone))
