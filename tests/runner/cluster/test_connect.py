import contextlib

import pytest

from runner.cluster import connect as cluster
from runner.cluster import join
from runner.cluster.connect import check_cluster, connected
from runner.config.run import ResourcesConfig
from trainables.errors import ClusterError


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """What was joined or started, in order; the only cluster that anybody knows does not answer."""
    calls = []

    @contextlib.contextmanager
    def start(*_):
        calls.append("own")
        yield

    def check_joinable(target, _env):
        calls.append(target.address)
        raise ClusterError("nobody is there")

    monkeypatch.setattr(join, "find_started", dict)
    monkeypatch.setattr(cluster, "private_ray", start)
    monkeypatch.setattr(cluster, "check_joinable", check_joinable)
    monkeypatch.setattr(cluster, "find_slot", lambda *_, **__: None)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return calls


@pytest.mark.parametrize("address", ["any", "auto", "10.0.0.1:6379"])
def test_a_cluster_that_is_there_and_cannot_be_joined_is_never_passed_over(calls, tmp_path, address):
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("10.0.0.1:6379")
    with pytest.raises(ClusterError, match="nobody is there"), connected(ResourcesConfig(), 0, address):
        pass
    assert calls == ["10.0.0.1:6379"]


@pytest.mark.parametrize("address", [None, "own", "local", "any"])
def test_a_ray_of_our_own_is_no_cluster_that_grows(calls, address):
    with connected(ResourcesConfig(), 0, address) as found:
        assert not found.elastic
    assert calls == ["own"]


@pytest.mark.parametrize("address", [None, "own", "any"])
@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RAY_AUTH_TOKEN": " "}, "a Ray of our own cannot start: RAY_AUTH_TOKEN is set to blanks"),
        (
            {"RAY_AUTH_TOKEN": "caf\u00e9", "RAY_AUTH_MODE": "TOKEN"},
            "cannot start: the token in RAY_AUTH_TOKEN has letters",
        ),
        (
            {"RAY_AUTH_TOKEN_PATH": "~/token"},
            "cannot start: RAY_AUTH_TOKEN_PATH is '~/token', and Ray reads no ~ there",
        ),
        ({"RAY_AUTH_TOKEN": " ", "RAY_AUTH_MODE": "disabled"}, ""),
        ({"RAY_AUTH_TOKEN": "5f5f"}, ""),
        ({}, ""),
    ],
)
def test_a_ray_of_our_own_that_its_token_would_end_is_not_begun(calls, monkeypatch, address, variables, message):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if not message:
        check_cluster(address)
        return
    with pytest.raises(ClusterError, match=message):
        check_cluster(address)
