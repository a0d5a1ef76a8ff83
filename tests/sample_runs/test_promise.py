"""The check that all fault tests use finds each violation of the promise."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.sample_runs.promise import back_s, check_promise, faults_of, first_epoch_s, inspect_store

EVENTS = [
    {"kind": "fence", "read": {}},
    {"kind": "run-opened", "at_unix_s": 9.0},
    {"kind": "trial-started", "at_unix_s": 10.0, "trial_id": "t1"},
    {"kind": "epoch-reported", "at_unix_s": 11.0, "trial_id": "t1", "result": {"epoch": 1}, "trained": True},
    {"kind": "epoch-reported", "at_unix_s": 14.5, "trial_id": "t1", "result": {"epoch": 2}, "trained": True},
]


def write(store, events=EVENTS, epochs=(1, 2)):
    for epoch in epochs:
        folder = store / "trials" / "t1" / f"epoch-{epoch:04d}"
        folder.mkdir(parents=True)
        data = f"weights of {epoch}".encode()
        (folder / "weights").write_bytes(data)
        parts = {"weights": {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}}
        (folder / "manifest.json").write_text(json.dumps({"parts": parts}))
    journal = store / "sweeps" / "digits" / "r1" / "events"
    journal.mkdir(parents=True)
    (journal / "000001-000000.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return store


@pytest.fixture
def good(tmp_path):
    return write(tmp_path / "good")


def test_a_store_that_is_whole_passes(good, tmp_path):
    seen = inspect_store(good)
    assert (seen.running, seen.epochs) == ({"t1"}, {("t1", 1), ("t1", 2)})
    check_promise(good, write(tmp_path / "same"), [seen])


@pytest.mark.parametrize("act", [lambda path: path.write_bytes(b"weights of 3"), lambda path: path.unlink()])
def test_a_part_that_is_not_what_its_manifest_promises_is_found(good, act):
    act(good / "trials" / "t1" / "epoch-0002" / "weights")
    assert faults_of(good) == ["trials/t1/epoch-0002/weights is not what its manifest promises"]


def test_an_epoch_on_record_without_a_checkpoint_is_found(tmp_path):
    assert faults_of(write(tmp_path / "runs", epochs=[1])) == ["t1@2 is on record and not in the store"]


def test_a_checkpoint_that_was_written_again_is_found(good, tmp_path):
    seen = inspect_store(good)
    path = good / "trials" / "t1" / "epoch-0001" / "manifest.json"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(AssertionError, match="committed before the fault"):
        check_promise(good, write(tmp_path / "same"), [seen])


def test_an_epoch_that_was_done_again_more_than_once_a_fault_is_found(tmp_path):
    again = {"kind": "epoch-repeated", "at_unix_s": 15.0, "trial_id": "t1", "epoch": 2}
    store, same = write(tmp_path / "runs", [*EVENTS, again, again]), write(tmp_path / "same")
    with pytest.raises(AssertionError, match="done again"):
        check_promise(store, same, [inspect_store(store)])
    check_promise(store, same, [inspect_store(store)] * 2)


def test_an_epoch_that_is_on_record_twice_is_found(tmp_path):
    store = write(tmp_path / "runs", [*EVENTS, EVENTS[-1]])
    with pytest.raises(AssertionError, match="on record twice"):
        check_promise(store, write(tmp_path / "same"), [inspect_store(store)])


def test_other_bits_are_found(good, tmp_path):
    other = write(tmp_path / "other")
    (other / "trials" / "t1" / "epoch-0001" / "weights").write_bytes(b"WEIGHTS OF 1")
    with pytest.raises(AssertionError, match="epoch-0001/weights"):
        check_promise(good, other, [])


def test_how_long_a_trial_was_away(good):
    assert back_s(good, 12.0, frozenset({"t1"})) == 2.5
    assert first_epoch_s(good, 9.5) == 1.5
