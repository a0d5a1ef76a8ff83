"""A store in an S3 bucket, at Amazon or on any server that speaks S3. Only this file and `s3_errors.py` import boto3.

Uploads do not use pyarrow, as Ray Tune does, because its uploads can fail silently. The server confirms each upload (MD5 of the
body), then a HEAD request checks size and SHA-256, and the upload is repeated until both match or a deadline is reached.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from typing_extensions import override

from trainables.errors import ObjectMissing, StoreError
from trainables.store.base import Store, StoredObject, sha256_of
from trainables.store.held_body import Gate, HeldBody, begin_to_send
from trainables.store.keys import RESERVED_PREFIX, check_key, check_prefix, is_key
from trainables.store.s3_errors import (
    FAILURES,
    NotConfirmed,
    NotS3,
    Place,
    code_of,
    explain,
    is_passing,
    is_refusal,
    status_of,
)
from trainables.store.scan import Page, Unordered, common_folder, scan

T = TypeVar("T")

LONGEST_PAUSE_S = 2.0
"""Longest pause between two attempts. An outage costs at most this beyond its end, or the timeout of an attempt that it
swallowed."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


class Created(Enum):
    """The outcome of a conditional upload."""

    IS_THERE, IS_GONE, REFUSED = range(3)
    """The bytes are stored; the server accepted them, but others are stored now; others were stored before."""


