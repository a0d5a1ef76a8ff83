"""The proxy misbehaves as it is configured, for as long as it is configured, and the same every time."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

import pytest

from tests.services.proxy import Fault, FaultProxy, fault_proxy
from tests.services.servers import S3Server


def status(proxy: FaultProxy, signed: str = "") -> int:
    """What the proxy answers."""
    request = urllib.request.Request(proxy.endpoint_url + "/bucket?list-type=2", headers={"Authorization": signed})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def behind(moto_s3: S3Server) -> str:
    return moto_s3.endpoint_url


def test_a_fault_ends_at_its_time(behind: str) -> None:
    with fault_proxy(behind) as proxy:
        proxy.inject(Fault("^GET ", "status", status=503), 1.0)
        assert status(proxy) == 503
        while time.monotonic() < proxy.faults[0].ends_s:
            time.sleep(0.05)
        assert status(proxy) != 503
        assert [done for _, done in proxy.seen] == ["status", "forward"]


def test_chances_are_the_same_every_time(behind: str) -> None:
    drawn = []
    for _ in range(2):
        with fault_proxy(behind, Fault("", "status", status=503, chance=0.5)) as proxy:
            drawn.append([proxy.choose("GET /") is not None for _ in range(40)])
    assert drawn[0] == drawn[1]
    assert 10 < sum(drawn[0]) < 30


def test_a_key_that_another_begins_with_is_not_that_one(behind: str) -> None:
    with fault_proxy(behind, Fault("", "status", status=403, access_key="old")) as proxy:
        assert status(proxy, "AWS4-HMAC-SHA256 Credential=old/20260101/us-east-1/s3/aws4_request") == 403
        assert status(proxy, "AWS4-HMAC-SHA256 Credential=older/20260101/us-east-1/s3/aws4_request") != 403


@pytest.mark.parametrize(("action", "least_s"), [("stall", 0.5), ("slow", 0.3)])
def test_slow_answers_come_late_but_come(behind: str, action: str, least_s: float) -> None:
    with fault_proxy(behind) as proxy:
        began_s = time.monotonic()
        proxy.inject(Fault("", action, delay_s=0.3), 0.5)  # type: ignore[arg-type]
        status(proxy)
        assert time.monotonic() - began_s >= least_s
