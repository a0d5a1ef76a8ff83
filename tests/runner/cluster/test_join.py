"""An address is looked at within seconds, before anything is written; whoever cannot join trains nowhere else."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.cluster import greeting, join
from runner.cluster.join import Target, check_joinable, find_cluster, in_one_line
from tests.sample_runs.sweeps import CAUCUS, DIGITS, ROOT
from tests.services.gcs import running_gcs
from tests.services.servers import free_ports
from trainables.errors import ClusterError

TOKEN = "5f" * 32

GREETING = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""An empty frame of HTTP/2's settings."""


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A real head that asks for `TOKEN`; no node belongs to it."""
    with running_gcs(tmp_path_factory.mktemp("gcs"), TOKEN) as port:
        yield Target("127.0.0.1", port, f"127.0.0.1:{port}")


@pytest.fixture(autouse=True)
def no_other(monkeypatch):
    """Whatever runs on this machine: tests/runner/cluster/test_started_here.py looks for that."""
    monkeypatch.setattr(join, "find_started", dict)


@contextlib.contextmanager
def listening(first: bytes) -> Iterator[Target]:
    """Something that says `first` to whoever connects, and then nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connections.append(server.accept()[0])
                    connections[-1].sendall(first)

        threading.Thread(target=accept, daemon=True).start()
        port = server.getsockname()[1]
        yield Target("127.0.0.1", port, f"127.0.0.1:{port}")


