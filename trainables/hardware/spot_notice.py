"""Notices that the machine under a worker is about to be taken away (spot interruption, preemption, eviction).

`CAUCUS_SPOT_NOTICE` names the source: `aws` and `gce` are the metadata services of the two clouds, a path is a file that another
program creates (on Kubernetes the pod's preStop hook). Where it is not set, nothing is polled.
"""

from __future__ import annotations

import math
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from trainables.errors import CaucusError

VARIABLE = "CAUCUS_SPOT_NOTICE"

POLL_S = 5.0
"""Seconds between two polls, as AWS recommends."""

TIMEOUT_S = 2.0
"""Timeout of one request to a metadata service, which is on the same machine."""

LEFT_S = {"aws": 110.0, "gce": 25.0}
"""Seconds that are left when a notice arrives: two minutes on AWS and half a minute on Google's machines, less the polling
interval. The time in AWS's answer is not compared with this machine's clock."""

FILE_LEFT_S = 25.0
"""Seconds that are left where the file does not say so: Kubernetes gives a pod half a minute."""

LONGEST_MESSAGE = 200
"""Characters of a service's answer that are passed on."""

TOKEN_S = 21600
"""Lifetime of a token of AWS's metadata service, in seconds."""


class NoticeUnknown(CaucusError, ValueError):
    """`CAUCUS_SPOT_NOTICE` does not name a source of notices."""


@dataclass(frozen=True)
class Notice:
    """This machine is about to be taken away."""

    message: str
    """The notice as a text for people."""
    until_s: float
    """When the machine goes away, on its own monotonic clock."""


NoticeSource = Callable[[], tuple[str, float] | None]
"""Polls once; returns the message and the seconds that are left, or None without a notice."""


class SpotNotice:
    """Polls a source in a thread until a notice arrives; `notice` is None before."""

    def __init__(
        self, source: NoticeSource, on_notice: Callable[[Notice], None] = lambda _: None, poll_s: float = POLL_S
    ) -> None:
        self.notice: Notice | None = None
        self._source = source
        self._on_notice = on_notice
        self._poll_s = poll_s
        self._thread = threading.Thread(target=self._listen, name="spot-notice", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                found = self._source()
            except (OSError, HTTPException):  # a service that does not answer now may answer in five seconds
                found = None
            if found:
                self.notice = Notice(found[0], time.monotonic() + found[1])
                self._on_notice(self.notice)
                return
            time.sleep(self._poll_s)


def choose_notice_source(environ: Mapping[str, str]) -> NoticeSource | None:
    """The source that `environ` names; None where it names none. Raises `NoticeUnknown`.

    `AWS_EC2_METADATA_SERVICE_ENDPOINT` and `GCE_METADATA_HOST` override the addresses of the services, as in the clouds' own
    libraries.
    """
    setting = environ.get(VARIABLE, "")
    if not setting:
        return None
    if setting == "aws":
        return _Aws(environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/"))
    if setting == "gce":
        host = environ.get("GCE_METADATA_HOST", "metadata.google.internal")
        return lambda: _ask_gce(f"http://{host}/computeMetadata/v1/instance/preempted")
    if setting.startswith("/"):
        return lambda: _check_file(Path(setting))
    raise NoticeUnknown(f"{VARIABLE} is {setting!r}: it must be aws, gce or the absolute path of a file")


class _Aws:
    """The metadata service of EC2, version 2, which requires a token."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._token = ""

    def __call__(self) -> tuple[str, float] | None:
        if not self._token:
            lasting = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_S)}
            self._token = _get(f"{self._endpoint}/latest/api/token", lasting, "PUT")
        try:
            url = f"{self._endpoint}/latest/meta-data/spot/instance-action"
            answer = _get(url, {"X-aws-ec2-metadata-token": self._token})
        except urllib.error.HTTPError as error:
            if error.code == 401:
                self._token = ""
            return None  # 404: no notice, which is how it is all the time
        return f"AWS says {' '.join(answer.split())[:LONGEST_MESSAGE]}", LEFT_S["aws"]


def _ask_gce(url: str) -> tuple[str, float] | None:
    if _get(url, {"Metadata-Flavor": "Google"}).strip() != "TRUE":
        return None
    return "Google is to preempt it", LEFT_S["gce"]


def _check_file(path: Path) -> tuple[str, float] | None:
    """If the file exists, that is a notice; it may contain the number of seconds that are left."""
    if not path.exists():
        return None
    try:
        left_s = float(path.read_text())
    except (ValueError, OSError):
        left_s = FILE_LEFT_S
    if not 0 <= left_s < math.inf:
        left_s = FILE_LEFT_S
    return f"{path} is there", left_s


def _get(url: str, headers: dict[str, str], method: str = "GET") -> str:
    request = urllib.request.Request(url, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy reaches this machine's own service
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        body: bytes = answer.read(65536)
    return body.decode(errors="replace")
