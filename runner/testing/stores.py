"""The contract of stores: what every store does, whatever it keeps its objects in. Each function is one promise."""

from __future__ import annotations

from collections.abc import Callable

from runner.testing.contract import Check, Make, expect, expect_equal, expect_raises, name_check, run_checks, show
from runner.testing.listed_stores import etags, find, find_many, folders, prefixes, times
from runner.testing.shared_stores import create_race, create_together, processes, threads, whole_writes
from trainables.errors import ObjectMissing, StoreError
from trainables.store.base import Store, StoredObject

UNUSUAL = ("a b", "a+b%20c", "#a?b=c&d", "é/日本", "a:b", "a;b='c'", "~", "a" * 255, "epoch-0001/..x")

NO_KEYS = (
    *("", "/", "/etc/passwd", "a/", "a//b", "..", "../a", "a/../../b", "a/./b", "a\0b", "a\nb", "a\\b"),
    *(".caucus-x", "a" * 256, "\udcff", "a/" * 600 + "a"),
)


def store_checks() -> list[Check[Store]]:
    """The promises of a store, each to be called with a function that opens a new, empty store.

    A store keeps bytes under keys (`trainables.store.base.Store`). What Caucus relies on:

    - An object is whole or absent. From the moment `put` or `create` returns, every reader in every process gets the new
      bytes; a reader during a write gets the old or the new ones.
    - `put` replaces. `create` never does: of any number of concurrent writers one gets True. Leases of runs rest on it.
    - `find` lists every object below a folder, sorted by key in the order of code points, with its size; `folders` lists
      the next names only. What was deleted is not found any more.
    - Of an object that is not there `get` raises `ObjectMissing` with its key and the store's name, `stat` returns None,
      and `delete` does nothing. A folder is no object.
    - What is no key or no folder (`trainables.store.keys.check_key`, `check_prefix`) raises `StoreError`.
    - Threads and processes may use a store side by side: it is pickled on its way to a worker.
    - `check` and `check_writable` leave nothing behind.
    """
    return [name_check(examine) for examine in _PROMISES]


def check_store(open_store: Make[Store]) -> None:
    """Run all `store_checks` on `open_store`, which has to return a store that is empty each time.

    Raises `AssertionError`, which lists the promises that are broken.
    """
    run_checks(store_checks(), open_store)


def _get_back(open_store: Make[Store]) -> None:
    """What was put is got back, whatever its bytes."""
    store = open_store()
    for data in (b"", bytes(range(256)), b"line\r\nline\n", b"x" * 10_000_000):
        expected = StoredObject("trials/a/weights", len(data))
        expect_equal(f"put of {len(data)} bytes", store.put("trials/a/weights", data), expected)
        expect_equal(f"get of {len(data)} bytes", store.get("trials/a/weights"), data)
        expect_equal(f"stat of {len(data)} bytes", store.stat("trials/a/weights"), expected)


def _replace(open_store: Make[Store]) -> None:
    """A second put replaces the first."""
    store = open_store()
    for data in (b"the first run", b"second"):
        store.put("latest", data)
        expect_equal("get after a put", store.get("latest"), data)
        expect_equal("the listing after a put", store.find(""), [StoredObject("latest", len(data))])


def _create(open_store: Make[Store]) -> None:
    """What lies there is not created again."""
    store = open_store()
    expect_equal("the first create", store.create("drivers/1.json", b"first"), True)
    expect_equal("the second create", store.create("drivers/1.json", b"second"), False)
    expect_equal("the object after a refused create", store.get("drivers/1.json"), b"first")
    store.delete("drivers/1.json")
    expect_equal("a create after a delete", store.create("drivers/1.json", b"third"), True)
    expect_equal("the listing", store.find(""), [StoredObject("drivers/1.json", 5)])