def environment(home: Path, **more: str) -> dict[str, str]:
    """As cron has it: a home, and no profile."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**inherited, "HOME": str(home), **more}


def put_token(home: Path, token: str, mode: int = 0o600) -> Path:
    path = home / ".ray" / "auth_token"
    path.parent.mkdir(parents=True)
    path.write_text(token)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "--address is empty"),
        ("   ", "--address is empty"),
        ("ray://head:10001", "an address of Ray Client"),
        ("http://127.0.0.1:8265", "that of a dashboard"),
        ("grpc://head:1", "no address of a cluster"),
        ("::1:6379", "an IPv6 address stands in brackets"),
        ("head", "an address is HOST:PORT"),
        ("head:", "an address is HOST:PORT"),
        (":6379", "an address is HOST:PORT"),
        ("[::1]", "an address is HOST:PORT"),
        ("head:0", "an address is HOST:PORT"),
        ("head:65536", "an address is HOST:PORT"),
        ("head\n:6379", "an address is HOST:PORT"),
        ("he ad:6379", "an address is HOST:PORT"),
    ],
)
def test_what_can_be_no_address_is_refused_in_one_sentence_and_nobody_is_asked(address, message):
    with pytest.raises(ClusterError) as caught:
        find_cluster(address, {})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "known", "started", "expected"),
    [
        (None, "10.0.0.2:6379", "10.0.0.1:6379", None),
        ("own", None, "10.0.0.1:6379", None),
        ("local", None, "10.0.0.1:6379", None),
        ("[::1]:6379", None, None, "[::1]:6379"),
        ("head:6379", None, "10.0.0.1:6379", "head:6379"),
        ("any", None, None, None),
        ("any", "", None, None),
        ("any", None, "10.0.0.1:6379", "10.0.0.1:6379"),
        ("any", "10.0.0.2:6379", "10.0.0.1:6379", "10.0.0.2:6379"),
        ("any", "auto", "10.0.0.1:6379", "10.0.0.1:6379"),
        ("any", "local", "10.0.0.1:6379", None),
        ("auto", "local", "10.0.0.1:6379", "10.0.0.1:6379"),
        ("auto", None, "10.0.0.1:6379\n", "10.0.0.1:6379"),
        (" auto\n", " auto\n", "10.0.0.1:6379", "10.0.0.1:6379"),
        ("own ", "own ", "10.0.0.1:6379", None),
    ],
)
def test_the_cluster_of_this_machine_is_the_one_that_ray_start_recorded_and_no_other_programs(
    tmp_path, address, known, started, expected
):
    if started is not None:
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(started)
    env = {"RAY_TMPDIR": str(tmp_path)} | ({} if known is None else {"RAY_ADDRESS": known})
    found = find_cluster(address, env)
    assert (found.address if found else None) == expected


def test_where_the_address_of_the_cluster_cannot_be_read_that_is_said(tmp_path):
    (tmp_path / "ray" / "ray_current_cluster").mkdir(parents=True)
    with pytest.raises(ClusterError, match=r"which Ray cluster this machine belongs to cannot be read: .*directory"):
        find_cluster("any", {"RAY_TMPDIR": str(tmp_path)})


def test_where_no_cluster_was_started_auto_says_so(tmp_path):
    with pytest.raises(ClusterError, match="no Ray cluster was started on this machine"):
        find_cluster("auto", {"RAY_TMPDIR": str(tmp_path)})


@pytest.mark.parametrize(
    ("first", "message"),
    [(b"", "says nothing"), (b"SSH-2.0-OpenSSH_9.2\r\n", "is not Ray"), (GREETING, "does not answer within")],
)
def test_what_listens_and_is_not_a_head_is_recognised(tmp_path, monkeypatch, first, message):
    monkeypatch.setattr(greeting, "GREETING_S", 0.3)
    monkeypatch.setattr(join, "PING_S", 0.3)
    with listening(first) as target, pytest.raises(ClusterError, match=message):
        check_joinable(target, environment(tmp_path))


def test_who_does_not_answer_is_named_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(greeting, "GREETING_S", 0.3)
    (port,) = free_ports(1)
    with pytest.raises(ClusterError, match=f"127.0.0.1:{port} cannot be joined: connection refused"):
        check_joinable(Target("127.0.0.1", port, f"127.0.0.1:{port}"), environment(tmp_path))
    with pytest.raises(ClusterError, match=r"'no-such-host\.invalid' is no host that is known here"):
        check_joinable(Target("no-such-host.invalid", 6379, "no-such-host.invalid:6379"), environment(tmp_path))
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        target = Target("127.0.0.1", server.server_port, "the web")
        with pytest.raises(ClusterError, match="what listens there says nothing"):
            check_joinable(target, environment(tmp_path))


def test_a_name_server_that_is_silent_holds_nobody_up(tmp_path, monkeypatch):
    monkeypatch.setattr(greeting, "RESOLVE_S", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1.0) or [])
    with pytest.raises(ClusterError, match="no name server answered"):
        check_joinable(Target("head", 6379, "head:6379"), environment(tmp_path))


def test_without_its_token_a_head_is_not_joined_and_the_remedy_is_said(head, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(
        ClusterError, match=r"asks for a token.*RAY_AUTH_MODE is not set \(cron.*copy ~/.ray/auth_token"
    ):
        check_joinable(head, environment(tmp_path), needs_node=False)


@pytest.mark.parametrize(
    ("mode", "rights", "message"),
    [
        (None, 0o600, "the one in ~/.ray/auth_token is not sent because RAY_AUTH_MODE is not set"),
        ("disabled", 0o600, "is not sent because RAY_AUTH_MODE is 'disabled': set RAY_AUTH_MODE=token"),
        (None, 0o644, "set RAY_AUTH_MODE=token; the token in ~/.ray/auth_token has mode 644"),
    ],
)
def test_a_token_that_lies_here_is_not_sent_to_any_server_and_the_message_says_what_to_set(
    tmp_path, monkeypatch, mode, rights, message
):
    monkeypatch.setenv("HOME", str(tmp_path))
    put_token(tmp_path, TOKEN, rights)
    env = environment(tmp_path) | ({"RAY_AUTH_MODE": mode} if mode else {})
    monkeypatch.setattr(join, "_ping", lambda *_: {"fault": "AuthenticationError"})
    with listening(GREETING) as target, pytest.raises(ClusterError) as caught:
        check_joinable(target, env)
    assert message in str(caught.value)


def test_another_ray_or_another_python_on_the_head_is_one_sentence(tmp_path, monkeypatch):
    answer = {"fault": "version", "ray_version": "2.9.1", "python_version": "3.10.2"}
    monkeypatch.setattr(join, "_ping", lambda *_: answer)
    with (
        listening(GREETING) as target,
        pytest.raises(ClusterError, match=r"runs Ray 2\.9\.1 on Python 3\.10\.2, and this"),
    ):
        check_joinable(target, environment(tmp_path))


def test_a_wrong_token_is_named_with_the_place_of_the_right_one(head, tmp_path):
    env = environment(tmp_path, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="wrong")
    with pytest.raises(
        ClusterError, match=r"refuses the token in RAY_AUTH_TOKEN, .*: copy ~/.ray/auth_token of its head"
    ):
        check_joinable(head, env, needs_node=False)


def test_the_head_of_this_machine_is_given_the_token_that_lies_here_though_cron_has_no_profile(
    head, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    put_token(tmp_path, TOKEN)
    here = Target(head.host, head.port, head.named, is_here=True)
    assert check_joinable(here, environment(tmp_path), needs_node=False)


def test_on_a_machine_outside_of_the_cluster_the_message_says_where_a_driver_runs(head, tmp_path):
    env = environment(tmp_path, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN)
    with pytest.raises(ClusterError, match=r"does not have this machine: .*ray start --address="):
        check_joinable(head, env)


def test_what_ray_says_over_many_lines_is_one():
    assert in_one_line(RuntimeError("Version mismatch:\n    Ray: 2.1\n    Python: 3.9\n")) == (
        "Version mismatch: Ray: 2.1 Python: 3.9"
    )
    assert in_one_line(ValueError()) == "ValueError"


def test_a_run_that_cannot_join_ends_with_2_before_anything_is_written(tmp_path):
    (port,) = free_ports(1)
    arguments = [*CAUCUS, "run", DIGITS, f"store={tmp_path / 'runs'}"]
    start_s = time.monotonic()
    env = environment(tmp_path, RAY_ADDRESS=f"127.0.0.1:{port}")
    done = subprocess.run(arguments, capture_output=True, text=True, env=env, check=False)
    print(f"\nafter {time.monotonic() - start_s:.1f} s: {done.stderr}")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "(RAY_ADDRESS)" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.long
def test_a_night_from_an_empty_home_on_a_head_that_asks_for_a_token_trains_nothing_elsewhere(head, tmp_path):
    home, temp = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    (temp / "ray").mkdir(parents=True)
    (temp / "ray" / "ray_current_cluster").write_text(head.address)
    shutil.copy(ROOT / "runner" / "nightly.py", home)
    arguments = [sys.executable, "nightly.py", DIGITS, f"store={tmp_path / 'runs'}"]
    env = environment(home, RAY_TMPDIR=str(temp), PYTHONPATH=str(ROOT))
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=home, env=env, check=False)
    assert done.returncode == 2, done.stderr
    assert "asks for a token, and none is sent because RAY_AUTH_MODE is not set" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()
