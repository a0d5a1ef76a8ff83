from pathlib import Path

import pytest

from runner.cluster.auth_token import find_file_fault, find_token_fault, provide_private_token
from runner.cluster.connect import connected
from runner.config.run import ResourcesConfig
from trainables.errors import ClusterError


@pytest.fixture
def token(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".ray" / "auth_token"
    path.parent.mkdir()
    path.write_text("a token\n")
    path.chmod(0o600)
    return path


def test_nothing_is_wrong_where_no_token_is_asked_for_or_it_is_private(token):
    assert find_token_fault({}) is None
    assert find_token_fault({"RAY_AUTH_MODE": "token"}) is None
    assert find_token_fault({"RAY_AUTH_MODE": "TOKEN"}) is None
    token.unlink()
    assert find_token_fault({"RAY_AUTH_MODE": "TOKEN"}) is not None  # Ray reads it so
    assert find_token_fault({}) is None
    assert find_token_fault({"RAY_AUTH_MODE": "disabled"}) is None
    assert find_token_fault({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "another"}) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666, 0o700])
def test_a_token_that_others_can_read_is_a_fault_with_its_mode(token, mode):
    token.chmod(mode)
    fault = find_token_fault({"RAY_AUTH_MODE": "token"})
    assert fault is not None
    assert f"has mode {mode:o}" in fault
    assert "chmod 600" in fault


def test_a_token_that_is_missing_empty_or_elsewhere_is_named(token, tmp_path):
    token.write_text("\n5f5f")
    assert "is empty" in str(find_token_fault({"RAY_AUTH_MODE": "token"}))  # Ray takes the first line
    token.write_text("")
    assert "is empty" in str(find_token_fault({"RAY_AUTH_MODE": "token"}))
    token.unlink()
    assert "there is no token in ~/.ray/auth_token: run `ray get-auth-token" in str(
        find_token_fault({"RAY_AUTH_MODE": "token"})
    )
    elsewhere = str(tmp_path / "elsewhere")
    assert elsewhere in str(find_token_fault({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": elsewhere}))


@pytest.mark.parametrize("bad", ["5f5f\n5f5f", "caf\u00e9", "\ufeff5f5f", "5f\t5f", "5f\x005f"])
def test_a_token_that_cannot_be_sent_is_named_before_ray_ends_the_process(token, bad):
    assert "the token in RAY_AUTH_TOKEN has letters that no token has" in str(
        find_token_fault({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": bad})
    )
    token.write_text(bad.replace("\n", "\t"), encoding="utf-8")
    assert "auth_token has letters that no token has" in str(find_token_fault({"RAY_AUTH_MODE": "token"}))
    token.write_text("  5f 5f \r\nof the cluster in Caf\u00e9 street\n", encoding="utf-8")
    assert find_token_fault({"RAY_AUTH_MODE": "token"}) is None  # the first line is the token
    assert find_token_fault({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": " 5f5f\n"}) is None


def test_what_ray_would_not_look_beyond_is_named_and_how_it_reads_a_path(token):
    env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    assert find_token_fault(env | {"RAY_AUTH_TOKEN": ""}) is None
    assert "RAY_AUTH_TOKEN is set to blanks" in str(find_token_fault(env | {"RAY_AUTH_TOKEN": " "}))
    assert "Ray reads no ~ there" in str(find_token_fault(env | {"RAY_AUTH_TOKEN_PATH": "~/.ray/auth_token"}))


@pytest.mark.parametrize("address", ["any", "127.0.0.1:1"])
def test_no_cluster_is_joined_and_no_ray_started_without_the_token(token, monkeypatch, address):
    token.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    with (
        pytest.raises(ClusterError, match=r"127\.0\.0\.1:1.* cannot be joined: the token in .* has mode 644"),
        connected(ResourcesConfig(), 0, address),
    ):
        pass


@pytest.mark.parametrize("before", [None, 0o644, 0o600])
def test_the_token_that_ray_will_take_is_there_and_nobody_else_can_read_it(tmp_path, monkeypatch, before):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".ray" / "auth_token"
    if before:
        path.parent.mkdir()
        path.write_text("old")
        path.chmod(before)
    provide_private_token({})
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "old" if before else len(path.read_text()) == 64
    assert find_file_fault(path) is None


@pytest.mark.parametrize(
    "environment", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "x"}, {"RAY_AUTH_TOKEN_PATH": "/x"}]
)
def test_where_a_person_says_where_the_token_is_none_is_made(tmp_path, monkeypatch, environment):
    monkeypatch.setenv("HOME", str(tmp_path))
    provide_private_token(environment)
    assert list(tmp_path.iterdir()) == []