def _missing(open_store: Make[Store]) -> None:
    """What is not there is missing."""
    store = open_store()
    store.put("trials/a/config.json", b"{}")
    for key in ("trials/b", "trials/a", "trials/a/config.json/more"):
        error = expect_raises(StoreError, f"get of {key}", lambda key=key: store.get(key))  # type: ignore[misc]
        expect(isinstance(error, ObjectMissing), f"get of {key} raised {error!r}, expected ObjectMissing")
        expect(key in str(error) and store.uri in str(error), f"{error!r} names not both {key} and {store.uri}")
        expect_equal(f"stat of {key}", store.stat(key), None)


def _empty(open_store: Make[Store]) -> None:
    """An empty store has nothing."""
    store = open_store()
    found = (store.find(""), store.find("trials/"), store.folders(""), store.stat("caucus.json"))
    expect_equal("what a new store has", found, ([], [], [], None))


def _delete(open_store: Make[Store]) -> None:
    """Deleted is gone, and can be written again."""
    store, key = open_store(), "trials/a/epoch-0001/weights"
    store.put(key, b"1")
    store.put("trials/b/config.json", b"2")
    store.delete(key)
    expect_equal("stat of what was deleted", store.stat(key), None)
    expect_equal("its folder", store.find("trials/a/"), [])
    expect_equal("the listing", [found.key for found in store.find("")], ["trials/b/config.json"])
    store.put(key, b"3")
    expect_equal("what was written again", store.get(key), b"3")


def _delete_nothing(open_store: Make[Store]) -> None:
    """Deleting what is not there does nothing."""
    store = open_store()
    store.put("trials/a/config.json", b"{}")
    for key in ("trials/a/nothing", "trials/a", "trials/a/config.json/more"):
        store.delete(key)
    expect_equal("the only object", store.get("trials/a/config.json"), b"{}")


def _unusual(open_store: Make[Store]) -> None:
    """Unusual names are names."""
    store = open_store()
    for number, name in enumerate(UNUSUAL):  # each in a folder of its own: a server may list a folder that was emptied
        folder, key = f"names-{number}/", f"names-{number}/{name}/x"
        expected = StoredObject(key, 4)
        store.put(key, b"here")
        expect_equal(f"get({key!r})", store.get(key), b"here")
        expect_equal(f"stat({key!r})", store.stat(key), expected)
        expect_equal(f"find({folder!r})", store.find(folder), [expected])
        expect_equal(f"find('{folder}{name}/')", store.find(f"{folder}{name}/"), [expected])
        expect_equal(f"folders({folder!r})", store.folders(folder), [name.split("/")[0]])
        store.delete(key)
        expect_equal(f"the listing once {key!r} is deleted", store.find(""), [])


def _refuse(open_store: Make[Store]) -> None:
    """A key that leads elsewhere or cannot be kept is refused."""
    store = open_store()
    for key in NO_KEYS:
        acts: dict[str, Callable[[str], object]] = {
            "get": store.get,
            "stat": store.stat,
            "delete": store.delete,
            "put": lambda key: store.put(key, b""),
            "create": lambda key: store.create(key, b""),
        }
        for name, act in acts.items():
            error = expect_raises(StoreError, f"{name}({show(key)})", lambda act=act, key=key: act(key))  # type: ignore[misc]
            is_missing = isinstance(error, ObjectMissing)
            expect(not is_missing, f"{name}({show(key)}) says that it is missing, expected that it is no key")
    expect_equal("the listing", store.find(""), [])


def _checks(open_store: Make[Store]) -> None:
    """An empty store can be checked, and stays empty."""
    store = open_store()
    store.check()
    store.check_writable()
    store.check_writable(needed_bytes=17 * 2**20)
    expect_equal("the listing", store.find(""), [])


_PROMISES = (
    *(_get_back, _replace, _create, create_race, create_together, _missing, _empty, times, find, find_many, etags),
    *(prefixes, folders, _delete, _delete_nothing, _unusual, _refuse, whole_writes, threads, processes, _checks),
)
