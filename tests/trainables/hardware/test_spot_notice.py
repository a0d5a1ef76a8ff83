"""Notices that a machine is to be taken away, from services that answer as those of the clouds do."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator

import pytest

from tests.services.metadata_service import MetadataService, serving_metadata
from trainables.hardware.spot_notice import FILE_LEFT_S, LEFT_S, NoticeUnknown, SpotNotice, choose_notice_source

NOTICE = '{"action": "terminate", "time": "2026-11-30T01:02:00Z"}'


@pytest.fixture(scope="module")
def running() -> Iterator[MetadataService]:
    with serving_metadata() as service:
        yield service


@pytest.fixture
def service(running: MetadataService) -> MetadataService:
    running.notice = ""
    running.tokens.clear()
    return running


def test_nothing_is_asked_where_nobody_said_so():
    assert choose_notice_source({}) is None
    assert choose_notice_source({"CAUCUS_SPOT_NOTICE": ""}) is None


@pytest.mark.parametrize("setting", ["AWS", "azure", "notice", "./notice", "aws,gce", " "])
def test_an_unknown_source_of_notices_is_an_error_of_one_sentence(setting):
    with pytest.raises(NoticeUnknown, match="it must be aws, gce or the absolute path of a file"):
        choose_notice_source({"CAUCUS_SPOT_NOTICE": setting})


def test_aws_is_asked_with_a_token_that_is_asked_for_again_when_it_ends(service):
    source = choose_notice_source(
        {"CAUCUS_SPOT_NOTICE": "aws", "AWS_EC2_METADATA_SERVICE_ENDPOINT": service.endpoint + "/"}
    )
    assert source
    assert (source(), source(), len(service.tokens)) == (None, None, 1)
    service.tokens.clear()  # six hours later
    service.notice = NOTICE
    assert source() is None
    found = source()
    assert found
    assert found == (f"AWS says {NOTICE}", LEFT_S["aws"])
    assert len(service.tokens) == 1


@pytest.mark.parametrize("answer", ["", "x" * 10_000, '{"action":\n "stop"', "[]"])
def test_a_notice_that_nobody_understands_is_one_all_the_same(answer, service):
    source = choose_notice_source({"CAUCUS_SPOT_NOTICE": "aws", "AWS_EC2_METADATA_SERVICE_ENDPOINT": service.endpoint})
    assert source
    service.notice = answer or " "
    found = source()
    assert found
    assert len(found[0].splitlines()) == 1
    assert len(found[0]) < 300


def test_google_is_asked_with_its_flavour(service):
    source = choose_notice_source({"CAUCUS_SPOT_NOTICE": "gce", "GCE_METADATA_HOST": f"127.0.0.1:{service.port}"})
    assert source
    assert source() is None
    service.notice = "yes"
    assert source() == ("Google is to preempt it", LEFT_S["gce"])


@pytest.mark.parametrize(
    ("text", "left_s"), [("100\n", 100), ("", FILE_LEFT_S), ("soon", FILE_LEFT_S), ("-1", FILE_LEFT_S), ("nan", 25)]
)
def test_a_file_that_is_there_is_a_notice(text, left_s, tmp_path):
    source = choose_notice_source({"CAUCUS_SPOT_NOTICE": str(tmp_path / "leave")})
    assert source
    assert source() is None
    (tmp_path / "leave").write_text(text)
    assert source() == (f"{tmp_path / 'leave'} is there", left_s)


def test_a_notice_is_delivered_once_though_the_service_was_away(service):
    answers: list[object] = [OSError("no route"), ConnectionResetError(), None, ("soon", 5.0), ("never asked", 5.0)]
    heard, done = [], threading.Event()

    def source():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    spot = SpotNotice(source, lambda notice: (heard.append(notice), done.set()), poll_s=0.01)  # type: ignore[func-returns-value]
    assert done.wait(30)
    assert [notice.message for notice in heard] == ["soon"]
    assert spot.notice is heard[0]
    assert math.isclose(heard[0].until_s, time.monotonic() + 5, abs_tol=5)
    assert len(answers) == 1


def test_a_service_that_is_not_there_is_no_notice(service):
    with serving_metadata() as gone:
        environment = {"CAUCUS_SPOT_NOTICE": "aws", "AWS_EC2_METADATA_SERVICE_ENDPOINT": gone.endpoint}
    source = choose_notice_source(environment)
    assert source
    with pytest.raises(OSError, match="refused"):  # which the listener takes for no answer
        source()
