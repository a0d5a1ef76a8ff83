"""A machine that is to be taken away says so beforehand; who trains on it hears of it here.

Listened to only where `CAUCUS_SPOT_NOTICE` says where: `aws` and `gce` are the metadata services of the two clouds, a path is a
file that something else creates (on Kubernetes the pod's preStop). On a laptop nothing is asked for.
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
"""As often as AWS recommends to look."""

TIMEOUT_S = 2.0
"""For one answer of a metadata service, which is on the same machine."""

LEFT_S = {"aws": 110.0, "gce": 25.0}
"""What is left when the notice is heard: two minutes on AWS and half a minute on Google's machines, less what polling takes. The
time that AWS tells is not compared with this machine's clock."""

FILE_LEFT_S = 25.0
"""The same where a file says nothing: Kubernetes gives a pod half a minute."""

MOST_TOLD = 200
"""So many letters of what was said are passed on."""

TOKEN_S = 21600
"""How long a token of AWS's metadata service lasts."""


class NoticeUnknown(CaucusError, ValueError):
    """`CAUCUS_SPOT_NOTICE` names nothing that can be listened to."""


@dataclass(frozen=True)
class Notice:
    """That this machine is to be taken away."""

    told: str
    """What was said, for a person."""
    until_s: float
    """Until when it is there, on this machine's monotonic clock."""


Look = Callable[[], tuple[str, float] | None]
"""Asks once; what was said, and how many seconds are left."""


class SpotNotice:
    """Listens in a thread of its own until a notice comes; `notice` is None before."""

    def __init__(
        self, look: Look, on_notice: Callable[[Notice], None] = lambda _: None, poll_s: float = POLL_S
    ) -> None:
        self.notice: Notice | None = None
        self._look = look
        self._on_notice = on_notice
        self._poll_s = poll_s
        self._thread = threading.Thread(target=self._listen, name="spot-notice", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                found = self._look()
            except (OSError, HTTPException):  # a service that does not answer now may answer in five seconds
                found = None
            if found:
                self.notice = Notice(found[0], time.monotonic() + found[1])
                self._on_notice(self.notice)
                return
            time.sleep(self._poll_s)


def choose_notice_source(environ: Mapping[str, str]) -> Look | None:
    """What to ask, by `environ`; None where nothing is to be asked. Raises `NoticeUnknown`.

    `AWS_EC2_METADATA_SERVICE_ENDPOINT` and `GCE_METADATA_HOST` name other addresses of the services, as for their own libraries.
    """
    told = environ.get(VARIABLE, "")
    if not told:
        return None
    if told == "aws":
        return _Aws(environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/"))
    if told == "gce":
        host = environ.get("GCE_METADATA_HOST", "metadata.google.internal")
        return lambda: _ask_gce(f"http://{host}/computeMetadata/v1/instance/preempted")
    if told.startswith("/"):
        return lambda: _look_at(Path(told))
    raise NoticeUnknown(f"{VARIABLE} is {told!r}: it must be aws, gce or the absolute path of a file")


class _Aws:
    """The metadata service of EC2, version 2, which wants a token."""

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
        return f"AWS says {' '.join(answer.split())[:MOST_TOLD]}", LEFT_S["aws"]


def _ask_gce(url: str) -> tuple[str, float] | None:
    if _get(url, {"Metadata-Flavor": "Google"}).strip() != "TRUE":
        return None
    return "Google is to preempt it", LEFT_S["gce"]


def _look_at(path: Path) -> tuple[str, float] | None:
    """A file that is there is a notice; it may hold how many seconds are left."""
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
        told: bytes = answer.read(65536)
    return told.decode(errors="replace")
