"""A prefix of a bucket as a place."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import BinaryIO

from typing_extensions import override

from trainables.errors import DataError, ObjectMissing, StoreError
from trainables.places.place import Place
from trainables.store.base import Store


class BucketPlace(Place):
    """All objects of a store; a key that ends in a slash stands for an empty folder, as consoles write it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    @override
    def name(self) -> str:
        return self._store.uri

    @override
    def files(self) -> Sequence[str]:
        return [key for key in self._keys if not key.endswith("/")]

    @override
    def folders(self) -> Sequence[str]:
        found = {str(above) for key in self._keys for above in PurePosixPath(key + "x").parents}
        return sorted(found - {"."})

    @override
    def open(self, file: str) -> BinaryIO:
        try:
            return io.BytesIO(self._store.get(file))
        except ObjectMissing:
            raise FileNotFoundError(2, "no such object", file) from None

    @override
    def stamp(self, file: str) -> str:
        if file not in self._stamps:
            raise FileNotFoundError(2, "no such object", file)
        return self._stamps[file]

    @property
    def _keys(self) -> list[str]:
        return list(self._stamps)

    @cached_property
    def _stamps(self) -> dict[str, str]:
        """Size and ETag of each object, by its key, from one listing; "" where the server tells no ETags."""
        try:
            self._store.check()
            return {
                found.key: f"{found.size_bytes}:{found.etag}" if found.etag else "" for found in self._store.find("")
            }
        except StoreError as error:
            raise DataError(f"data cannot be read: {error}") from None
