"""What a store promises of its listings: what is below a folder, how it is sorted, when it was written."""

from __future__ import annotations

import time

from runner.testing.contract import Make, expect, expect_equal, expect_raises
from trainables.errors import StoreError
from trainables.store.base import Store, StoredObject


def find(open_store: Make[Store]) -> None:
    """Find lists all depths, sorted by key."""
    store = open_store()
    for key in ("b/z", "b/a/deep/er", "b-/x", "a", "b.txt", "ü/ß"):
        store.put(key, key.encode())
    # by code point: "-" and "." come before "/", so a folder's content is not always next to its neighbours
    expected = ["a", "b-/x", "b.txt", "b/a/deep/er", "b/z", "ü/ß"]
    expect_equal("find('')", [found.key for found in store.find("")], expected)
    expect_equal("find('b/')", store.find("b/"), [StoredObject("b/a/deep/er", 11), StoredObject("b/z", 3)])


def find_many(open_store: Make[Store]) -> None:
    """Many folders are found at once, each with what find says of it."""
    store = open_store()
    for trial in ("a1", "a2", "b1", "b12", "c"):
        for part in ("config.json", "epoch-0001/manifest.json", "epoch-0001/weights"):
            store.put(f"trials/{trial}/{part}", f"{trial} {part}".encode())
    store.put("trials/b1-/x", b"between")
    asked = ["trials/c/", "trials/a2/", "trials/b1/", "trials/nothing/", "trials/zzz/"]
    expected = [found for prefix in sorted(asked) for found in store.find(prefix)]
    expect_equal("the number of objects that find gives", len(expected), 9)
    expect_equal(f"find_many({asked})", store.find_many(asked), expected)
    expect_equal("its etags", [one.etag for one in store.find_many(asked)], [one.etag for one in expected])
    expect_equal("find_many([])", store.find_many([]), [])
    expect_equal("find_many of one", store.find_many(["trials/a1/", "nothing/"]), store.find("trials/a1/"))


def etags(open_store: Make[Store]) -> None:
    """An etag is that of the bytes, and another one for others."""
    store = open_store()

    def listed() -> dict[str, str]:
        return {found.key: found.etag for found in store.find("trials/")}

    store.put("trials/a/x", b"one")
    store.put("trials/a/y", b"one")
    before = listed()
    expect_equal("whether listings have etags", all(before.values()), store.has_etags)
    store.put("trials/a/x", b"two")
    after = listed()
    expect_equal("the etag of an object that was not written", after["trials/a/y"], before["trials/a/y"])
    expect_equal("whether other bytes change it", after["trials/a/x"] != before["trials/a/x"], store.has_etags)


def prefixes(open_store: Make[Store]) -> None:
    """A prefix is a folder, and not the beginning of a name."""
    store = open_store()
    store.put("trials/ab/config.json", b"{}")
    expect_equal("find('trials/a/')", store.find("trials/a/"), [])
    expect_equal("folders('trials/a/')", store.folders("trials/a/"), [])
    for prefix in ("trials/a", "/", "trials//", "../"):
        expect_raises(StoreError, f"find({prefix!r})", lambda prefix=prefix: store.find(prefix))  # type: ignore[misc]
        expect_raises(StoreError, f"folders({prefix!r})", lambda prefix=prefix: store.folders(prefix))  # type: ignore[misc]


def folders(open_store: Make[Store]) -> None:
    """Folders are the next names only, sorted."""
    store = open_store()
    for key in ("sweeps/nightly/2/x", "sweeps/nightly/10/y/z", "sweeps/nightly/latest", "sweeps/other/1/x", "top"):
        store.put(key, b".")
    for prefix, expected in (("", ["sweeps"]), ("sweeps/", ["nightly", "other"]), ("sweeps/nightly/", ["10", "2"])):
        expect_equal(f"folders({prefix!r})", store.folders(prefix), expected)


def times(open_store: Make[Store]) -> None:
    """It knows when each object was written."""
    store, before_s = open_store(), time.time()
    for key in ("trials/a/weights", "trials/b/weights", "latest"):
        store.put(key, b"x")
    times = store.written_unix_s("trials/")
    expect_equal("the keys with a time", set(times), {"trials/a/weights", "trials/b/weights"})
    for key, written_s in times.items():  # a bucket tells whole seconds, by its own clock
        expect(abs(written_s - before_s) < 3600, f"{key} was written at {written_s}, but now it is {before_s}")
    expect_equal("the times in a folder that is not there", store.written_unix_s("nothing/"), {})
