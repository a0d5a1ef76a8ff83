"""JSON in a store, and the mark that tells which version wrote it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sample_runs.damage import flip
from trainables.errors import DamagedObject, ObjectMissing, StoreError, StoreTooNew
from trainables.store import layout
from trainables.store.base import Store, sha256_of
from trainables.store.folder import Folder
from trainables.store.json_records import check_format, get_json, mark_format, seal_json, to_json


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Folder(tmp_path, "runs")


def test_the_hash_is_sha256() -> None:
    assert sha256_of(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_json_is_readable_and_the_same_for_equal_values() -> None:
    assert to_json({"b": [1, 0.1], "a": "Größe"}) == '{\n "a": "Größe",\n "b": [\n  1,\n  0.1\n ]\n}\n'.encode()
    assert to_json({"a": 1, "b": 2}) == to_json({"b": 2, "a": 1})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_holds_no_number_that_other_readers_refuse(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"loss": number})


def test_what_was_written_as_json_is_read_back(store: Store) -> None:
    value = {"epochs": [1, 2], "name": "é", "nothing": None}
    store.put("status.json", to_json(value))
    assert get_json(store, "status.json") == value


def test_json_that_is_missing_is_missing(store: Store) -> None:
    with pytest.raises(ObjectMissing, match=r"status\.json"):
        get_json(store, "status.json")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000], ids=["empty", "cut", "binary", "deep"])
def test_invalid_json_is_an_error_that_names_its_place(store: Store, data: bytes) -> None:
    store.put("status.json", data)
    with pytest.raises(StoreError, match=r"runs/status\.json is not readable as JSON .*restore or delete it"):
        get_json(store, "status.json")


@pytest.mark.parametrize(("data", "kind"), [(b"[]", "list"), (b"3", "int"), (b"null", "NoneType")])
def test_json_that_is_no_object_is_an_error(store: Store, data: bytes, kind: str) -> None:
    store.put("status.json", data)
    with pytest.raises(StoreError, match=f"holds a {kind}, not a JSON object"):
        get_json(store, "status.json")


SEALED = seal_json({"b": {"c": [1, 0.1]}, "a": "Größe"})


def test_sealed_json_comes_back_as_it_was(store: Store) -> None:
    store.put("status.json", SEALED)
    assert get_json(store, "status.json") == {"b": {"c": [1, 0.1]}, "a": "Größe"}
    assert list(json.loads(SEALED)) == ["a", "b", "sha256"]


def test_every_flipped_bit_of_sealed_json_is_noticed(store: Store) -> None:
    for at in range(8 * len(SEALED)):
        store.put("status.json", flip(SEALED, at))
        with pytest.raises(DamagedObject, match="restore or delete it"):
            get_json(store, "status.json")


def test_sealed_json_that_is_cut_off_is_noticed(store: Store) -> None:
    for size in range(len(SEALED) - 1):
        store.put("status.json", SEALED[:size])
        with pytest.raises(DamagedObject):
            get_json(store, "status.json")


def test_a_hash_under_a_name_of_its_own_is_no_seal(store: Store) -> None:
    record = {"a": sha256_of(b""), "b": 1}
    store.put("status.json", to_json(record))
    assert get_json(store, "status.json") == record


def test_a_new_store_has_no_mark_until_it_is_marked(store: Store) -> None:
    assert not check_format(store)
    mark_format(store, "0.1.0")
    assert check_format(store)
    assert get_json(store, layout.FORMAT_KEY) == {"format": layout.FORMAT, "written_by": "0.1.0"}


def test_the_mark_of_the_first_version_stays(store: Store) -> None:
    mark_format(store, "0.1.0")
    mark_format(store, "0.2.0")
    assert get_json(store, layout.FORMAT_KEY)["written_by"] == "0.1.0"


@pytest.mark.parametrize("found", [layout.FORMAT + 1, "1", None, True])
def test_a_store_of_a_newer_version_is_left_alone(store: Store, found: object) -> None:
    store.put(layout.FORMAT_KEY, to_json({"format": found, "written_by": "9.0"}))
    before = store.get(layout.FORMAT_KEY)
    for act in (check_format, lambda store: mark_format(store, "0.1.0")):
        with pytest.raises(StoreTooNew, match=r"written by Caucus 9\.0; this version reads up to .*: upgrade caucus"):
            act(store)
    assert store.get(layout.FORMAT_KEY) == before
