"""The contract of every store, and how a store is opened from what a person typed."""

from __future__ import annotations

import hashlib
import multiprocessing
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from trainables.errors import ObjectMissing, StoreError
from trainables.store.base import Store, StoredObject
from trainables.store.folder import Folder
from trainables.store.open import open_store
from trainables.store.s3 import S3Store


@pytest.fixture(params=["folder", "moto", "weed"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "runs"))
    server = request.getfixturevalue(f"{request.param}_s3")
    server.login(monkeypatch)
    return open_store(f"s3://{server.new_bucket()}/some/prefix")


@pytest.mark.parametrize("data", [b"", bytes(range(256)), b"line\r\nline\n", b"x" * 10_000_000], ids=len)
def test_what_was_put_is_got_back(store: Store, data: bytes) -> None:
    assert store.put("trials/a/weights", data) == StoredObject("trials/a/weights", len(data))
    assert hashlib.sha256(store.get("trials/a/weights")).digest() == hashlib.sha256(data).digest()
    assert store.stat("trials/a/weights") == StoredObject("trials/a/weights", len(data))


def test_a_second_put_replaces_the_first(store: Store) -> None:
    store.put("latest", b"the first run")
    store.put("latest", b"second")
    assert store.get("latest") == b"second"
    assert store.find("") == [StoredObject("latest", 6)]


def test_what_lies_there_is_not_created_again(store: Store) -> None:
    assert store.create("drivers/1.json", b"first")
    assert not store.create("drivers/1.json", b"second")
    assert store.get("drivers/1.json") == b"first"
    store.delete("drivers/1.json")
    assert store.create("drivers/1.json", b"third")
    assert store.find("") == [StoredObject("drivers/1.json", 5)]


def test_of_many_that_create_the_same_object_exactly_one_does(store: Store) -> None:
    for race in range(20):
        with ThreadPoolExecutor(8) as writers:
            created = list(writers.map(lambda n, race=race: store.create(f"drivers/{race}", b"%d" % n), range(8)))  # type: ignore[misc]
        assert sum(created) == 1
        assert store.get(f"drivers/{race}") == b"%d" % created.index(True)


def test_of_many_concurrent_creations_one_succeeds_and_none_where_the_object_exists(store: Store) -> None:
    many = [b"%d" % number for number in range(4)]
    assert store.create_together("drivers/1", many) == 1
    assert store.get("drivers/1") in many
    assert store.create_together("drivers/1", [b"more", b"and more"]) == 0
    assert store.get("drivers/1") in many


def test_what_is_not_there_is_missing(store: Store) -> None:
    store.put("trials/a/config.json", b"{}")
    for key in ("trials/b", "trials/a", "trials/a/config.json/more"):
        with pytest.raises(ObjectMissing, match=key) as caught:
            store.get(key)
        assert store.uri in str(caught.value)
        assert store.stat(key) is None


def test_an_empty_store_has_nothing(store: Store) -> None:
    assert (store.find(""), store.find("trials/"), store.folders(""), store.stat("caucus.json")) == ([], [], [], None)


def test_it_knows_when_each_object_was_written(store: Store) -> None:
    before_s = time.time()
    for key in ("trials/a/weights", "trials/b/weights", "latest"):
        store.put(key, b"x")
    times = store.written_unix_s("trials/")
    assert set(times) == {"trials/a/weights", "trials/b/weights"}
    assert all(
        abs(written_s - before_s) < 3600 for written_s in times.values()
    )  # S3 tells whole seconds, by its own clock
    assert store.written_unix_s("nothing/") == {}


def test_find_lists_all_depths_sorted_by_key(store: Store) -> None:
    for key in ("b/z", "b/a/deep/er", "b-/x", "a", "b.txt", "ü/ß"):
        store.put(key, key.encode())
    # by code point: "-" and "." come before "/", so a folder's content is not always next to its neighbours
    assert [found.key for found in store.find("")] == ["a", "b-/x", "b.txt", "b/a/deep/er", "b/z", "ü/ß"]
    assert store.find("b/") == [StoredObject("b/a/deep/er", 11), StoredObject("b/z", 3)]


