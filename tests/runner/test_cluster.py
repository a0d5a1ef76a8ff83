import pytest

from runner.cluster import ClusterError, connected
from runner.spec import ResourcesConfig


@pytest.fixture
def asked(monkeypatch):
    """The addresses that Ray is asked to join, in order; none answers but one of our own."""
    import ray

    asked = []

    def init(address, **_):
        asked.append(address)
        if address != "local":
            raise ConnectionError("nobody is there")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return asked


@pytest.mark.parametrize(
    ("told", "started", "expected"),
    [
        (None, None, []),
        (None, "10.0.0.1:6379", ["10.0.0.1:6379"]),
        ("10.0.0.2:6379", "10.0.0.1:6379", ["10.0.0.2:6379"]),
        ("auto", "10.0.0.1:6379", ["10.0.0.1:6379"]),
        ("", None, []),
    ],
)
def test_the_cluster_of_this_machine_is_the_one_it_was_told_of_and_no_other_programs(
    asked, monkeypatch, told, started, expected
):
    if told is not None:
        monkeypatch.setenv("RAY_ADDRESS", told)
    monkeypatch.setattr("ray._private.services.find_bootstrap_address", lambda _: started)
    with connected(ResourcesConfig(), 0, "any") as cluster:
        assert not cluster.elastic
    assert asked == [*expected, "local"]
    asked.clear()
    with (
        pytest.raises(ClusterError, match="cannot be reached" if expected else "no Ray cluster was started on this"),
        connected(ResourcesConfig(), 0, "auto"),
    ):
        pass
    assert asked == expected


def test_without_an_address_nobody_is_asked(asked, monkeypatch):
    monkeypatch.setattr("ray._private.services.find_bootstrap_address", lambda _: "10.0.0.1:6379")
    with connected(ResourcesConfig(), 0, None) as cluster:
        assert cluster.slots == 2
    assert asked == ["local"]
