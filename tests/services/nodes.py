"""A real Ray cluster on this machine whose nodes can be killed: each is one `ray start`, with processes of its own.

Where Linux lets us, a node lives in a process namespace: with its first process the whole node is gone, as if its power
had been cut. Elsewhere its processes are known by a mark in their environment, and killed one after the other.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.servers import free_ports

START_S = 180.0

HEALTH = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
"""As in cluster.yaml: a dead node is noticed in some seconds, not in a minute."""

OBJECT_STORE_BYTES = 100 * 2**20
"""Ray takes no less than 75 MiB."""

FIRST_PROCESS = """
import contextlib, os, subprocess, sys, time
with contextlib.suppress(PermissionError):
    os.setpriority(os.PRIO_PROCESS, 0, 0)
sys.exit(1) if subprocess.run(sys.argv[1:]).returncode else print("up", flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.1)
"""
"""Starts the node, then adopts and buries its orphans, as the first process of a machine does.

Not as nicely as the tests may run: Ray gives its own helpers 15 s to begin, and ends the node where they do not. Its workers
it makes nice itself.
"""


COUNT_NODES = """
import sys
from ray._private.state import GlobalState
from ray._raylet import GcsClientOptions
state = GlobalState()
options = GcsClientOptions.create(sys.argv[1], None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=False)
state._initialize_global_state(options)
print(sum(node["Alive"] for node in state.node_table()))
"""
"""In a process of its own: a client of Ray's takes its process with it where the head is gone."""


class NodeFailed(RuntimeError):
    """A node of the test's cluster did not start."""


@dataclass
class Node:
    """One node while it runs."""

    ip: str
    mark: str
    process: subprocess.Popen[str]
    env: dict[str, str]
    cpus: int = 1
    gpus: int = 0
    """Invented: no machine of the tests has any."""


