"""A real cluster that asks for a token: who joins it, who does not, what `caucus doctor --cluster` says of it, and how a run ends that loses its head."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.sample_runs.sweeps import DIGITS, caucus, reported_epochs, run_sweep, start_sweep
from tests.services.nodes import Nodes, running_nodes

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

TOKEN = "7a" * 32

JOINING = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}

WORDS = [DIGITS, "search.trials=2", "scheduler.method=none", "scheduler.grace_epochs=1", "model.width=8"]

END_S = 240.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with running_nodes(workers=1, env=JOINING) as nodes:
        yield nodes


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": TOKEN}, "is not sent because RAY_AUTH_MODE is 'disabled'"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "wrong"}, "refuses the token in RAY_AUTH_TOKEN"),
    ],
)
def test_without_the_token_a_run_ends_with_2_and_trains_nothing_anywhere(cluster, tmp_path, env, message):
    start_s = time.monotonic()
    result = run_sweep(*WORDS, f"store={tmp_path / 'runs'}", "--address", cluster.address, env=env, code=2)
    print(f"\nrefused after {time.monotonic() - start_s:.1f} s")
    assert result["kind"] == "ClusterError"
    assert message in result["error"]
    assert not (tmp_path / "runs").exists()


def test_doctor_asks_each_node_with_the_token_and_says_what_a_slot_will_be(cluster, tmp_path):
    words = ["doctor", DIGITS, f"store={tmp_path / 'runs'}", "--cluster", "--address", cluster.address]
    result = caucus(*words, env=JOINING)
    assert result["findings"] == []
    facts = [(fact["where"], fact["what"]) for fact in result["facts"]]
    nodes = {where: what for where, what in facts if where.startswith("node ")}
    assert [where.split()[1] for where in sorted(nodes)] == ["127.0.0.2", "127.0.0.3"]
    for what in nodes.values():
        assert "torch sees none" in what
        assert "reaches the store" in what
        assert "clock +0.0 s" in what
    assert dict(facts)["slot"].endswith("a trial has 1 CPU: 1 at a time")
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]


def test_a_run_that_loses_its_head_ends_with_4_and_a_sentence(cluster, tmp_path):
    """Last: it takes the cluster with it."""
    store = tmp_path / "runs"
    words = [*WORDS, "scheduler.max_epochs=400", f"store={store}", "--address", cluster.address]
    driver = start_sweep(*words, env=JOINING)
    try:
        driver.wait_for(lambda: reported_epochs(store) > 0)
        (head,) = [pid for pid, words in cluster.processes(0).items() if words.split(" ")[0].endswith("/gcs_server")]
        os.kill(head, signal.SIGKILL)
        hit_s = time.monotonic()
        out, err = driver.process.communicate(timeout=END_S)
        print(f"\nhead killed: the driver ended after {time.monotonic() - hit_s:.1f} s")
    finally:
        driver.kill()
    assert driver.process.returncode == 4, err
    payload = json.loads(out)
    assert f"caucus: {payload['error']}\n" in err
    assert "run it again to go on" in payload["error"]
    assert "Traceback" not in err