def test_many_folders_are_found_at_once_each_with_what_find_says_of_it(store: Store) -> None:
    for trial in ("a1", "a2", "b1", "b12", "c"):
        for part in ("config.json", "epoch-0001/manifest.json", "epoch-0001/weights"):
            store.put(f"trials/{trial}/{part}", f"{trial} {part}".encode())
    store.put("trials/b1-/x", b"between")
    asked = ["trials/c/", "trials/a2/", "trials/b1/", "trials/nothing/", "trials/zzz/"]
    expected = [found for prefix in sorted(asked) for found in store.find(prefix)]
    assert store.find_many(asked) == expected
    assert len(expected) == 9
    assert [found.etag for found in store.find_many(asked)] == [found.etag for found in expected]
    assert store.find_many([]) == []
    assert store.find_many(["trials/a1/", "nothing/"]) == store.find("trials/a1/")


def test_an_etag_is_that_of_the_bytes_and_another_one_for_others(store: Store) -> None:
    def etags() -> dict[str, str]:
        return {found.key: found.etag for found in store.find("trials/")}

    store.put("trials/a/x", b"one")
    store.put("trials/a/y", b"one")
    before = etags()
    assert all(before.values()) == store.has_etags
    store.put("trials/a/x", b"two")
    after = etags()
    assert after["trials/a/y"] == before["trials/a/y"]
    assert (after["trials/a/x"] != before["trials/a/x"]) == store.has_etags


def test_a_prefix_is_a_folder_and_not_the_beginning_of_a_name(store: Store) -> None:
    store.put("trials/ab/config.json", b"{}")
    assert store.find("trials/a/") == []
    assert store.folders("trials/a/") == []
    for prefix in ("trials/a", "/", "trials//", "../"):
        with pytest.raises(StoreError, match="prefix"):
            store.find(prefix)
        with pytest.raises(StoreError, match="prefix"):
            store.folders(prefix)


def test_folders_are_the_next_names_only(store: Store) -> None:
    for key in ("sweeps/nightly/2/x", "sweeps/nightly/10/y/z", "sweeps/nightly/latest", "sweeps/other/1/x", "top"):
        store.put(key, b".")
    assert store.folders("") == ["sweeps"]
    assert store.folders("sweeps/") == ["nightly", "other"]
    assert store.folders("sweeps/nightly/") == ["10", "2"]


def test_deleted_is_gone_and_can_be_written_again(store: Store) -> None:
    store.put("trials/a/epoch-0001/weights", b"1")
    store.put("trials/b/config.json", b"2")
    store.delete("trials/a/epoch-0001/weights")
    assert store.stat("trials/a/epoch-0001/weights") is None
    assert store.find("trials/a/") == []
    assert [found.key for found in store.find("")] == ["trials/b/config.json"]
    store.put("trials/a/epoch-0001/weights", b"3")
    assert store.get("trials/a/epoch-0001/weights") == b"3"


def test_deleting_what_is_not_there_does_nothing(store: Store) -> None:
    store.put("trials/a/config.json", b"{}")
    for key in ("trials/a/nothing", "trials/a", "trials/a/config.json/more"):
        store.delete(key)
    assert store.get("trials/a/config.json") == b"{}"


@pytest.mark.parametrize(
    "key", ["a b", "a+b%20c", "#a?b=c&d", "é/日本", "a:b", "a;b='c'", "~", "a" * 255, "epoch-0001/..x"]
)
def test_unusual_names_are_names(store: Store, key: str) -> None:
    store.put(f"names/{key}/x", b"here")
    assert store.get(f"names/{key}/x") == b"here"
    assert store.stat(f"names/{key}/x") == StoredObject(f"names/{key}/x", 4)
    assert store.find("names/") == [StoredObject(f"names/{key}/x", 4)]
    assert store.find(f"names/{key}/") == [StoredObject(f"names/{key}/x", 4)]
    assert store.folders("names/") == [key.split("/")[0]]
    store.delete(f"names/{key}/x")
    assert store.find("") == []


