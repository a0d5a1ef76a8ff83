"""`ray job submit --working-dir .` on a real head with a dashboard and a token."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import requires, version
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.deploy.commands import TINY
from tests.sample_runs.sweeps import ROOT, RunningSweep, events
from tests.services.servers import free_ports

DASHBOARD = ROOT / "build" / "ray-default"
"""What `ray[default]` adds, kept beside .venv: every Ray that finds it starts a dashboard, and these tests start many."""

START_S, STARTS = 180.0, 3
LARGEST_BYTES = 20 * 2**20


@pytest.fixture(scope="module")
def dashboard() -> str:
    """A folder for PYTHONPATH with the dashboard's packages, installed once; "" where they are in .venv already."""
    if find_spec("aiohttp_cors") is not None:
        return ""
    mark = DASHBOARD / f"for-{version('ray')}"
    if not mark.is_file():
        requirements = [re.split(r"[\s;]", one)[0] for one in requires("ray") or () if 'extra == "default"' in one]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
        command += ["--constraint", str(ROOT / "constraints.txt"), "--target", str(DASHBOARD), *requirements]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"ray[default] cannot be installed here: {done.stderr.strip()[-300:]}")
        mark.touch()
    return str(DASHBOARD)


@dataclass(frozen=True)
class Head:
    url: str
    env: dict[str, str]
    folder: Path


@pytest.fixture(scope="module")
def head(dashboard, tmp_path_factory) -> Iterator[Head]:
    """A head with one slot, that asks for a token. Ended with all that it started."""
    home = tmp_path_factory.mktemp("home")
    mark, token = secrets.token_hex(8), secrets.token_hex(16)
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    env |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # as the cluster files set it
        "PYTHONPATH": dashboard,
        "HOME": str(home),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_USAGE_STATS_ENABLED": "0",
        "CAUCUS_TEST_MARK": mark,
    }
    for _ in range(STARTS):
        folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: Ray's sockets lie in it
        head, running = _start_head(folder, env, home)
        try:
            if _takes_jobs(head, running):
                yield head
                return
        finally:
            running.kill()
            shutil.rmtree(folder, ignore_errors=True)
    pytest.fail(f"no head takes jobs: {(home / 'head.log').read_text()}")


def _start_head(folder: Path, env: dict[str, str], home: Path) -> tuple[Head, RunningSweep]:
    port, shown, agent = free_ports(3)
    command = [shutil.which("ray", path=env["PATH"]) or "ray", "start", "--head", "--block", "--num-cpus=1"]
    command += [f"--port={port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={shown}"]
    command += [f"--dashboard-agent-listen-port={agent}", f"--temp-dir={folder}", "--object-store-memory=200000000"]
    with (home / "head.log").open("w") as log:
        process = subprocess.Popen(command, env=env, cwd=home, stdout=log, stderr=log, text=True)
    return Head(f"http://127.0.0.1:{shown}", env, folder), RunningSweep(process, env["CAUCUS_TEST_MARK"])


def _takes_jobs(head: Head, running: RunningSweep) -> bool:
    """Whether the head comes up. On a busy machine Ray's own 30 s for it may be too few."""
    request = urllib.request.Request(
        f"{head.url}/api/jobs/", headers={"Authorization": f"Bearer {head.env['RAY_AUTH_TOKEN']}"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s and running.process.poll() is None:
        with contextlib.suppress(OSError):
            if (head.folder / "ray_current_cluster").exists():  # written once the node is up
                opener.open(request, timeout=5).read()
                return True
        time.sleep(0.5)
    return False


def submit(head: Head, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """What deploy/README.md says to type, from the checkout; again while the head has no agent yet that takes jobs."""
    ray = shutil.which("ray", path=head.env["PATH"]) or "ray"
    command = [ray, "job", "submit", "--address", head.url, "--working-dir", "."]
    command += ["--", "python", "runner/nightly.py", *arguments]
    end_s = time.monotonic() + START_S
    while True:
        done = subprocess.run(
            command, env={**head.env, **(env or {})}, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if "No available agent to submit job" not in done.stderr or time.monotonic() > end_s:
            return done
        time.sleep(1)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_job_of_the_checkout_runs_a_sweep_and_its_arguments_survive(head, tmp_path):
    store = tmp_path / "runs"
    done = submit(head, "sweeps/digits.yaml", *TINY, "optimizer.lr=1e-2..1e-1:log", f"store={store}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(event["kind"] == "epoch-reported" for event in events(store)) == 4
    (path,) = store.glob("sweeps/digits/*/sweep.json")
    space = json.loads(path.read_text())["spec"]["search"]["space"]
    assert space["optimizer.lr"] == {"log": [0.01, 0.1]}
    # What was sent is the code and the sweeps, not the environment or what sweeps left behind.
    (sent,) = head.folder.glob("session_latest/runtime_resources/working_dir_files/_ray_pkg_*/")
    assert {"runner", "trainables", "ensembles", "sweeps"} <= {entry.name for entry in sent.iterdir()}
    assert not {".git", ".venv", "tests", "runs", "data", "build"} & {entry.name for entry in sent.iterdir()}
    assert sum(file.stat().st_size for file in sent.rglob("*") if file.is_file()) < LARGEST_BYTES


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_job_with_wrong_arguments_fails_and_one_without_the_token_does_not_start(head, tmp_path):
    done = submit(head, "sweeps/digits.yaml", "model.widht=4", f"store={tmp_path / 'runs'}")
    assert done.returncode != 0
    assert "did you mean width?" in done.stdout + done.stderr
    done = submit(head, "sweeps/digits.yaml", f"store={tmp_path / 'runs'}", env={"RAY_AUTH_TOKEN": "0" * 32})
    assert done.returncode != 0
    assert not (tmp_path / "runs").exists()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{head.url}/api/jobs/", timeout=30)
