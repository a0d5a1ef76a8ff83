"""Machines of a real cluster are to be taken away: trials leave them in time, lose nothing, and go on elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.test_process_faults import END_S, WORDS, Run, driven
from tests.sample_runs.sweeps import events
from tests.services.metadata_service import serving_metadata
from tests.services.nodes import running_nodes

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def wait_for(condition: Callable[[], bool], run: Run, what: str) -> None:
    assert run.driver
    end_s = time.monotonic() + 120
    while not condition():
        assert run.driver.process.poll() is None, f"the driver ended early: {run.driver.process.communicate()}"
        assert time.monotonic() < end_s, f"{what} took too long"
        time.sleep(0.05)


def trained(store: Path) -> list[tuple[str, int]]:
    """Each epoch that was trained, as often as it was."""
    reported = [event for event in events(store) if event["kind"] in ("epoch-reported", "epoch-repeated")]
    return [(event["trial_id"], event["result"]["epoch"]) for event in reported if event.get("trained", True)]


def test_trials_leave_machines_that_are_to_be_taken_away_and_no_stored_epoch_is_trained_again(tmp_path):
    leave = tmp_path / "leave"
    with serving_metadata() as service, running_nodes(workers=1) as nodes:
        nodes.start(2, {"CAUCUS_SPOT_NOTICE": "aws", "AWS_EC2_METADATA_SERVICE_ENDPOINT": service.endpoint})
        nodes.wait()
        nodes.start(3, {"CAUCUS_SPOT_NOTICE": str(leave)})
        nodes.wait()
        words = [word for word in WORDS if not word.startswith("resources.slots")] + ["resources.slots=3"]
        with driven(Run(nodes, tmp_path / "runs", words)) as run:
            run.reach(3)
            wait_for(lambda: all(nodes.workers_of(index) for index in (1, 2, 3)), run, "a trial on each node")
            service.notice = '{"action": "terminate", "time": "2026-11-30T01:02:00Z"}'
            leave.write_text("100")
            before = trained(run.store)
            wait_for(lambda: not nodes.workers_of(2) and not nodes.workers_of(3), run, "leaving")
            # Drained, Ray's nodes end by themselves once nobody works there, and nothing is placed there any more.
            wait_for(lambda: not nodes.raylets_of(2) and not nodes.raylets_of(3), run, "draining")
            assert run.driver
            _, output = run.driver.process.communicate(timeout=END_S)
            assert run.driver.process.returncode == 0, output
            assert nodes.workers_of(2) == nodes.workers_of(3) == []
    lines = [line for line in output.splitlines() if "leaves a machine that is to be taken away" in line]
    assert len(lines) == 2, output
    assert any("AWS says" in line for line in lines)
    assert any(f"{leave} is there" in line for line in lines)
    after = trained(run.store)
    assert len(before) >= 3
    assert len(after) == len(set(after)) == 32
    ends = {event["trial_id"]: event["state"] for event in events(run.store) if event["kind"] == "trial-ended"}
    assert set(ends.values()) == {"finished"}
    assert len(ends) == 4