@dataclass
class Nodes:
    """A cluster: node 0 is the head, which has no slots; each other one has one. See `running_nodes`."""

    count: int
    folder: Path
    port: int
    env: dict[str, str] = field(default_factory=dict)
    """Beside what is inherited, for each node."""
    head_env: dict[str, str] = field(default_factory=lambda: dict(HEALTH))
    head_arguments: tuple[str, ...] = ()
    """Further arguments of the head's `ray start`."""
    _nodes: dict[int, Node] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """What `ray.init` takes."""
        return f"{self.ip(0)}:{self.port}"

    def start(self, index: int, env: dict[str, str] | None = None, cpus: int = 1, gpus: int = 0) -> None:
        """Start node `index`, with `env` added to its environment; a head has no cores. Raises `NodeFailed`."""
        mark = f"{secrets.token_hex(8)}-{index}"
        command = [str(Path(sys.executable).parent / "ray"), "start", f"--node-ip-address={self.ip(index)}"]
        command += [
            f"--num-cpus={cpus if index else 0}",
            f"--num-gpus={gpus}",
            f"--object-store-memory={OBJECT_STORE_BYTES}",
        ]
        command += ["--min-worker-port=0", "--max-worker-port=0", "--disable-usage-stats"]
        ports = free_ports(3)
        command += [f"--dashboard-agent-listen-port={ports[0]}", f"--dashboard-agent-grpc-port={ports[1]}"]
        command += [f"--metrics-export-port={ports[2]}"]
        # A folder of its own: nodes that start together in one take each other's sockets.
        command += [f"--temp-dir={tempfile.mkdtemp(prefix=f'{index}-', dir=self.folder)}"]
        if index:
            command += [f"--address={self.address}"]
        else:
            command += ["--head", f"--port={self.port}", "--include-dashboard=false", *self.head_arguments]
        environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        environment |= {
            "RAY_AUTH_MODE": "disabled",
            **self.env,
            **({} if index else self.head_env),
            **(env or {}),
            "CAUCUS_TEST_NODE": mark,
        }
        log = (self.folder / f"node-{index}.log").open("a")
        process = subprocess.Popen(
            [*own_processes(), sys.executable, "-c", FIRST_PROCESS, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
            env=environment,
        )
        log.close()
        self._nodes[index] = Node(self.ip(index), mark, process, env or {}, cpus, gpus)

    def wait(self, nodes: int | None = None) -> None:
        """Wait until the head knows so many nodes, left out: all that were started. Raises `NodeFailed`."""
        end_s = time.monotonic() + START_S
        wanted = len(self._nodes) if nodes is None else nodes
        while (found := self._alive()) < wanted:
            # Ray gives its own helpers 15 s to begin, which is too little where all cores are taken.
            for index in filter(self.has_ended, list(self._nodes)):
                self.restart(index)
            if time.monotonic() > end_s:
                logs = "".join(path.read_text()[-2000:] for path in sorted(self.folder.glob("node-*.log")))
                raise NodeFailed(f"{found} of {wanted} nodes came up in {START_S:g} s: {logs}")
            time.sleep(0.2)

    def processes(self, index: int) -> dict[int, str]:
        """Every process of a node that is alive, by its id as seen from here, with its command line."""
        node = self._nodes.get(index)
        return _marked(node.mark) if node else {}

    def raylet_of(self, index: int) -> int:
        """Process id of a node's raylet."""
        (found,) = self.raylets_of(index)
        return found

    def raylets_of(self, index: int) -> list[int]:
        """The same in a list, which is empty where the node has none, or none yet."""
        return [pid for pid, command in self.processes(index).items() if command.split(" ")[0].endswith("/raylet")]

    def has_ended(self, index: int) -> bool:
        """Whether a node that was started could not begin, or is gone."""
        return index in self._nodes and self._nodes[index].process.poll() is not None

    def workers_of(self, index: int) -> list[int]:
        """Process ids of a node's workers that hold a trial or stand by for one."""
        titles = ("ray::TuneTrial", "ray::ResourceTrainable")
        return [pid for pid, command in self.processes(index).items() if command.startswith(titles)]

    def kill_node(self, index: int) -> None:
        """All of a node at once."""
        node = self._nodes.pop(index, None)
        if node is None:
            return
        for pid, command in _marked(node.mark).items():
            if "os.wait()" in command and pid != node.process.pid:
                _kill(pid)  # the first process of its namespace: Linux kills the others with it
        node.process.kill()
        node.process.wait()
        while left := _marked(node.mark):
            for pid in left:
                _kill(pid)
            time.sleep(0.02)

    def remove(self, index: int) -> None:
        """Kill a node and wait until the head has noticed. Raises `NodeFailed`."""
        self.kill_node(index)
        end_s = time.monotonic() + START_S
        while self._alive() > len(self._nodes):
            if time.monotonic() > end_s:
                raise NodeFailed(f"the head still counts node {index} after {START_S:g} s")
            time.sleep(0.2)

    def restart(self, index: int) -> None:
        """Kill what is left of a node and start it again, with the same environment."""
        node = self._nodes.get(index)
        self.kill_node(index)
        self.start(index, *((node.env, node.cpus, node.gpus) if node else ()))

    def restart_head(self) -> None:
        """A new head at the same address, which knows nothing; then the others one by one, as a cluster launcher does.

        Until it is their turn, the old ones go on with what they were doing.
        """
        self.restart(0)
        self.wait(1)
        for done, index in enumerate(range(1, self.count), start=2):
            self.kill_node(index)
            self.start(index)
            self.wait(done)

    def restart_missing(self) -> None:
        """Restart the nodes that have died, so that all nodes are there."""
        if not self._is_head_alive():
            self.restart_head()
            return
        for index in range(1, self.count):
            node = self._nodes.get(index)
            if node is None or node.env or not self.raylets_of(index):
                self.kill_node(index)
                self.start(index)
                self.wait()

    def kill(self) -> None:
        """Everything, head last."""
        for index in sorted(self._nodes, reverse=True):
            self.kill_node(index)

    def ip(self, index: int) -> str:
        """An address of its own on the loopback device, by which Ray tells nodes apart; 127.0.0.1 it would replace."""
        return f"127.0.0.{index + 2}"

    def _is_head_alive(self) -> bool:
        return any(command.split(" ")[0].endswith("/gcs_server") for command in self.processes(0).values())

    def _alive(self) -> int:
        """Nodes that the head knows and has not given up, itself among them; 0 while there is no head."""
        if not self._is_head_alive():
            return 0
        command = [sys.executable, "-c", COUNT_NODES, self.address]
        env = {**os.environ, "RAY_AUTH_MODE": "disabled", **self.env}
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdigit() else 0


@contextlib.contextmanager
def running_nodes(
    workers: int = 2, env: dict[str, str] | None = None, head_arguments: tuple[str, ...] = ()
) -> Iterator[Nodes]:
    """A head without slots and `workers` nodes of one slot each; nothing of them is left behind.

    Raises `NodeFailed` where they do not come up.
    """
    root = Path(tempfile.mkdtemp(prefix="cn-", dir="/tmp"))
    nodes = Nodes(workers + 1, root, free_ports(1)[0], env or {}, head_arguments=head_arguments)
    try:
        for index in range(nodes.count):
            nodes.start(index)
            nodes.wait()  # one after the other: together they keep each other from starting in time
        yield nodes
    finally:
        nodes.kill()
        shutil.rmtree(root, ignore_errors=True)


def own_processes() -> list[str]:
    """What a command is prefixed with to live in a process namespace that dies with it, and with the tests.

    Nobody outside takes its Ray for one of this machine, nor does it see one there.
    """
    command = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    if _has_namespaces():
        command += ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL", "--"]
    return command


@functools.cache
def _has_namespaces() -> bool:
    if not shutil.which("unshare"):
        return False
    done = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False)
    return done.returncode == 0


def _marked(mark: str) -> dict[int, str]:
    """Processes that are alive and have `mark` in their environment, by id, with their command lines."""
    found = {}
    wanted = f"CAUCUS_TEST_NODE={mark}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # gone in the meantime
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (
                        (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
                    )
    return found


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
