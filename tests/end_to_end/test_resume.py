"""A killed sweep goes on, and comes to the same result bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.sample_runs.sweeps import (
    DIGITS,
    SMALL,
    bucket_bits,
    events,
    outcome,
    reported_epochs,
    run_sweep,
    start_sweep,
    trial_bits,
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The store and the result of the small sweep, run once from beginning to end."""
    store = tmp_path_factory.mktemp("undisturbed") / "runs"
    return store, run_sweep(*SMALL, f"store={store}")


def test_a_finished_sweep_is_not_trained_again(undisturbed):
    store, first = undisturbed
    assert (first["epochs_trained"], first["trials"]["finished"]) == (30, 5)
    before = events(store)
    second = run_sweep(*SMALL, f"store={store}")
    assert (second["epochs_trained"], second["busy_s"]) == (0, 0)
    assert outcome(second) == outcome(first)
    assert events(store) == before


@pytest.mark.long
def test_what_was_lost_or_damaged_is_made_again_and_more_trials_train_only_the_new_ones(undisturbed, tmp_path):
    store = shutil.copytree(undisturbed[0], tmp_path / "runs")
    flipped, deleted = sorted(store.glob("trials/*/epoch-0003/weights.safetensors"))[:2]
    flipped.write_bytes(flipped.read_bytes()[:-1] + bytes([flipped.read_bytes()[-1] ^ 1]))
    deleted.unlink()
    result = run_sweep(*SMALL, f"store={store}")
    assert (result["outcome"], result["epochs_trained"]) == ("done", 2)
    assert outcome(result) == outcome(undisturbed[1])
    assert trial_bits(store) == trial_bits(undisturbed[0])
    larger = run_sweep(*SMALL, f"store={store}", "search.trials=7")
    assert (larger["epochs_trained"], larger["trials"]["finished"]) == (12, 7)
    assert larger["run"] == undisturbed[1]["run"]


@pytest.mark.long
def test_a_new_run_uses_what_another_one_trained(undisturbed, tmp_path):
    store = shutil.copytree(undisturbed[0], tmp_path / "runs")
    longer = run_sweep(*SMALL, f"store={store}", "scheduler.max_epochs=8")
    assert longer["run"] != undisturbed[1]["run"]
    assert (longer["epochs_trained"], longer["trials"]["finished"]) == (10, 5)


def check_that_a_kill_changes_nothing(undisturbed, store: Path, at_epochs: list[int]) -> None:
    reference, first = undisturbed
    for at in at_epochs:
        sweep = start_sweep(*SMALL, f"store={store}")
        sweep.wait_for(lambda at=at: reported_epochs(store) >= at)
        before_kill = events(store)
        sweep.kill()
        assert events(store)[: len(before_kill)] == before_kill
    # Neither more nor less than what the store does not have: the kill may come before an epoch on record has its
    # checkpoint, and before a checkpoint is on record.
    committed = sum(1 for _ in store.glob("trials/*/epoch-*/manifest.json"))
    last = run_sweep(*SMALL, f"store={store}")
    assert last["epochs_trained"] == 30 - committed
    assert outcome(last) == outcome(first)
    assert trial_bits(store) == trial_bits(reference)
    reported = [
        (event["trial_id"], event["result"]["epoch"]) for event in events(store) if event["kind"] == "epoch-reported"
    ]
    assert len(reported) == len(set(reported)) == 30


def test_a_sweep_killed_in_the_middle_comes_to_the_same_bits(undisturbed, tmp_path):
    check_that_a_kill_changes_nothing(undisturbed, tmp_path / "runs", [10])


@pytest.mark.long
def test_a_sweep_into_a_bucket_that_is_killed_comes_to_the_same_bits(undisturbed, weed_s3):
    bucket, client = weed_s3.new_bucket(), weed_s3.client()
    words = [*SMALL, f"store=s3://{bucket}"]

    def reported() -> int:
        return sum(data.count(b"epoch-reported") for data in bucket_bits(client, bucket, "sweeps/").values())

    sweep = start_sweep(*words, env=weed_s3.env)
    sweep.wait_for(lambda: reported() >= 12)
    sweep.kill()
    listed = (page.get("Contents", ()) for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket))
    committed = sum(found["Key"].endswith("/manifest.json") for page in listed for found in page)
    last = run_sweep(*words, env=weed_s3.env)
    assert outcome(last) == outcome(undisturbed[1])
    assert last["epochs_trained"] == 30 - committed
    assert bucket_bits(client, bucket, "trials/") == trial_bits(undisturbed[0])


@pytest.mark.long
@pytest.mark.extended  # tests/faults/test_process_faults.py injects each of these on a cluster
def test_whatever_ends_it_again_and_again_a_sweep_comes_to_the_same_bits(undisturbed, tmp_path):
    """One run is killed at its first epoch, told to end, killed again, met by a second driver, and loses a worker."""
    store, words = tmp_path / "runs", [*SMALL, f"store={tmp_path / 'runs'}"]

    def start_until(epochs: int):
        sweep = start_sweep(*words)
        sweep.wait_for(lambda: reported_epochs(store) >= epochs)
        return sweep, events(store)

    for at in (1, 15):
        sweep, before = start_until(at)
        sweep.kill()
        assert events(store)[: len(before)] == before
        if at == 1:
            sweep, _ = start_until(8)
            sweep.process.send_signal(signal.SIGTERM)
            output, errors = sweep.process.communicate(timeout=300)
            assert sweep.process.returncode == 4, errors
            assert '"outcome": "partial"' in output
            assert '"reason": "interrupted' in output

    sweep, _ = start_until(18)
    # The driver imports no torch: who has it in memory is a worker that trains.
    workers = [pid for pid in sweep.processes() if "libtorch_cpu" in Path(f"/proc/{pid}/maps").read_text()]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    drivers = Path(f"/proc/{sweep.process.pid}/task/{sweep.process.pid}/children").read_text().split()
    second = run_sweep(*words, code=2)
    assert second["kind"] == "RunTaken"
    # A run works in a child of the process that was started (`runner/cluster/supervise.py`).
    assert any(f"is being driven by process {driver} on" in second["error"] for driver in drivers), drivers
    output, errors = sweep.process.communicate(timeout=300)
    assert sweep.process.returncode == 0, errors
    assert len(output.splitlines()) == 1
    assert outcome(json.loads(output)) == outcome(undisturbed[1])
    assert trial_bits(store) == trial_bits(undisturbed[0])
    reported = [
        (event["trial_id"], event["result"]["epoch"]) for event in events(store) if event["kind"] == "epoch-reported"
    ]
    assert len(reported) == len(set(reported)) == 30


@pytest.mark.long
@pytest.mark.extended  # tests/faults/test_store_gives_out.py has a file system that turns read-only
def test_a_disk_that_fills_up_ends_the_run_in_part_and_the_next_one_goes_on(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=26m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        words = [
            DIGITS,
            "search.trials=3",
            "scheduler.method=none",
            "scheduler.max_epochs=16",
            "model.width=32",
            "model.blocks=3",
        ]
        full = run_sweep(*words, f"store={disk}/runs", code=4)
        assert "no space left" in full.get("error", full.get("reason"))
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        result = run_sweep(*words, f"store={disk}/runs")
        assert (result["outcome"], result["trials"]["finished"]) == ("done", 3)
        assert 0 < result["epochs_trained"] < 48
        assert sum(1 for _ in disk.glob("runs/trials/*/epoch-*/manifest.json")) == 48
    finally:
        subprocess.run(["umount", str(disk)], check=True)
