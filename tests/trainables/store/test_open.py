"""The contract of every store, and how a store is opened from what a person typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runner.testing.contract import Check
from runner.testing.stores import store_checks
from trainables.errors import StoreError
from trainables.store.base import Store
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


@pytest.mark.parametrize("check", store_checks(), ids=str)
def test_it_keeps_the_promises_of_a_store(store: Store, check: Check[Store]) -> None:
    check(lambda: store)


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
