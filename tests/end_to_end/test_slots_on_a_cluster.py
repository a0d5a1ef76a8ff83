"""What trials ask of a real cluster, whose GPUs are invented: placement, CUDA_VISIBLE_DEVICES, nodes that come and go, and waiting."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sample_runs.sweeps import CAUCUS, events
from tests.services.nodes import Nodes, running_nodes

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

END_S = 600.0

PLACED = """
import json, os, time
from pathlib import Path
from torch import nn

class Held(nn.Sequential):
    def forward(self, x):
        while self.training and self.hold and self.hold.exists():
            time.sleep(0.05)
        return super().forward(x)

def build(shape, folder="", peers=1, width=8):
    import ray
    here = Path(folder) / f"{ray.util.get_node_ip_address()}-{os.getpid()}"
    is_worker = ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE
    if is_worker and not here.exists():
        context = ray.get_runtime_context()
        record = {"ip": ray.util.get_node_ip_address(), "cuda": os.environ.get("CUDA_VISIBLE_DEVICES"),
                "threads": os.environ["OMP_NUM_THREADS"], "bundle": context.get_assigned_resources()}
        Path(f"{here}.new").write_text(json.dumps(record))
        Path(f"{here}.new").rename(here)
        end_s = time.monotonic() + 300
        while len([one for one in Path(folder).iterdir() if one.suffix != ".new"]) < peers and time.monotonic() < end_s:
            time.sleep(0.05)
    inputs = shape.height * shape.width * shape.channels
    net = Held(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, shape.classes))
    net.hold = Path(folder).parent / "hold" if is_worker else None
    return net
