"""The contract suite of stores on stores that break it: each fault is found, and the message says what was expected."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from runner.testing.stores import check_store, store_checks
from trainables.errors import ObjectMissing
from trainables.store.base import StoredObject
from trainables.store.folder import Folder

CREATE, RACE = "What lies there is not created again", "Of many that create the same object exactly one does"
FIND, REPLACE = "Find lists all depths, sorted by key", "A second put replaces the first"
PROCESSES = "A store can be used by another process, and each sees at once what the other one writes"


@dataclass(frozen=True)
class Overwriting(Folder):
    def create(self, key: str, data: bytes) -> bool:
        self.put(key, data)
        return True


@dataclass(frozen=True)
class LookingFirst(Folder):
    """Between the look and the write another writer may come."""

    def create(self, key: str, data: bytes) -> bool:
        if self.stat(key):
            return False
        time.sleep(0.01)
        self.put(key, data)
        return True


@dataclass(frozen=True)
class Unsorted(Folder):
    def find(self, prefix: str) -> list[StoredObject]:
        return sorted(super().find(prefix), key=lambda found: found.key.split("/"))


@dataclass(frozen=True)
class Forgetful(Folder):
    def find(self, prefix: str) -> list[StoredObject]:
        return [found for found in super().find(prefix) if found.key.isascii()]


@dataclass(frozen=True)
class Remembering(Folder):
    """Knows what this object has read or written, and not what others write."""

    known: dict[str, bytes] = field(default_factory=dict, compare=False)

    def put(self, key: str, data: bytes) -> StoredObject:
        self.known[key] = data
        return super().put(key, data)

    def get(self, key: str) -> bytes:
        if self.stat(key) is None:
            raise ObjectMissing(f"store {self.uri} holds no {key}")
        return self.known.setdefault(key, super().get(key))


@dataclass(frozen=True)
class Stale(Remembering):
    def put(self, key: str, data: bytes) -> StoredObject:
        return Folder.put(self, key, data)


@dataclass(frozen=True)
class Empty(Folder):
    """Says of what is missing that it is empty."""

    def get(self, key: str) -> bytes:
        return super().get(key) if self.stat(key) else b""


@dataclass(frozen=True)
class Beginning(Folder):
    """Takes the beginning of a name for a prefix."""

    def find(self, prefix: str) -> list[StoredObject]:
        return [found for found in super().find("") if found.key.startswith(prefix)]


@pytest.mark.parametrize(
    ("kind", "promise", "message"),
    [
        (Overwriting, CREATE, "the second create is True, expected False"),
        (Overwriting, RACE, "the number of writers of eight that got True is 8, expected 1"),
        (LookingFirst, RACE, "the number of writers of eight that got True is .*, expected 1"),
        (Unsorted, FIND, r"find\(''\) is \['a', 'b/a/deep/er', .*, expected \['a', 'b-/x', "),
        (Forgetful, FIND, r"find\(''\) is .*'b/z'\], expected .*'b/z', 'ü/ß'\]"),
        (Remembering, PROCESSES, "what another process has written is b'first, by .*', expected b'second, by "),
        (Stale, REPLACE, "get after a put is b'the first run', expected b'second'"),
        (Empty, "What is not there is missing", "get of trials/b returned b'', expected StoreError"),
        (Beginning, "A prefix is a folder, and not the beginning of a name", r"find\('trials/a'\) returned"),
    ],
)
def test_a_store_that_breaks_a_promise_is_told_which_and_what_was_expected(
    tmp_path: Path, kind: type[Folder], promise: str, message: str
) -> None:
    (check,) = (check for check in store_checks() if str(check) == promise)
    with pytest.raises(AssertionError, match=f"^{promise}: {message}"):
        check(lambda: kind(tmp_path))


@pytest.mark.parametrize("kind", [Unsorted, Stale])
def test_all_broken_promises_are_listed(tmp_path: Path, kind: type[Folder]) -> None:
    numbers = iter(range(100))
    with pytest.raises(AssertionError) as caught:
        check_store(lambda: kind(tmp_path / str(next(numbers))))
    first, *listed = str(caught.value).splitlines()
    assert first == f"{len(listed)} promise(s) broken:"
    expected = {Unsorted: {FIND}, Stale: {REPLACE, PROCESSES}}[kind]
    assert expected <= {line.removeprefix("- ").split(":")[0] for line in listed}
    assert len(listed) < len(store_checks()) / 2


def test_a_store_that_keeps_them_passes(tmp_path: Path) -> None:
    numbers = iter(range(100))
    store = Folder(tmp_path)
    check_store(lambda: replace(store, root=tmp_path / str(next(numbers))))
