"""Which run of a sweep is its newest: a small object that every execution replaces."""

from __future__ import annotations

import zlib

from trainables.errors import DamagedObject
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.keys import is_key


def write_latest(store: Store, name: str, run: str) -> None:
    """Record `run` as the newest of the sweep `name`. Raises `StoreError`."""
    # With a checksum: a flipped bit may turn the date of one night into that of another.
    store.put(layout.latest_key(name), f"{run} {_checksum(run)}\n".encode())


def read_latest(store: Store, name: str) -> str:
    """The newest run of the sweep `name`. Raises `ObjectMissing` where there is no record, and `DamagedObject`."""
    key = layout.latest_key(name)
    fields = store.get(key).decode(errors="replace").split()
    # Older versions wrote the name alone.
    if len(fields) not in (1, 2) or fields[1:] not in ([], [_checksum(fields[0])]) or not _is_name(fields[0]):
        raise DamagedObject(
            f"{store.uri}/{key} is not what was written: name the run as {name}/RUN, or run the sweep again, which writes it"
        )
    return fields[0]


def _is_name(run: str) -> bool:
    return "/" not in run and is_key(run)


def _checksum(run: str) -> str:
    return f"{zlib.crc32(run.encode()):08x}"
