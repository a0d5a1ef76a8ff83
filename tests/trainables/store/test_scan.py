"""Folders of a bucket that others share are listed by few requests, whatever lies between them."""

from __future__ import annotations

import threading

import pytest

from trainables.store.base import StoredObject
from trainables.store.scan import Page, Unordered, scan


class Server:
    """Gives `size` names a page, in order, and counts its pages."""

    def __init__(self, keys: list[str], size: int = 1000) -> None:
        self.keys, self.size = sorted(keys), size
        self.asked: list[str] = []
        self.lock = threading.Lock()

    def page(self, after: str) -> Page:
        with self.lock:
            self.asked.append(after)
        left = [key for key in self.keys if key > after]
        return Page([StoredObject(key, 1) for key in left[: self.size]], len(left) <= self.size)


def keys_of(trials: list[str], objects: int) -> list[str]:
    return [f"trials/{trial}/{number:04d}" for trial in trials for number in range(objects)]


def prefixes(trials: list[str]) -> list[str]:
    return [f"trials/{trial}/" for trial in trials]


@pytest.mark.parametrize("size", [1, 2, 7, 10, 1000])
def test_every_object_of_the_wanted_folders_is_found_once(size: int) -> None:
    trials = [f"{number * 37 % 101:03d}" for number in range(40)]
    server = Server([*keys_of([f"{number:03d}" for number in range(101)], 9), "a", "trials", "zebra"], size)
    found = sorted(each.key for each in scan(prefixes(trials), server.page))
    assert found == sorted(keys_of(trials, 9))


def test_a_run_that_has_the_store_for_itself_costs_its_pages() -> None:
    trials = [f"{number:04d}" for number in range(200)]
    server = Server(keys_of(trials, 91))
    assert len(scan(prefixes(trials), server.page)) == 18_200
    assert len(server.asked) == 19  # of a thousand each


def test_a_large_run_is_listed_by_several_at_a_time_for_a_tenth_more() -> None:
    trials = [f"{number:05d}" for number in range(10_000)]
    server = Server(keys_of(trials, 10))
    assert len(scan(prefixes(trials), server.page)) == 100_000
    assert 100 <= len(server.asked) <= 110


def test_what_lies_between_is_jumped_over() -> None:
    others = keys_of([f"{number:05d}" for number in range(5000)], 20)
    trials = [f"{number * 100:05d}" for number in range(20)]
    server = Server(others)
    assert len(scan(prefixes(trials), server.page)) == 400
    assert len(server.asked) <= 20 + 2  # and not 100


def test_a_folder_of_many_pages_is_read_once() -> None:
    server = Server(keys_of(["a", "b"], 5000))
    assert len(scan(["trials/a/"], server.page)) == 5000
    assert len(server.asked) <= 6


def test_folders_that_are_not_there_and_no_folders_at_all_are_fine() -> None:
    server = Server(keys_of(["b"], 3))
    assert scan(["trials/a/", "trials/c/"], server.page) == []
    assert scan([], server.page) == []
    assert scan(["trials/c/"], Server([]).page) == []


def test_a_server_that_does_not_begin_where_it_is_asked_to_is_noticed() -> None:
    server = Server(keys_of(["a", "b", "c"], 4), size=3)
    with pytest.raises(Unordered):
        scan(prefixes(["b"]), lambda _: server.page(""))
    with pytest.raises(Unordered):
        scan(prefixes(["b"]), lambda after: Page(server.page(after).objects[::-1], True))
