"""From `ray up` to the report, on hosts that drop off the network: what a person types, and what the night does to it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sample_runs.promise import back_s, check_promise, inspect_store
from tests.sample_runs.sweeps import ROOT
from tests.services.hosts import Hosts, running_hosts
from tests.services.servers import S3Server, running_weed
from trainables.store.open import open_store

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

WORKERS = ("worker-1", "worker-2")

NIGHT = [
    "sweeps/digits.yaml",
    "--run-id=night",
    "--json",
    "search.trials=4",
    "scheduler.method=none",
    "scheduler.max_epochs=12",
    "scheduler.grace_epochs=1",
    "model.width=32",
    "ensemble.size=4",
]
"""Forty-eight epochs whose weights depend on nothing but these words."""

PATIENCE_S = 600.0


@dataclass(frozen=True)
class OnPrem:
    """A cluster that is up, made of hosts: a head without slots, two workers of one slot each, a laptop beside it."""

    hosts: Hosts
    server: S3Server
    bucket: str

    def submit(self, store: str, *words: str) -> subprocess.Popen[str]:
        """Start what a person types on the laptop, in their checkout, for a night into a store of this name."""
        arguments = " ".join([*NIGHT, f"store=s3://{self.bucket}/{store}", *words])
        return self.hosts["laptop"].start(f"cd checkout && ray submit ~/cluster.yaml runner/nightly.py {arguments}")

    def copy(self, store: str, to: Path) -> Path:
        """All that a store holds now, as a folder store."""
        found = open_store(f"s3://{self.bucket}/{store}", self.server.endpoint_url)
        for each in found.find(""):
            path = to / each.key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(found.get(each.key))
        return to

    def reported(self, store: str) -> int:
        """Epochs on record."""
        found = open_store(f"s3://{self.bucket}/{store}", self.server.endpoint_url)
        segments = found.find("sweeps/digits/night/events/")
        return sum(found.get(each.key).count(b'"epoch-reported"') for each in segments)

    def status(self, store: str) -> dict[str, Any]:
        """What `caucus status` on the laptop says of a store."""
        answer = self.hosts["laptop"].run(f"caucus status s3://{self.bucket}/{store} --json")
        payload: dict[str, Any] = json.loads(answer.stdout)
        return payload

    def slots(self) -> int:
        """Slots that the head knows of now."""
        asked = "import ray; ray.init(logging_level='ERROR'); print('slots', ray.cluster_resources().get('CPU', 0))"
        answer = self.hosts["head"].run(f'~/env/bin/python -c "{asked}"', code=None).stdout
        return next((int(float(line.split()[1])) for line in answer.splitlines() if line.startswith("slots ")), 0)

    def trainers(self, host: str) -> list[int]:
        """Processes on a host that have torch in memory: its workers that train."""
        found = []
        for pid in self.hosts[host].processes():
            try:
                if "libtorch_cpu" in Path(f"/proc/{pid}/maps").read_text():
                    found.append(pid)
            except OSError:
                continue
        return found


def cluster_file(hosts: Hosts) -> str:
    """deploy/on-prem.yaml with its EDIT lines filled in; instead of installing packages, nodes take those of this checkout's .venv."""
    config = yaml.safe_load((ROOT / "deploy" / "on-prem.yaml").read_text())
    config["provider"] |= {"head_ip": hosts["head"].address, "worker_ips": [hosts[name].address for name in WORKERS]}
    config["auth"] = {"ssh_user": "root", "ssh_private_key": "~/.ssh/id_ed25519"}
    path = "grep -q PYTHONPATH ~/.profile || echo 'export PYTHONPATH=~/caucus' | tee -a ~/.profile >> ~/.bashrc"
    config["setup_commands"] = [path if "pip install" in each else each for each in config["setup_commands"]]
    assert path in config["setup_commands"]
    small = "ray start --object-store-memory=200000000"
    for role, slots in (("head", ""), ("worker", " --num-cpus=1")):
        key = f"{role}_start_ray_commands"
        config[key] = [each.replace("ray start", small + slots) for each in config[key]]
    return yaml.safe_dump(config)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[OnPrem]:
    hosts_folder, weed_folder = tmp_path_factory.mktemp("hosts"), tmp_path_factory.mktemp("weed")
    with (
        running_hosts(hosts_folder, ["laptop", "head", *WORKERS]) as hosts,
        running_weed(weed_folder, hosts.outside) as server,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        server.login(monkeypatch)
        for name in hosts.by_name:
            home = hosts[name].folder / "home"
            (home / "env").symlink_to(ROOT / ".venv")
            (home / ".aws").mkdir(mode=0o700)
            (home / ".aws" / "config").write_text(
                f"[default]\nregion = us-east-1\nendpoint_url = {server.endpoint_url}\n"
                f"aws_access_key_id = {server.env['AWS_ACCESS_KEY_ID']}\n"
                f"aws_secret_access_key = {server.env['AWS_SECRET_ACCESS_KEY']}\n"
            )
        laptop = hosts["laptop"]
        (laptop.folder / "home" / "cluster.yaml").write_text(cluster_file(hosts))
        laptop.run("ray get-auth-token --generate && chmod 600 ~/.ray/auth_token")
        kept_back = " ".join(f"--exclude={name}" for name in (".venv", ".git", "/runs", "/data", "__pycache__"))
        laptop.run(f"rsync -a {kept_back} {ROOT}/ checkout")
        cluster = OnPrem(hosts, server, server.new_bucket())
        try:
            laptop.run("cd checkout && ray up --yes ~/cluster.yaml", timeout_s=PATIENCE_S)
            wait_for(lambda: cluster.slots() == 2)
            yield cluster
        finally:
            laptop.run("ray down --yes ~/cluster.yaml", timeout_s=PATIENCE_S, code=None)


@pytest.fixture(scope="module")
def undisturbed(cluster) -> tuple[Path, dict[str, Any]]:
    """The same night on one machine, from beginning to end, into a folder: the store, and what it printed."""
    laptop = cluster.hosts["laptop"]
    arguments = " ".join([*NIGHT, "store=$HOME/runs"])
    answer = laptop.run(f"cd checkout && PYTHONPATH=. python runner/nightly.py {arguments}", timeout_s=PATIENCE_S)
    return laptop.folder / "home" / "runs", json.loads(answer.stdout)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Poll until `condition` holds; fails where `process` ends before."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        if process and process.poll() is not None:
            pytest.fail(f"it ended early: {process.communicate()}")
        assert time.monotonic() < end_s, "it did not get there in time"
        time.sleep(0.2)


def finish(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    """Wait for a submitted night: its exit code, the JSON object in what it printed, and all that it printed."""
    output, errors = process.communicate(timeout=PATIENCE_S)
    lines = [line for line in output.splitlines() if line.startswith('{"run"')]
    assert lines, f"exit code {process.returncode}\n{output[-6000:]}\n{errors[-6000:]}"
    return process.returncode, json.loads(lines[-1]), output + errors


def test_a_night_during_which_a_node_drops_off_the_network_ends_as_if_it_had_not(cluster, undisturbed, tmp_path):
    night = cluster.submit("cut")
    wait_for(lambda: cluster.reported("cut") >= 6, night)
    lost = next(name for name in WORKERS if cluster.trainers(name))
    seen, cut_s = inspect_store(cluster.copy("cut", tmp_path / "then")), time.time()
    cluster.hosts.cut(lost)
    meanwhile = cluster.status("cut")
    assert (meanwhile["state"], meanwhile["trials"]["planned"]) == ("running", 4)
    assert meanwhile["heartbeat_age_s"] < 60
    code, result, output = finish(night)
    assert (code, result["outcome"], result["trials"]["finished"], result["slots"]) == (0, "done", 4, 2), output
    store = cluster.copy("cut", tmp_path / "store")
    check_promise(store, undisturbed[0], [seen])
    tell_times(cluster, cut_s, back_s(store, cut_s, seen.running))
    same = ("best", "ensemble", "votes", "verdict")
    assert {key: result[key] for key in same} == {key: undisturbed[1][key] for key in same}
    report = (store / "sweeps" / "digits" / "night" / "report.html").read_text()
    assert result["best"]["trial_id"] in report
    status = cluster.status("cut")
    assert (status["run"], status["state"], status["verdict"]) == ("digits/night", "done", result["night"]["sentence"])
    assert status["trials"] == {"planned": 4, "finished": 4}
    assert status["best"]["trial_id"] == result["best"]["trial_id"]
    cluster.hosts.heal(lost)
    wait_for(lambda: cluster.slots() == 2)


@pytest.mark.parametrize(
    ("peers", "held"),
    [
        pytest.param(["head"], True, id="from-the-head", marks=pytest.mark.extended),
        pytest.param([], True, id="from-all", marks=pytest.mark.extended),
        pytest.param(["head"], False, id="from-the-head-while-it-trains", marks=pytest.mark.extended),
    ],
)
def test_a_node_that_is_cut_off_and_comes_back_as_an_orphan_changes_nothing(
    cluster, undisturbed, tmp_path, peers, held, request
):
    store = request.node.callspec.id
    night = cluster.submit(store, "resources.slots=1")
    wait_for(lambda: cluster.reported(store) >= 8, night)
    lost = next(name for name in WORKERS if cluster.trainers(name))
    orphans = cluster.trainers(lost)
    if held:  # in the middle of an epoch, which they end when another worker has long taken their trial over
        send(signal.SIGSTOP, orphans)
    seen, cut_s, used_s = inspect_store(cluster.copy(store, tmp_path / "then")), time.time(), busy_s(orphans)
    cluster.hosts.cut(lost, *peers)
    if not held:
        wait_for(lambda: busy_s(orphans) > used_s + 0.05, night)
    before = cluster.reported(store)
    wait_for(lambda: cluster.reported(store) > before + 1, night)
    if not peers:
        cluster.hosts.heal(lost)
    send(signal.SIGCONT, orphans)
    if held and peers:
        wait_for(lambda: busy_s(orphans) > used_s + 0.05)
    wait_for(lambda: is_idle(orphans))
    if peers:
        cluster.hosts.heal(lost, *peers)
    code, result, output = finish(night)
    assert (code, result["outcome"], result["trials"]["finished"]) == (0, "done", 4), output
    folder = cluster.copy(store, tmp_path / "store")
    check_promise(folder, undisturbed[0], [seen])
    tell_times(cluster, cut_s, back_s(folder, cut_s, seen.running))
    wait_for(lambda: cluster.slots() == 2)


def send(what: signal.Signals, pids: list[int]) -> None:
    """A signal to processes, some of which may be gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


def busy_s(pids: list[int]) -> float:
    """Processor time that processes have used; of those that are gone, 0."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def is_idle(pids: list[int], for_s: float = 3.0) -> bool:
    """Whether processes use no more time than those that wait, or are gone."""
    before_s = busy_s(pids)
    time.sleep(for_s)
    return busy_s(pids) - before_s < 0.1 * for_s


def tell_times(cluster: OnPrem, cut_s: float, back: float) -> None:
    """Print when the head noticed a cut, and when all trials had reported another epoch: `pytest -s` shows it."""
    log = "cat /tmp/ray/session_latest/logs/gcs_server.out | grep 'Node is dead because the health check failed'"
    stamps = [line[1:24] for line in cluster.hosts["head"].run(log, code=None).stdout.splitlines()]
    noticed = min((at for at in map(parse_stamp, stamps) if at > cut_s), default=math.nan)
    load = os.getloadavg()[0]
    print(
        f"node taken for dead {noticed - cut_s:.1f} s and back at work {back:.1f} s after the cut, at a load of {load:.0f}"
    )


def parse_stamp(stamp: str) -> float:
    """Unix time of a line in Ray's logs, which are in local time."""
    return datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f").timestamp()
