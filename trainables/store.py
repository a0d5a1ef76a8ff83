"""What a store is: bytes under keys, each write whole or absent. Two kinds: a folder and an S3 bucket."""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from trainables import layout
from trainables.errors import DamagedObject, ObjectMissing, StoreTooNew


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


def to_json(value: object) -> bytes:
    """`value` as the bytes of a JSON document that a person can read; equal values give equal bytes."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


_SEAL = "sha256"


def seal_json(value: Mapping[str, object]) -> bytes:
    """`to_json` with a hash of all else at its end, which `get_json` proves and leaves out.

    A flipped bit may leave a document that is valid and says something else.
    """
    body = to_json(value).removesuffix(b"\n}\n")
    return body + f',\n "{_SEAL}": "{sha256_of(body)}"\n}}\n'.encode()


def _unseal(value: dict[str, object], data: bytes) -> bool:
    """Take the hash out of `value`, where it has one; whether `data` is what was sealed. Others pass: older versions sealed nothing."""
    name = next(reversed(value), "")
    if len(name) != len(_SEAL) or sum(map(operator.ne, name, _SEAL)) > 1:  # a bit of its name may be flipped as well
        return True
    del value[name]
    return seal_json(value) == data


def get_json(store: Store, key: str) -> dict[str, object]:
    """The JSON object under `key`, without its seal.

    Raises `ObjectMissing`, or `DamagedObject` where it is not a JSON object or not what was sealed.
    """
    return unseal_json(store.get(key), f"{store.uri}/{key}")


def unseal_json(data: bytes, where: str) -> dict[str, object]:
    """The JSON object that `data` is, without its seal. Raises `DamagedObject`, naming `where`, as `get_json` does."""
    value = parse_json(data, where)
    try:
        is_whole = _unseal(value, data)
    except ValueError:  # half of a surrogate pair is no text, and can be written as JSON
        is_whole = False
    if not is_whole:
        raise DamagedObject(f"{where} is not what was written: restore or delete it")
    return value


def load_json(data: bytes | str) -> Any:
    """The value of a JSON document. Raises `ValueError`, also for numbers that no record holds: NaN, infinities, integers of more
    than 64 bits; and `RecursionError`."""
    return json.loads(data, parse_constant=_refuse, parse_float=_finite, parse_int=_small)


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large")
    return number


def _small(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (number := int(text)) < 2**64:
        raise ValueError(f"{text[:20]} is too large")
    return number


def parse_json(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object that `data` is. Raises `DamagedObject`, naming `where`, for anything else."""
    try:
        value = load_json(data)
    except (ValueError, RecursionError) as error:
        raise DamagedObject(f"{where} is not readable as JSON ({error}): restore or delete it") from None
    if not isinstance(value, dict):
        raise DamagedObject(f"{where} holds a {type(value).__name__}, not a JSON object: restore or delete it")
    return value


def check_format(store: Store) -> bool:
    """Whether the store carries the mark of Caucus. Raises `StoreTooNew` if a newer version wrote it."""
    try:
        mark = get_json(store, layout.FORMAT_KEY)
    except ObjectMissing:
        return False
    found = mark.get("format")
    if type(found) is not int or not 0 < found <= layout.FORMAT:
        raise StoreTooNew(
            f"store {store.uri} has format {found!r}, written by Caucus {mark.get('written_by', '?')}; "
            f"this version reads up to {layout.FORMAT}: upgrade caucus, or name another store"
        )
    return True


def mark_format(store: Store, written_by: str) -> None:
    """Write the store's format mark, unless it is there. Raises like `check_format`."""
    if not check_format(store):
        store.put(layout.FORMAT_KEY, seal_json({"format": layout.FORMAT, "written_by": written_by}))
