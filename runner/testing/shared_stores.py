"""What a store promises those who use it side by side: threads, processes, drivers that want the same run."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from runner.testing.contract import Make, expect, expect_equal, show
from trainables.store.base import Store

PATIENCE_S = 60
"""Longest wait for another process."""


def create_race(open_store: Make[Store]) -> None:
    """Of many that create the same object exactly one does."""
    store = open_store()
    for race in range(20):
        key = f"drivers/{race}"
        with ThreadPoolExecutor(8) as writers:
            created = list(writers.map(lambda number, key=key: store.create(key, b"%d" % number), range(8)))
        expect_equal("the number of writers of eight that got True", sum(created), 1)
        expect_equal("the object that they wrote", store.get(key), b"%d" % created.index(True))


def create_together(open_store: Make[Store]) -> None:
    """Of many concurrent creations one succeeds, and none where the object exists."""
    store = open_store()
    many = [b"%d" % number for number in range(4)]
    expect_equal("create_together of a new object", store.create_together("drivers/1", many), 1)
    expect(store.get("drivers/1") in many, "the object is none of those that were written")
    expect_equal("create_together of one that is there", store.create_together("drivers/1", [b"more", b"and more"]), 0)
    expect(store.get("drivers/1") in many, "a create that was refused changed the object")


def whole_writes(open_store: Make[Store]) -> None:
    """Readers see one write or the other."""
    store, one, other = open_store(), b"1" * 300_000, b"2" * 200_000
    store.put("status.json", one)

    def write() -> None:
        for _ in range(8):
            store.put("status.json", other)
            store.put("status.json", one)

    seen = set()
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done():
            seen.add(store.get("status.json"))
        writing.result()
    expect(seen <= {one, other}, f"a reader got {show(next(iter(seen - {one, other}), b''))}, which nobody wrote")
    expect_equal("the listing", [found.key for found in store.find("")], ["status.json"])


def threads(open_store: Make[Store]) -> None:
    """Many threads may write and delete side by side."""
    store = open_store()

    def work(number: int) -> bytes:
        store.put(f"trials/{number % 3}/{number}", str(number).encode())
        store.put(f"gone/{number % 3}/x{number}", b"")
        store.delete(f"gone/{number % 3}/x{number}")
        return store.get(f"trials/{number % 3}/{number}")

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(work, range(60)))
    expect_equal("what the threads got", got, [str(number).encode() for number in range(60)])
    expect_equal("the number of objects", len(store.find("")), 60)


def processes(open_store: Make[Store]) -> None:
    """A store can be used by another process, and each sees at once what the other one writes."""
    store = open_store()
    for start in sorted({"spawn", "fork"} & set(multiprocessing.get_all_start_methods())):
        with ProcessPoolExecutor(1, multiprocessing.get_context(start)) as pool:
            for data in (f"first, by {start}".encode(), f"second, by {start}".encode()):
                store.put("from", data)
                got = pool.submit(store.get, "from").result(PATIENCE_S)
                expect_equal("what another process gets", got, data)
                pool.submit(store.put, "to", data).result(PATIENCE_S)
                expect_equal("what another process has written", store.get("to"), data)
