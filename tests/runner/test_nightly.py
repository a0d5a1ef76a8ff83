"""runner/nightly.py alone in a home folder, on a real cluster of three nodes, with stale code on its workers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from runner.cli.nightly import find_sweep
from tests.sample_runs.sweeps import ROOT, SMALL
from tests.services.nodes import own_processes

CLUSTER = """
import os, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
for _ in range(2):
    cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture
def cluster(tmp_path):
    """The address of a head without slots and two workers, on which an old version of the packages comes first."""
    stale = tmp_path / "stale"
    for package in ("trainables", "ensembles", "runner"):
        (stale / package).mkdir(parents=True)
        (stale / package / "__init__.py").write_text("raise ImportError('this is the stale code')\n")
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        # A home of its own, and of the script below: a token that lies in this machine's would be one that the script lacks.
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(stale), "RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert process.stdout
    assert process.stdin
    yield process.stdout.readline().strip()
    process.stdin.close()
    process.wait(timeout=60)


@pytest.mark.long
def test_the_one_file_runs_a_sweep_on_the_cluster_with_the_drivers_code(cluster, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    script = shutil.copy(ROOT / "runner" / "nightly.py", home)
    words = [*SMALL, f"store={tmp_path / 'runs'}", "optimizer.lr=1e-2..1e-1:log"]
    # What `ray submit` does: the words are joined with spaces and go through a shell, unquoted.
    command = " ".join([sys.executable, str(script), *words, "--json"])
    env = {**os.environ, "HOME": str(home), "RAY_ADDRESS": cluster}
    done = subprocess.run(command, shell=True, cwd=home, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["outcome"], result["epochs_trained"], result["slots"]) == ("done", 30, 2)
    assert re.fullmatch(r"digits/\d{4}-\d\d-\d\d", result["run"])  # today in UTC
    assert (result["night"]["verdict"], result["night"]["exit_code"]) == ("accepted", 0)
    assert "runner/nightly.py" in (tmp_path / "runs" / "sweeps" / result["run"] / "sweep.json").read_text()


OTHER = """
import ray, subprocess, sys
ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR")
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""
"""Another program with a Ray of its own, as a sweep of somebody else's, and what runs beside it: Ray's own `auto` would join it."""


@pytest.mark.long
def test_without_a_cluster_the_script_starts_a_ray_of_its_own_whatever_other_programs_have(tmp_path):
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:  # where no cluster has left its address
        env["RAY_TMPDIR"] = folder
        words = [*SMALL, f"store={tmp_path / 'runs'}", "--json"]
        # Among processes of its own: a cluster that another test has started on this machine is one to be joined.
        command = [*own_processes(), sys.executable, "-c", OTHER, sys.executable, str(ROOT / "runner" / "nightly.py")]
        done = subprocess.run([*command, *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["epochs_trained"], result["slots"]) == (30, os.cpu_count())


def test_the_script_defines_nothing_else():
    import ast

    tree = ast.parse(Path(ROOT / "runner" / "nightly.py").read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def test_a_sweep_of_the_checkout_is_found_from_any_folder_and_one_that_is_here_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_sweep("sweeps/digits.yaml") == ROOT / "sweeps" / "digits.yaml"
    assert find_sweep("sweeps/none.yaml") == Path("sweeps/none.yaml")
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "digits.yaml").write_text("name: mine")
    assert find_sweep("sweeps/digits.yaml") == Path("sweeps/digits.yaml")