BAD_KEYS = [
    "",
    "/",
    "/etc/passwd",
    "a/",
    "a//b",
    "..",
    "../a",
    "a/../../b",
    "a/./b",
    "a\0b",
    "a\nb",
    "a\\b",
    ".caucus-x",
]


@pytest.mark.parametrize("key", [*BAD_KEYS, "a" * 256, "\udcff", "a/" * 600 + "a"], ids=repr)
def test_a_key_that_leads_elsewhere_or_cannot_be_kept_is_refused(store: Store, key: str) -> None:
    for act in (store.get, store.stat, store.delete, lambda key: store.put(key, b"")):
        with pytest.raises(StoreError, match="cannot name an object"):
            act(key)


def test_readers_see_one_write_or_the_other(store: Store) -> None:
    one, other = b"1" * 300_000, b"2" * 200_000
    store.put("status.json", one)
    done = threading.Event()

    def write() -> None:
        for _ in range(8):
            store.put("status.json", other)
            store.put("status.json", one)
        done.set()

    seen = set()
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done():
            seen.add(store.get("status.json"))
        writing.result()
    assert done.is_set()
    assert seen <= {one, other}
    assert [found.key for found in store.find("")] == ["status.json"]


def test_many_threads_may_write_and_delete_side_by_side(store: Store) -> None:
    def work(number: int) -> bytes:
        store.put(f"trials/{number % 3}/{number}", str(number).encode())
        store.put(f"gone/{number % 3}/x{number}", b"")
        store.delete(f"gone/{number % 3}/x{number}")
        return store.get(f"trials/{number % 3}/{number}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(60))) == [str(number).encode() for number in range(60)]
    assert len(store.find("")) == 60


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_a_store_can_be_used_by_another_process(store: Store, start: str) -> None:
    store.put("from", b"parent")
    with ProcessPoolExecutor(1, multiprocessing.get_context(start)) as pool:
        assert pool.submit(store.get, "from").result(60) == b"parent"
        pool.submit(store.put, "to", b"child").result(60)
    assert store.get("to") == b"child"


def test_an_empty_store_can_be_checked_and_stays_empty(store: Store) -> None:
    store.check()
    store.check_writable()
    store.check_writable(needed_bytes=17 * 2**20)
    assert store.find("") == []


def test_s3_uris_name_bucket_and_prefix() -> None:
    assert open_store("s3://bucket") == S3Store("bucket")
    assert open_store("s3://bucket/") == S3Store("bucket")
    assert open_store("s3://bucket/a/b/", "http://127.0.0.1:9") == S3Store("bucket", "a/b", "http://127.0.0.1:9")
    assert (open_store("S3://bucket/a").uri, open_store("s3://bucket").uri) == ("s3://bucket/a", "s3://bucket")


def test_anything_else_is_a_folder_and_keeps_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert open_store("~/runs") == Folder(tmp_path / "runs", "~/runs")
    assert open_store("runs") == Folder(tmp_path / "runs", "runs")
    assert open_store("runs").uri == "runs"


@pytest.mark.parametrize(
    "uri", ["", " ", "gs://bucket/x", "http://127.0.0.1/b", "file:///tmp/x", "a\0b", "~no-such-person/x"]
)
def test_what_no_store_can_be_is_refused(uri: str) -> None:
    with pytest.raises(StoreError, match="store"):
        open_store(uri)


@pytest.mark.parametrize("uri", ["s3://", "s3:///x", "s3://b", "s3://UP CASE/x", "s3://bucket//x", "s3://bucket/../x"])
def test_a_bucket_or_prefix_that_cannot_be_is_refused(uri: str) -> None:
    with pytest.raises(StoreError, match="bucket"):
        open_store(uri)


@pytest.mark.parametrize("uri", ["s3://key:secret@bucket/x", "http://key:secret@host/bucket"])
def test_credentials_in_a_uri_are_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(uri)
    assert "secret" not in str(caught.value)


def test_a_folder_does_not_pay_for_boto3() -> None:
    code = "import sys; from trainables.store.open import open_store; open_store('runs'); assert 'boto3' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