@dataclass(frozen=True)
class S3Store(Store):
    """A store in `bucket` under `prefix` (no slash at its ends). It is thread-safe.

    boto3 finds the credentials (AWS_ACCESS_KEY_ID and so on, AWS_PROFILE, the role of the machine). They are never part of
    this value, so it can be sent to another process. boto3 finds the endpoint, too, where `endpoint_url` is None
    (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else Amazon's).
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    deadline_s: float = 300.0
    """No attempt of an operation starts later than this after its first one, so an operation survives an outage of some minutes."""
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 10.0

    # Caches of one process, not part of the value: the client with the id of its process (connections do not survive a
    # fork), and whether an operation on the bucket has ever succeeded.
    _cached_client: tuple[int, Any] | None = field(default=None, init=False, repr=False, compare=False)
    _worked: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.bucket):
            shown = "the bucket of `store`" if "@" in self.bucket or ":" in self.bucket else f"bucket {self.bucket!r}"
            raise StoreError(f"{shown} is no bucket name: write s3://bucket/prefix, credentials in the environment")
        if self.prefix and not is_key(self.prefix):
            raise StoreError(
                f"store s3://{self.bucket}: prefix {self.prefix[:200]!r} cannot be part of a key: rename it"
            )
        if self.endpoint_url is not None:
            _check_endpoint(self.endpoint_url)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cached_client": None}

    @property
    @override
    def uri(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"

    @override
    def put(self, key: str, data: bytes) -> StoredObject:
        return self._put(check_key(key), data)

    @override
    def create(self, key: str, data: bytes) -> bool:
        """Raises `StoreError` where the server does not support `If-None-Match`."""
        return self._create(key, data) == Created.IS_THERE

    @override
    def create_together(self, key: str, many: Sequence[bytes]) -> int:
        """Count the concurrent writers that succeed, in the order that shows a server's mistakes.

        All uploads send their headers, and the server answers `100 Continue`, before the first one sends its body. A server that
        checks whether the object exists when an upload begins, and not when it ends, then accepts them all, as OpenStack Swift
        does. An accepted writer that then finds another writer's bytes counts, too: a moment earlier it would have found its own.
        """
        gate = Gate(len(many))
        with ThreadPoolExecutor(len(many), thread_name_prefix="rival") as rivals:
            outcomes = list(rivals.map(lambda data: self._create(key, data, gate), many))
        taken = sum(each != Created.REFUSED for each in outcomes)
        return taken if taken != 1 or Created.IS_THERE in outcomes else 2

    def _create(self, key: str, data: bytes, gate: Gate | None = None) -> Created:
        name, was_sent = self._name(check_key(key)), False

        def write(client: Any) -> Created:
            nonlocal was_sent
            gated = HeldBody(data, gate) if gate else None
            try:
                was_sent, again = True, was_sent
                client.put_object(
                    Bucket=self.bucket,
                    Key=name,
                    Body=gated or data,
                    ContentMD5=_md5(data),
                    Metadata={"sha256": sha256_of(data)},
                    IfNoneMatch="*",
                )
            except boto.ClientError as error:
                if status_of(error) != 412:
                    raise
                # An attempt whose answer was lost may have been the one that wrote it.
                is_ours = again and bytes(client.get_object(Bucket=self.bucket, Key=name)["Body"].read()) == data
                return Created.IS_THERE if is_ours else Created.REFUSED
            finally:
                if gate and gated:
                    gate.end(gated)
            is_ours = self._read_back(client, name) == (len(data), sha256_of(data))
            return Created.IS_THERE if is_ours else Created.IS_GONE

        return self._repeat(f"creating {key}", write)

    @override
    def get(self, key: str) -> bytes:
        name = self._name(check_key(key))

        def read(client: Any) -> bytes | None:
            try:
                return bytes(client.get_object(Bucket=self.bucket, Key=name)["Body"].read())
            except boto.ClientError as error:
                if code_of(error) != "NoSuchKey":
                    raise
                return None

        data = self._repeat(f"reading {key}", read)
        if data is None:
            raise ObjectMissing(f"store {self.uri} holds no {key}")
        return data

    @override
    def stat(self, key: str) -> StoredObject | None:
        name = self._name(check_key(key))

        def head(client: Any) -> StoredObject | None:
            try:
                return StoredObject(key, client.head_object(Bucket=self.bucket, Key=name)["ContentLength"])
            except boto.ClientError as error:
                if status_of(error) != 404:
                    raise
                if not self._worked:  # a missing bucket gives the same answer: only a listing tells them apart
                    _listed(client.list_objects_v2(Bucket=self.bucket, Prefix=name, MaxKeys=1))
                return None

        return self._repeat(f"looking at {key}", head)

    @override
    def find(self, prefix: str) -> list[StoredObject]:
        """Leaves out objects whose names are not valid keys."""
        found = (item for page in self._pages(check_prefix(prefix)) for item in self._objects(page))
        return sorted((item for item in found if is_key(item.key)), key=lambda item: item.key)

    @override
    def find_many(self, prefixes: Sequence[str]) -> list[StoredObject]:
        """Takes hardly more requests than pages of a thousand of these objects, whatever other objects lie between."""
        within = common_folder([check_prefix(prefix) for prefix in prefixes])

        def page(after: str) -> Page:
            listing = next(self._pages(within, StartAfter=self._name(after)))
            return Page(self._objects(listing), not listing.get("IsTruncated"))

        try:
            found = scan(prefixes, page)
        except Unordered:  # as in the directory buckets of Amazon
            return super().find_many(prefixes)
        return sorted((item for item in found if is_key(item.key)), key=lambda item: item.key)

    @property
    @override
    def has_etags(self) -> bool:
        return True

    def _objects(self, page: dict[str, Any]) -> list[StoredObject]:
        start = len(self._name(""))
        return [
            StoredObject(item["Key"][start:], item["Size"], str(item.get("ETag", "")).strip('"'))
            for item in page.get("Contents", ())
        ]

    @override
    def folders(self, prefix: str) -> list[str]:
        """SeaweedFS lists a folder for some time after its last object was deleted."""
        start = len(self._name(check_prefix(prefix)))
        found = (
            item["Prefix"][start:-1]
            for page in self._pages(prefix, Delimiter="/")
            for item in page.get("CommonPrefixes", ())
        )
        return sorted({name for name in found if is_key(name)})

    @override
    def written_unix_s(self, prefix: str) -> dict[str, float]:
        start = len(self._name(""))
        found = (
            (item["Key"][start:], item["LastModified"].timestamp())
            for page in self._pages(check_prefix(prefix))
            for item in page.get("Contents", ())
        )
        return {key: written for key, written in found if is_key(key)}

    @override
    def delete(self, key: str) -> None:
        """Does not retry after a refusal: roles that may write but not delete are common."""
        self._delete(check_key(key))

    @override
    def check(self) -> None:
        """Takes some 12 s at most, where the endpoint does not answer."""
        next(self._impatient()._pages("", MaxKeys=1))
        self._remember("_worked", True)

    @override
    def check_writable(self, needed_bytes: int = 0) -> None:
        """Writes an empty object and deletes it, where deleting is allowed."""
        if not self._worked:
            self.check()
        probe, impatient = f"{RESERVED_PREFIX}probe-{secrets.token_hex(8)}", self._impatient()
        impatient._put(probe, b"")
        with contextlib.suppress(StoreError):
            impatient._delete(probe)

    def _put(self, key: str, data: bytes) -> StoredObject:
        name, sha256 = self._name(key), sha256_of(data)
        md5 = _md5(data)

        def write(client: Any) -> StoredObject:
            client.put_object(Bucket=self.bucket, Key=name, Body=data, ContentMD5=md5, Metadata={"sha256": sha256})
            size_bytes, seen = self._read_back(client, name)
            if (size_bytes, seen) != (len(data), sha256):
                raise NotConfirmed(f"is there with {size_bytes} bytes and sha256 {seen}")
            return StoredObject(key, len(data))

        return self._repeat(f"writing {key} ({len(data)} bytes)", write)

    def _read_back(self, client: Any, name: str) -> tuple[int, str | None]:
        """Size and SHA-256 of a new object, as the server shows them. Raises `NotConfirmed` where there is no object."""
        try:
            seen = client.head_object(Bucket=self.bucket, Key=name)
        except boto.ClientError as error:
            raise NotConfirmed("is not there") if status_of(error) == 404 else error from None
        metadata = {name.lower(): value for name, value in seen["Metadata"].items()}
        return seen["ContentLength"], metadata.get("sha256")

    def _delete(self, key: str) -> None:
        def remove(client: Any) -> None:
            try:
                client.delete_object(Bucket=self.bucket, Key=self._name(key))
            except boto.ClientError as error:
                if code_of(error) != "NoSuchKey":
                    raise

        self._repeat(f"deleting {key}", remove, believe_refusals=True)

    def _pages(self, prefix: str, **options: Any) -> Iterator[dict[str, Any]]:
        request = {"Bucket": self.bucket, "Prefix": self._name(prefix), **options}
        while True:
            page = self._repeat(f"listing {prefix or 'it'}", lambda client: _listed(client.list_objects_v2(**request)))
            yield page
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def _name(self, key: str) -> str:
        """The object's full name in the bucket."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def _impatient(self) -> S3Store:
        """This store with short timeouts and empty caches, for the first contact, where a wrong answer means a wrong setting."""
        return replace(
            self,
            deadline_s=min(6.0, self.deadline_s),
            connect_timeout_s=min(4.0, self.connect_timeout_s),
            read_timeout_s=min(5.0, self.read_timeout_s),
        )

    def _repeat(self, doing: str, attempt: Callable[[Any], T], believe_refusals: bool = False) -> T:
        """The result of `attempt`, which is retried after transient failures until the deadline."""
        began = time.monotonic()
        pause_s = 0.1
        while True:
            try:
                result = attempt(self._client())
            except FAILURES as error:
                refused = is_refusal(error)
                # Renewed credentials are refused for a moment, and load balancers answer in HTML while they restart: both
                # are transient. Before the first success they are taken for permanent errors.
                if not (self._worked and not believe_refusals if refused else is_passing(error)):
                    raise self._failure(error, doing) from None
                # Not `random`, whose state may be seeded by a trial: a retry must not change its draws.
                wait_s = pause_s * (0.5 + secrets.randbelow(1000) / 2000)
                spent_s = time.monotonic() - began
                if spent_s + wait_s > self.deadline_s:
                    raise self._failure(error, f"{doing}, tried for {spent_s:.0f} s") from None
                time.sleep(wait_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                if refused:
                    self._remember("_cached_client", None)
            else:
                self._remember("_worked", True)
                return result

    def _client(self) -> Any:
        """The client of this process. Two threads may each build one at first: the later one is kept."""
        if self._cached_client is None or self._cached_client[0] != os.getpid():
            config = Config(
                connect_timeout=self.connect_timeout_s,
                read_timeout=self.read_timeout_s,
                retries={"total_max_attempts": 1, "mode": "standard"},
                # Trailing checksums, boto3's default since 1.36, are answered with 411 by Ceph among others.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
            try:  # a session of its own: boto3's default session may not be used by two threads at once
                client = boto3.session.Session().client("s3", endpoint_url=self.endpoint_url, config=config)
            except ValueError:
                raise StoreError(
                    f"store {self.uri}: the endpoint is no URL: correct AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL"
                ) from None
            client.meta.events.register("before-send.s3.PutObject", begin_to_send)
            self._remember("_cached_client", (os.getpid(), client))
            return client
        return self._cached_client[1]

    def _remember(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _failure(self, error: Exception, doing: str) -> StoreError:
        endpoint = self._cached_client[1].meta.endpoint_url if self._cached_client else self.endpoint_url or "Amazon S3"
        return explain(error, doing, Place(self.uri, self.bucket, endpoint))


def _md5(data: bytes) -> str:
    """The MD5 in base64, for the header of an upload."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _check_endpoint(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable or "@" in url:
        shown = "endpoint_url" if "@" in url else f"endpoint_url {url!r}"
        raise StoreError(f"{shown} is not http(s)://host[:port]: correct it; credentials belong in the environment")


def _listed(page: dict[str, Any]) -> dict[str, Any]:
    """Returns `page` if it is a listing, else raises `NotS3`: a web page in well-formed XML would pass for an empty listing."""
    if "Name" not in page or (page.get("IsTruncated") and not page.get("NextContinuationToken")):
        raise NotS3
    return page


def open_bucket(uri: str, endpoint_url: str | None = None) -> S3Store:
    """The store `s3://bucket/prefix`. Raises `StoreError` where that names no bucket."""
    bucket, _, prefix = uri.partition("://")[2].partition("/")
    return S3Store(bucket, prefix.removesuffix("/"), endpoint_url)
