"""What is particular to a store in a bucket: servers that fail for a while, lie, hang or are something else."""

from __future__ import annotations

import multiprocessing
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.services.proxy import Fault, FaultProxy, fault_proxy
from tests.services.servers import ACCESS_KEY, SECRET_KEY, S3Server, free_ports
from trainables.errors import ObjectMissing, StoreError
from trainables.store.base import StoredObject
from trainables.store.s3 import S3Store


@pytest.fixture
def proxy(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    moto_s3.login(monkeypatch)
    with fault_proxy(moto_s3.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def store(proxy: FaultProxy, moto_s3: S3Server) -> S3Store:
    """A store behind the proxy that has worked once and is quick to give up."""
    store = S3Store(moto_s3.new_bucket(), "runs", proxy.endpoint_url, deadline_s=20, read_timeout_s=0.5)
    store.check()
    proxy.seen.clear()
    return store


PASSING = {
    "busy": Fault("", "status", 3, 503, "SlowDown"),
    "broken": Fault("", "status", 2, 500, "InternalError"),
    "bad gateway": Fault("", "status", 2, 502, "BadGateway"),
    "too many": Fault("", "status", 2, 429, "TooManyRequests"),
    "slow request": Fault("", "status", 1, 400, "RequestTimeout"),
    "denied": Fault("", "status", 2, 403, "AccessDenied"),
    "expired": Fault("", "status", 2, 400, "ExpiredToken"),
    "reset": Fault("", "reset", 3),
    "hang": Fault("", "hang", 1),
    "web page": Fault("", "html", 1),
}


@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize("method", ["PUT", "HEAD"])
def test_a_write_survives_a_failure_that_passes(store: S3Store, proxy: FaultProxy, name: str, method: str) -> None:
    kind = PASSING[name]
    fault = Fault(f"^{method} ", kind.action, kind.times, kind.status, kind.code)
    proxy.faults.append(fault)
    assert store.put("trials/a/weights", b"w" * 1000) == StoredObject("trials/a/weights", 1000)
    assert fault.times == 0
    assert store.get("trials/a/weights") == b"w" * 1000


@pytest.mark.parametrize("name", [name for name in PASSING if name != "web page"])
def test_reading_and_listing_survive_a_failure_that_passes(store: S3Store, proxy: FaultProxy, name: str) -> None:
    store.put("trials/a/weights", b"w")
    kind = PASSING[name]
    calls = {
        r"GET .*/weights": lambda: store.get("trials/a/weights") == b"w",
        r"HEAD ": lambda: store.stat("trials/a/weights") == StoredObject("trials/a/weights", 1),
        r"GET .*list-type=2.*prefix=": lambda: store.find("trials/") == [StoredObject("trials/a/weights", 1)],
        r"GET .*delimiter=": lambda: store.folders("trials/") == ["a"],
    }
    for pattern, call in calls.items():
        proxy.faults = [Fault(pattern, kind.action, kind.times, kind.status, kind.code)]
        assert call()
        assert proxy.faults[0].times == 0


def test_an_upload_that_is_confirmed_but_absent_is_noticed_and_done_again(store: S3Store, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("^PUT ", "swallow", 2))
    store.put("latest", b"5")
    assert proxy.count("swallow") == 2
    assert [request.split()[0] for request, _ in proxy.seen] == ["PUT", "HEAD", "PUT", "HEAD", "PUT", "HEAD"]
    assert store.get("latest") == b"5"


def test_a_creation_that_is_confirmed_but_absent_is_done_again(store: S3Store, proxy: FaultProxy) -> None:
    """Else two drivers of a run could both believe that they have it."""
    proxy.faults.append(Fault("^PUT ", "swallow", 1))
    assert store.create("drivers/1.json", b"mine")
    assert proxy.count("swallow") == 1
    assert store.get("drivers/1.json") == b"mine"
    assert not store.create("drivers/1.json", b"theirs")


def test_a_creation_whose_answer_is_lost_is_still_ones_own(store: S3Store, proxy: FaultProxy) -> None:
    proxy.inject(Fault("^PUT ", "stall", 1), 1.0)  # done when the client has given up waiting for the answer
    assert store.create("drivers/1.json", b"mine")
    assert store.get("drivers/1.json") == b"mine"


def test_an_upload_that_is_confirmed_but_leaves_the_old_object_is_noticed(store: S3Store, proxy: FaultProxy) -> None:
    store.put("latest", b"4")
    proxy.faults.append(Fault("^PUT ", "swallow", 1))
    store.put("latest", b"5")  # as many bytes: only the hash tells
    assert store.get("latest") == b"5"


def test_an_upload_that_never_arrives_fails_in_the_end(store: S3Store, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("^PUT ", "swallow"))
    quick = S3Store(store.bucket, "runs", proxy.endpoint_url, deadline_s=0.5)
    with pytest.raises(StoreError, match=r"accepted the object, but it is not there, while writing latest \(1 bytes\)"):
        quick.put("latest", b"5")


def test_bytes_that_change_on_the_way_are_sent_again(weed_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    weed_s3.login(monkeypatch)
    with fault_proxy(weed_s3.endpoint_url, Fault("^PUT ", "flip", 1)) as proxy:
        store = S3Store(weed_s3.new_bucket(), "", proxy.endpoint_url)
        store.put("latest", b"123")
        assert proxy.count("flip") == 1
        assert store.get("latest") == b"123"


def test_after_the_deadline_the_last_answer_is_reported(store: S3Store, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("^PUT ", "status"))
    quick = S3Store(store.bucket, "runs", proxy.endpoint_url, deadline_s=4)
    with pytest.raises(StoreError) as caught:
        quick.put("trials/a/weights", b"1234")
    assert 2 <= proxy.count("status") <= 12
    assert re.fullmatch(
        f"store s3://{store.bucket}/runs at {proxy.endpoint_url} answers 503 SlowDown "
        r"while writing trials/a/weights \(4 bytes\), tried for \d s: try again later",
        str(caught.value),
    )


@pytest.mark.parametrize(
    ("status", "code"), [(400, "InvalidRequest"), (405, "MethodNotAllowed"), (501, "NotImplemented")]
)
def test_what_will_never_pass_is_not_repeated(store: S3Store, proxy: FaultProxy, status: int, code: str) -> None:
    proxy.faults.append(Fault("", "status", status=status, code=code))
    with pytest.raises(StoreError, match=f"answers {status} {code} while writing latest"):
        store.put("latest", b"1")
    assert proxy.count("status") == 1


def test_a_bucket_that_disappears_is_an_error_at_once(store: S3Store, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("", "status", status=404, code="NoSuchBucket"))
    with pytest.raises(StoreError, match="does not exist at"):
        store.put("latest", b"1")
    assert proxy.count("status") == 1


def test_a_role_that_may_not_delete_is_an_error_at_once(store: S3Store, proxy: FaultProxy) -> None:
    store.put("latest", b"1")
    proxy.faults.append(Fault("^DELETE ", "status", status=403, code="AccessDenied"))
    with pytest.raises(StoreError, match="denies access while deleting latest"):
        store.delete("latest")
    assert proxy.count("status") == 1


def test_a_role_that_may_not_delete_may_still_write(store: S3Store, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("^DELETE ", "status", status=403, code="AccessDenied"))
    store.check_writable()
    assert store.find("") == []  # the probe stays, and is not listed
    assert store.folders("") == []


def test_a_role_that_may_not_write_is_found_out_by_the_check(store: S3Store, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("^PUT ", "status", status=403, code="AccessDenied"))
    store.check()
    with pytest.raises(StoreError, match="denies access while writing"):
        store.check_writable()
    assert proxy.count("status") == 1


def test_the_first_operation_reports_a_missing_bucket(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.login(monkeypatch)
    store = S3Store("no-such-bucket", "runs")
    expected = f"bucket no-such-bucket does not exist at {moto_s3.endpoint_url}: create it, or correct `store`"
    for act in (store.check, store.check_writable):
        with pytest.raises(StoreError, match=expected):
            act()
    for act in (store.get, store.stat, lambda key: store.put(key, b""), lambda key: store.find(f"{key}/")):
        with pytest.raises(StoreError, match=expected) as caught:
            act("latest")
        assert not isinstance(caught.value, ObjectMissing)


def message_of(store: S3Store) -> str:
    with pytest.raises(StoreError) as caught:
        store.check()
    text = f"{caught.value} {caught.value!r} {store!r}"
    assert store.uri in text
    assert SECRET_KEY not in text
    assert ACCESS_KEY not in text
    return str(caught.value)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_told_at_once(weed_s3: S3Server, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    weed_s3.login(monkeypatch)
    store = S3Store(weed_s3.new_bucket(), "runs")
    monkeypatch.setenv(name, "wrong-and-secret-too")
    began = time.monotonic()
    message = message_of(store)
    assert f"at {weed_s3.endpoint_url} refuses the credentials" in message
    assert "wrong-and-secret-too" not in message
    assert time.monotonic() - began < 5


def test_missing_credentials_are_an_error_that_says_where_to_put_them(
    weed_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    weed_s3.login(monkeypatch)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "no usable credentials" in message_of(S3Store("bucket"))  # half of them
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in message_of(S3Store("bucket"))


def test_a_profile_that_does_not_exist_is_an_error(weed_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    weed_s3.login(monkeypatch)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "ProfileNotFound" in message_of(S3Store("bucket"))


def test_renewed_credentials_are_taken_up_by_a_running_process(
    weed_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    weed_s3.login(monkeypatch)
    with fault_proxy(weed_s3.endpoint_url) as proxy:
        store = S3Store(weed_s3.new_bucket(), "", proxy.endpoint_url, deadline_s=0.3)
        store.put("latest", b"1")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "expired")
        store.put("latest", b"2")  # the client keeps what it has as long as it is accepted
        proxy.faults.append(Fault("", "status", 1, 403, "ExpiredToken"))
        with pytest.raises(StoreError, match="refuses the credentials"):
            store.put("latest", b"3")  # now it holds the wrong ones, and the server says so
        assert proxy.count("forward") > 4
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        store.put("latest", b"4")
        assert store.get("latest") == b"4"


def test_an_endpoint_where_nothing_listens_is_an_error(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.login(monkeypatch)
    (port,) = free_ports(1)
    message = message_of(S3Store("bucket", "", f"http://127.0.0.1:{port}", deadline_s=0.5))
    assert f"at http://127.0.0.1:{port} does not answer" in message


def test_an_endpoint_that_never_answers_is_reported_in_time(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.login(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the system accepts, nobody reads
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        message = message_of(S3Store("bucket", "", url))
        assert time.monotonic() - began < 13
    assert f"at {url} does not answer" in message
    assert "ReadTimeoutError" in message


def test_a_web_server_is_not_taken_for_an_empty_bucket(proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("", "html"))
    assert "does not answer like an S3 server" in message_of(S3Store("bucket", "", proxy.endpoint_url))
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("url", ["localhost:9000", "ftp://host", "http://", "http://[::1", "not a url"])
def test_an_endpoint_that_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match=r"endpoint_url .* is not http"):
        S3Store("bucket", "", url)


def test_an_endpoint_with_a_login_is_refused_or_not_repeated(
    monkeypatch: pytest.MonkeyPatch, moto_s3: S3Server
) -> None:
    with pytest.raises(StoreError, match="credentials belong in the environment") as caught:
        S3Store("bucket", "", "http://me:hidden@127.0.0.1:1")
    assert "hidden" not in str(caught.value)
    moto_s3.login(monkeypatch)
    (port,) = free_ports(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://me:hidden@127.0.0.1:{port}")
    message = message_of(S3Store("bucket", deadline_s=0.3))
    assert f"at http://127.0.0.1:{port} " in message
    assert "hidden" not in message


def test_an_endpoint_in_the_environment_that_is_no_url_is_an_error(
    monkeypatch: pytest.MonkeyPatch, moto_s3: S3Server
) -> None:
    moto_s3.login(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "127.0.0.1:9000")
    assert "AWS_ENDPOINT_URL_S3" in message_of(S3Store("bucket"))


def test_a_listing_of_more_than_one_page_is_whole(proxy: FaultProxy, moto_s3: S3Server) -> None:
    store = S3Store(moto_s3.new_bucket(), "runs", proxy.endpoint_url)
    client = moto_s3.client()
    names = [f"trials/{number:04d}/x" for number in range(1001)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: client.put_object(Bucket=store.bucket, Key=f"runs/{name}", Body=b"."), names))
    assert [found.key for found in store.find("")] == names
    assert len(proxy.seen) == 2
    assert store.folders("trials/") == [name.split("/")[1] for name in names]


def test_stores_with_other_prefixes_share_a_bucket_unseen(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.login(monkeypatch)
    bucket = moto_s3.new_bucket()
    for prefix in ("", "a", "ab"):
        S3Store(bucket, prefix).put("latest", prefix.encode())
    assert S3Store(bucket, "a").find("") == [StoredObject("latest", 1)]
    assert S3Store(bucket, "a").get("latest") == b"a"
    assert [found.key for found in S3Store(bucket).find("")] == ["a/latest", "ab/latest", "latest"]


def test_folder_marks_of_a_web_console_are_not_objects(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.login(monkeypatch)
    bucket = moto_s3.new_bucket()
    for name in ("runs/", "runs/trials/", "runs//x", "runs/trials/a"):
        moto_s3.client().put_object(Bucket=bucket, Key=name, Body=b"")
    assert [found.key for found in S3Store(bucket, "runs").find("")] == ["trials/a"]
    assert S3Store(bucket, "runs").folders("") == ["trials"]


def test_credentials_are_no_part_of_a_store(store: S3Store, moto_s3: S3Server) -> None:
    store.put("latest", b"1")
    seen = moto_s3.client().head_object(Bucket=store.bucket, Key="runs/latest")
    for text in (repr(store), str(store.__getstate__()), str(seen["Metadata"])):
        assert SECRET_KEY not in text
        assert ACCESS_KEY not in text
    assert store.__getstate__()["_cached_client"] is None


def test_a_forked_process_does_not_share_connections_with_its_parent(store: S3Store) -> None:
    store.put("latest", b"1")
    of_parent = store._client()
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    child = fork.Process(target=lambda: theirs.send((store._client() is of_parent, store.get("latest"))))
    child.start()
    assert ours.poll(60)
    assert ours.recv() == (False, b"1")
    child.join(60)
    assert child.exitcode == 0
    assert store._client() is of_parent
