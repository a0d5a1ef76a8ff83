"""Hooks: a command and a real server are given the JSON; failures are reported without secrets."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.config.nightly import NightlyConfig, mask_arguments
from runner.nights import hook
from runner.nights.hook import HookResult, call_hook
from tests.sample_runs.sample_run import make_spec
from trainables.errors import SweepFileError

BODY = json.dumps({"night": {"verdict": "worse"}}).encode()
SECRET = "T0secretB0"


class Listening:
    """A web server on this machine that answers with the codes it was given, one a request, and keeps what it was sent."""

    def __init__(self, codes: list[int]) -> None:
        self.heard: list[tuple[str, str | None, bytes]] = []
        self.people: list[str | None] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.people.append(self.headers["Authorization"])
                outer.heard.append((self.path, self.headers["Content-Type"], body))
                self.send_response(codes[min(len(outer.heard), len(codes)) - 1])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/{SECRET}?key={SECRET}"


@contextmanager
def listening(*codes: int) -> Iterator[Listening]:
    found = Listening(list(codes) or [200])
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.server.shutdown()
        found.server.server_close()
        thread.join()


def script(folder: Path, text: str, name: str = "notify.sh") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_webhook_is_given_the_json(tmp_path):
    with listening() as server:
        assert call_hook(server.url, BODY, tmp_path) == HookResult("webhook")
    assert server.heard == [(f"/{SECRET}?key={SECRET}", "application/json", BODY)]


def test_a_name_and_a_password_in_the_url_are_sent_as_such(tmp_path):
    with listening() as server:
        assert call_hook(server.url.replace("//", "//me:w%40rd@"), BODY, tmp_path).failure == ""
    assert server.people == ["Basic bWU6d0ByZA=="]  # me:w@rd


def test_a_webhook_is_tried_twice(tmp_path):
    with listening(503, 204) as server:
        assert call_hook(server.url, BODY, tmp_path).failure == ""
    with listening(503, 404, 200) as refusing:
        assert call_hook(refusing.url, BODY, tmp_path).failure == "the server answered 404 (2 tries)"
    assert (len(server.heard), len(refusing.heard)) == (2, 2)


def test_a_webhook_that_says_nothing_or_drips_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(hook, "REQUEST_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        begin_s = time.monotonic()
        found = call_hook(f"http://127.0.0.1:{port}/{SECRET}", BODY, tmp_path)
        assert found.failure == "no answer within 0 s (2 tries)"

        def drip() -> None:  # each byte comes well within the time-out of a socket, the answer never does
            while True:
                try:
                    connection, _ = silent.accept()
                    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000:
                        connection.send(bytes([byte]))
                        time.sleep(0.05)
                except OSError:
                    return

        threading.Thread(target=drip, daemon=True).start()
        assert "no answer" in call_hook(f"http://127.0.0.1:{port}/{SECRET}", BODY, tmp_path).failure
        assert time.monotonic() - begin_s < 60


def test_an_unreachable_server_is_reported_without_its_url(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = call_hook(f"http://user:{SECRET}@127.0.0.1:{port}/{SECRET}", BODY, tmp_path)
    assert found.failure.startswith("the server cannot be reached: Connection refused")
    assert SECRET not in call_hook(f"http://127.0.0.1:{SECRET}/x", BODY, tmp_path).failure


def test_a_command_is_given_the_json_and_its_words_without_a_shell(tmp_path):
    script(tmp_path, f'cat > {tmp_path}/heard\nprintf "%s" "$1" > {tmp_path}/word\necho this goes to standard error')
    assert call_hook("notify.sh '$HOME; rm -rf x'", BODY, tmp_path) == HookResult("command")
    assert (tmp_path / "heard").read_bytes() == BODY
    assert (tmp_path / "word").read_text() == "$HOME; rm -rf x"


def test_a_command_that_reads_nothing_works(tmp_path):
    script(tmp_path, "exit 0")
    assert call_hook("notify.sh", b"x" * 1_000_000, tmp_path).failure == ""


@pytest.mark.parametrize(
    ("text", "hook_text", "failure"),
    [
        ("exit 7", "notify.sh --token " + SECRET, "notify.sh ended with code 7"),
        ("", "nobody.sh " + SECRET, "no program nobody.sh on the PATH or beside the sweep file that may be executed"),
    ],
)
def test_a_command_that_fails_is_reported_without_its_arguments(tmp_path, text, hook_text, failure):
    script(tmp_path, text)
    assert call_hook(hook_text, BODY, tmp_path) == HookResult("command", failure)


def test_a_command_that_takes_too_long_is_killed_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(hook, "COMMAND_S", 1.0)
    script(tmp_path, f"sleep 600 &\necho $! > {tmp_path}/pid\nwait")
    assert call_hook("notify.sh", BODY, tmp_path).failure == "notify.sh took longer than 1 s and was killed"
    pid = (tmp_path / "pid").read_text().strip()
    end_s = time.monotonic() + 30
    while Path(f"/proc/{pid}/status").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < end_s, "the command's own child is still there"
        time.sleep(0.05)


def test_the_environment_may_have_the_url_or_the_command(tmp_path, monkeypatch):
    with listening() as server:
        monkeypatch.setenv("NIGHT_HOOK", server.url)
        assert call_hook("env:NIGHT_HOOK", BODY, tmp_path) == HookResult("webhook")
    assert len(server.heard) == 1
    monkeypatch.delenv("NIGHT_HOOK")
    assert call_hook("env:NIGHT_HOOK", BODY, tmp_path) == HookResult(
        "missing", "nightly.hook is env:NIGHT_HOOK, but NIGHT_HOOK is not set where this runs"
    )


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "nightly.hook is empty"),
        ("notify.sh 'oops", "nightly.hook is a command with a quotation mark that is not closed"),
        (f"ftp://example.com/{SECRET}", "nightly.hook is a URL of another kind than http:// and https://"),
        (f"https:///{SECRET}", "nightly.hook is a URL of another kind"),
        ("env:", "nightly.hook begins with env:, but what follows names no variable"),
        ([SECRET], "nightly.hook is no text"),
    ],
)
def test_an_invalid_hook_is_refused_without_quoting_it(raw, why):
    with pytest.raises(SweepFileError) as refused:
        make_spec("runs", nightly={"hook": raw})
    assert why in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (
            f"https://user:{SECRET}@hooks.example.com:8443/services/{SECRET}?key={SECRET}",
            "https://hooks.example.com:8443/***",
        ),
        (f"https://hooks.example.com?key={SECRET}", "https://hooks.example.com/***"),
        (f"notify.sh --token {SECRET}", "notify.sh ***"),
        ("notify.sh", "notify.sh"),
        ("env:NIGHT_HOOK", "env:NIGHT_HOOK"),
        (None, None),
    ],
)
def test_a_spec_is_written_with_its_hook_masked_and_reads_back(raw, written):
    spec = make_spec("runs", nightly={"hook": raw})
    assert spec.nightly.hook == raw
    assert spec.model_dump(mode="json")["nightly"]["hook"] == written
    assert NightlyConfig.model_validate(spec.nightly.model_dump(mode="json")).hook == written
    assert SECRET not in repr(spec)
    assert SECRET not in " ".join(mask_arguments([f"nightly.hook={raw}", f"nightly={{hook: '{raw}'}}"]))


def test_other_words_stay_as_they_are():
    assert mask_arguments(["search.trials=4", "nightly.reseed=true"]) == ["search.trials=4", "nightly.reseed=true"]
