"""Which runs may still have a driver: what deleting has to wait for."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from runner.runs.live import LIVE_S, find_live
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import to_json


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    found = Folder(tmp_path, "runs")
    found.put(layout.run_key("dots", "r1", layout.SWEEP), b"{}")
    found.put(layout.claim_key("dots", "r1", 1), to_json({"host": "elsewhere", "pid": 7}))
    return found


def beat(store: Folder, *, ended: bool, ago_s: float = 0.0) -> None:
    key = layout.beat_key("dots", "r1", 1)
    store.put(key, to_json({"beat": 1, "at_unix_s": 1.0, "ended": ended}))
    at_s = time.time() - ago_s
    for one in (key, layout.claim_key("dots", "r1", 1)):
        os.utime(store.root / one, (at_s, at_s))


def test_a_driver_that_was_heard_of_lately_may_still_be_there(store: Folder) -> None:
    beat(store, ended=False, ago_s=LIVE_S / 2)
    assert list(find_live(store)) == ["dots/r1"]


def test_one_that_said_that_it_ended_is_gone(store: Folder) -> None:
    beat(store, ended=True)
    assert find_live(store) == {}


def test_one_that_was_not_heard_of_for_long_is_gone(store: Folder) -> None:
    beat(store, ended=False, ago_s=LIVE_S + 60)
    assert find_live(store) == {}


def test_a_run_that_nobody_ever_drove_has_no_driver(tmp_path: Path) -> None:
    store = Folder(tmp_path, "runs")
    store.put(layout.run_key("dots", "r1", layout.SWEEP), b"{}")
    assert find_live(store) == {}