"""
"""A model that says which GPU its worker has, then waits until as many workers as there shall be at a time have said so; it trains
once a file is away."""

SWEEP: dict[str, Any] = {
    "name": "digits",
    "data": {"name": "digits", "validation": 0.25, "test": 0.25},
    "model": {"name": "placed:build"},
    "optimizer": {"name": "sgd", "lr": 0.05, "batch_size": 32},
    "scheduler": {"method": "none", "max_epochs": 2, "grace_epochs": 1},
    "ensemble": {"size": 2},
}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with running_nodes(workers=0) as nodes:
        yield nodes


def write_sweep(folder: Path, trials: int, peers: int) -> Path:
    """A sweep in a folder of its own, with the model beside it."""
    records = folder / "records"
    records.mkdir(parents=True)
    (folder / "placed.py").write_text(PLACED)
    widths = list(range(4, 4 + trials))
    search = {"method": "grid", "space": {"model.width": {"choice": widths}}}
    model = {**SWEEP["model"], "folder": str(records), "peers": peers}
    (folder / "placed.yaml").write_text(yaml.safe_dump({**SWEEP, "search": search, "model": model}))
    return folder / "placed.yaml"


def promise_nodes(folder: Path, resources: dict[str, int]) -> None:
    """A cluster file that says that one node will come."""
    types = {"max_workers": 1, "available_node_types": {"gpu": {"resources": resources}}}
    (folder / "cluster.yaml").write_text(yaml.safe_dump(types))


def start(nodes: Nodes, sweep: Path, *words: str, pretend: str = "1") -> subprocess.Popen[str]:
    """`caucus run` on the cluster, with the store beside the sweep."""
    env = {**os.environ, "RAY_AUTH_MODE": "disabled", "CAUCUS_PRETEND_GPUS": pretend}
    command = [
        *CAUCUS,
        "run",
        str(sweep),
        f"store={sweep.parent / 'runs'}",
        "--address",
        nodes.address,
        "--json",
        *words,
    ]
    with (sweep.parent / "err").open("a") as err:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True, env=env)


def finish(process: subprocess.Popen[str], sweep: Path, code: int) -> tuple[dict[str, Any], str]:
    """The JSON object of a run that has ended with `code`, and what it said."""
    output, _ = process.communicate(timeout=END_S)
    text = (sweep.parent / "err").read_text()
    assert process.returncode == code, text
    payload: dict[str, Any] = json.loads(output)
    return payload, text


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end_s = time.monotonic() + END_S
    while not condition():
        assert process.poll() is None, "the driver ended early"
        assert time.monotonic() < end_s, "it did not get there in time"
        time.sleep(0.05)


def placed(sweep: Path) -> list[dict[str, Any]]:
    """What each worker has said."""
    return [json.loads(path.read_text()) for path in (sweep.parent / "records").iterdir() if path.suffix != ".new"]


def run_states(sweep: Path) -> dict[str, str]:
    """How each trial has ended, last."""
    return {one["trial_id"]: one["state"] for one in events(sweep.parent / "runs") if one["kind"] == "trial-ended"}  # fmt: skip


def test_an_empty_cluster_of_which_nothing_is_known_is_refused_and_nothing_is_trained(nodes, tmp_path):
    sweep = write_sweep(tmp_path, trials=2, peers=1)
    result, _ = finish(start(nodes, sweep), sweep, code=2)
    assert "resources.gpus=1 if they will, resources.gpus=0 if not" in result["error"]
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("env", "visible"),
    [
        ({}, ["0", "1", "2", "3"]),
        pytest.param(
            {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "1,3,5,7"},
            ["1", "3", "5", "7"],
            marks=pytest.mark.extended,
        ),
    ],
)
def test_trials_on_a_cluster_that_starts_empty_have_a_gpu_each(nodes, tmp_path, env, visible):
    nodes.remove(1)
    sweep = write_sweep(tmp_path / "sweeps", trials=4, peers=4)
    promise_nodes(tmp_path, {"CPU": 8, "GPU": 4})
    driver = start(nodes, sweep)
    wait_for(lambda: bool(events(sweep.parent / "runs")), driver)
    nodes.start(1, env, cpus=8, gpus=4)
    result, text = finish(driver, sweep, code=0)
    assert "1 node x 4 GPUs, a trial has 1 GPU and 2 CPUs: 4 at a time" in text
    assert result["slots"] == 4
    assert sorted(one["cuda"] for one in placed(sweep)) == visible
    for one in placed(sweep):
        assert (one["bundle"]["CPU"], one["bundle"]["GPU"], one["threads"]) == (2, 1, "2")


def test_eight_trials_share_two_gpus_and_go_on_elsewhere_when_their_node_leaves(nodes, tmp_path):
    nodes.remove(1)
    nodes.start(2, cpus=8, gpus=2)
    nodes.wait(2)
    sweep = write_sweep(tmp_path, trials=8, peers=8)
    hold = tmp_path / "hold"
    hold.touch()
    driver = start(nodes, sweep, "resources.gpus=0.25")
    wait_for(lambda: len(placed(sweep)) == 8, driver)
    first = placed(sweep)
    assert Counter(one["cuda"] for one in first) == {"0": 4, "1": 4}
    assert {one["ip"] for one in first} == {nodes.ip(2)}
    nodes.start(3, cpus=4, gpus=1)
    nodes.wait(3)
    nodes.kill_node(2)
    hold.unlink()
    result, text = finish(driver, sweep, code=0)
    assert "1 node x 2 GPUs, a trial has 0.25 GPU and 1 CPU: 8 at a time" in text
    later = [one for one in placed(sweep) if one["ip"] == nodes.ip(3)]
    assert {one["cuda"] for one in later} == {"0"}
    assert result["trials"]["finished"] == 8
    nodes.remove(3)


@pytest.mark.extended
def test_a_gpu_that_torch_does_not_see_ends_the_run_with_what_to_install(nodes, tmp_path):
    sweep = write_sweep(tmp_path, trials=2, peers=1)
    promise_nodes(tmp_path, {"CPU": 16, "GPU": 1})
    driver = start(nodes, sweep, pretend="")
    wait_for(lambda: bool(events(sweep.parent / "runs")), driver)
    nodes.start(4, cpus=1, gpus=1)
    result, text = finish(driver, sweep, code=4)
    assert "1 node x 1 GPU, a trial has 1 GPU and 16 CPUs: 1 at a time" in text
    assert "smaller than was meant: 1 node x 1 GPU, a trial has 1 GPU and 1 CPU: 1 at a time" in text
    assert sum(line.startswith("Ray gives a trial 1 GPU on ") for line in text.splitlines()) == 1
    assert "CUDA_VISIBLE_DEVICES=0), but torch" in result["reason"]
    assert not [one for one in run_states(sweep).values() if one == "failed"]
    result, _ = finish(start(nodes, sweep), sweep, code=0)
    assert result["trials"]["finished"] == 2
    nodes.remove(4)


def test_a_gpu_that_nobody_can_give_is_waited_for_with_a_word_and_then_no_longer(nodes, tmp_path):
    nodes.start(5, cpus=1)
    nodes.wait(2)
    sweep = write_sweep(tmp_path, trials=2, peers=1)
    result, text = finish(start(nodes, sweep, "resources.gpus=1", "resources.patience=8s"), sweep, code=4)
    assert "no trial has run for " in text
    assert "a trial needs 1 GPU and 1 CPU; 1 node is there, the largest with 0 GPU and 1 CPU" in text
    assert result["reason"].startswith("no trial could run for 8.0 s (resources.patience)")
    result, text = finish(start(nodes, sweep, "resources.gpus=0"), sweep, code=0)
    assert (result["outcome"], result["trials"]["finished"]) == ("done", 2)
    nodes.remove(5)
