"""Processes die, hang, run out of memory or lose their clock: whatever it is, a run comes to the bits of an undisturbed one."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.sample_runs.promise import Seen, back_s, check_promise, first_epoch_s, inspect_store
from tests.sample_runs.sweeps import DIGITS, RunningSweep, caucus, events, reported_epochs, run_sweep, start_sweep
from tests.services.nodes import OBJECT_STORE_BYTES, Nodes, running_nodes
from tests.services.servers import S3Server

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

TIMES = int(os.environ.get("CAUCUS_FAULT_TIMES", "1"))

WORDS = [
    DIGITS,
    "search.trials=4",
    "scheduler.method=none",
    "scheduler.max_epochs=8",
    "scheduler.grace_epochs=1",
    "model.width=16",
    "model.blocks=2",
    "optimizer.batch_size=8",
    "ensemble.size=4",
    "resources.slots=2",
]
"""Thirty-two epochs that are long enough to be hit, on two slots; a third node stands by, so that whoever loses one has another."""

END_S = 600.0

STRIDE = 4
"""Epochs between two faults of one run, so that each hits trials that are at work again."""

TRAPPED = """
import os, time
from pathlib import Path
from torch import nn

class Trapped(nn.Sequential):
    def forward(self, x):
        trap = Path(os.environ.get("CAUCUS_TEST_TRAP", "/nonexistent"))
        if self.training and trap.exists():
            trap.unlink()
            time.sleep(100000)
        return super().forward(x)

def build(shape, width=8):
    inputs = shape.height * shape.width * shape.channels
    return Trapped(nn.Flatten(), nn.Linear(inputs, width * 8), nn.ReLU(), nn.Linear(width * 8, shape.classes))
"""
"""A model whose next batch never ends, once a file is there; it takes the file away, so that this happens once."""

TRAPPED_SWEEP = """
name: digits
data: {name: digits, validation: 0.25, test: 0.25}
search: {trials: 4, space: {model.width: {choice: [4, 8]}, optimizer.lr: {log: [0.003, 0.03]}}}
model: {name: "trapped:build"}
optimizer: {name: sgd, batch_size: 2}
scheduler: {method: none, max_epochs: 8}
ensemble: {size: 4}
resources: {slots: 2, hang: 10s}
"""

SKEWED = """
import os, time
real, skew_s = time.time, float(os.environ["CAUCUS_TEST_SKEW_S"])
time.time = lambda: real() + skew_s
time.time_ns = lambda: int(time.time() * 1e9)
open(os.path.join(os.path.dirname(__file__), f"skewed{skew_s:.0f}"), "w").close()
"""
"""What every Python process of a node begins with. libfaketime cannot be had below Ray: it breaks waiting in Python."""

FILLER = """
import sys, numpy, ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

@ray.remote(num_cpus=0)
class Filler:
    def fill(self, limit):
        self.kept, held, size = [], 0, 2**23
        while size >= 2**17 and held < limit:
            try:
                self.kept.append(ray.put(numpy.random.bytes(size)))
                held += size
            except ray.exceptions.RayError:
                size //= 2
        return held

ray.init(address=sys.argv[1], log_to_driver=False)
nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
fillers = [Filler.options(scheduling_strategy=On(node, soft=False)).remote() for node in nodes]
print(ray.get([one.fill.remote(int(sys.argv[2])) for one in fillers]), flush=True)
sys.stdin.read()
"""
"""Puts objects that it keeps into the store of every node until there is no room."""


@dataclass
class Run:
    """A sweep on the cluster, and what has happened to it."""

    nodes: Nodes
    store: Path
    words: list[str]
    driver: RunningSweep | None = None
    seen: list[Seen] = field(default_factory=list)
    hit_unix_s: float = 0.0
    number: int = 0
    """Of the times that a fault is tried."""

    def start(self) -> None:
        """A driver, as a person or cron starts it."""
        self.hit_unix_s = time.time()
        env = {"RAY_AUTH_MODE": "disabled"}
        self.driver = start_sweep(*self.words, f"store={self.store}", "--address", self.nodes.address, env=env)

    def reach(self, epochs: int) -> None:
        """Wait until so many epochs are on record."""
        assert self.driver
        end_s = time.monotonic() + END_S
        while reported_epochs(self.store) < epochs:
            assert self.driver.process.poll() is None, f"the driver ended early: {self.driver.process.communicate()}"
            assert time.monotonic() < end_s, f"{epochs} epochs took more than {END_S:g} s"
            time.sleep(0.02)

    def go_on(self, epochs: int = STRIDE) -> None:
        """Wait until so many more epochs are on record."""
        self.reach(reported_epochs(self.store) + epochs)

    def shuffled(self, faults: list[Callable[[Run], None]]) -> list[Callable[[Run], None]]:
        """`faults` in an order of this run's own; in its first they stand as they are."""
        return random.Random(self.number).sample(faults, len(faults)) if self.number else faults

    def wait_until(self, happened: Callable[[], bool]) -> None:
        """Wait for what comes by itself."""
        end_s = time.monotonic() + END_S
        while not happened():
            assert time.monotonic() < end_s, f"it did not happen within {END_S:g} s"
            time.sleep(0.05)

    def stop_driver(self, number: signal.Signals, code: int) -> None:
        """Send the driver a signal, which it ends with `code` for."""
        assert self.driver
        self.driver.process.send_signal(number)
        assert self.end() == code

    def hit(self) -> None:
        """From now on something is wrong."""
        self.seen.append(inspect_store(self.store))
        self.hit_unix_s = time.time()

    def end(self) -> int:
        """Wait for the driver; its exit code."""
        assert self.driver
        try:
            self.driver.process.communicate(timeout=END_S)
        finally:
            self.driver.kill()
        return self.driver.process.returncode

    def busy_worker(self) -> tuple[int, int]:
        """A node that trains, and the process that does."""
        end_s = time.monotonic() + 60
        while time.monotonic() < end_s:  # a worker that has just begun goes by another name
            for index in range(1, self.nodes.count):
                for pid in self.nodes.workers_of(index):
                    return index, pid
            time.sleep(0.01)
        raise AssertionError("no node trains")

    def have_all_trained(self) -> bool:
        """Whether every trial that runs has an epoch on record since the last fault."""
        since = {
            event["trial_id"]
            for event in events(self.store)
            if event["kind"] == "epoch-reported" and event["at_unix_s"] > self.hit_unix_s
        }
        return inspect_store(self.store).running <= since

    def away_s(self) -> float:
        """How long those who trained at the last fault were away."""
        return back_s(self.store, self.hit_unix_s, self.seen[-1].running)


def undisturb(folder: Path, words: list[str]) -> Path:
    """The store of a sweep, run once from beginning to end on this machine."""
    run_sweep(*words, f"store={folder / 'runs'}")
    return folder / "runs"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return undisturb(tmp_path_factory.mktemp("undisturbed"), WORDS)


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is not there yet."""
    return tmp_path_factory.mktemp("trap") / "trap"


@pytest.fixture(scope="module")
def cluster(trap: Path) -> Iterator[Nodes]:
    # Nothing may be moved from a full object store to the disk: that would be no fault.
    spilling = '--system-config={"automatic_object_spilling_enabled":false}'
    with running_nodes(workers=3, env={"CAUCUS_TEST_TRAP": str(trap)}, head_arguments=(spilling,)) as nodes:
        yield nodes


@pytest.fixture(params=range(TIMES))
def run(cluster: Nodes, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    """A sweep under way on a whole cluster, with two trials in the middle."""
    cluster.restart_missing()
    with driven(Run(cluster, tmp_path / "runs", list(WORDS), number=request.param)) as run:
        run.reach(4 + request.param)
        yield run


@contextlib.contextmanager
def driven(run: Run) -> Iterator[Run]:
    """`run` with a driver, which is gone afterwards."""
    run.start()
    try:
        yield run
    finally:
        if run.driver:
            run.driver.kill()


def kill_worker(run: Run) -> None:
    os.kill(run.busy_worker()[1], signal.SIGKILL)


def kill_raylet(run: Run) -> None:
    os.kill(run.nodes.raylet_of(run.busy_worker()[0]), signal.SIGKILL)


def kill_node(run: Run) -> None:
    run.nodes.kill_node(run.busy_worker()[0])


def kill_every_worker(run: Run) -> None:
    for index in range(1, run.nodes.count):
        for pid in run.nodes.workers_of(index):
            os.kill(pid, signal.SIGKILL)


def test_a_run_goes_on_by_itself_after_every_loss(run: Run, undisturbed: Path) -> None:
    """One run loses, one after the other, a worker, all workers, a raylet and a node."""
    for inject in run.shuffled([kill_worker, kill_every_worker, kill_raylet, kill_node]):
        run.nodes.restart_missing()
        run.hit()
        inject(run)
        # A trial that loses its worker three times before an epoch is given up: each has one before the next fault.
        run.wait_until(lambda: not math.isnan(run.away_s()) and run.have_all_trained())
        print(f"\n{inject.__name__}: back at work after {run.away_s():.1f} s")
    assert run.end() == 0
    check_promise(run.store, undisturbed, run.seen)


def kill_driver(run: Run) -> None:
    run.stop_driver(signal.SIGKILL, -signal.SIGKILL)


def terminate_driver(run: Run) -> None:
    run.stop_driver(signal.SIGTERM, 4)


def interrupt_driver(run: Run) -> None:
    run.stop_driver(signal.SIGINT, 4)


def kill_head_and_driver(run: Run) -> None:
    """What happens to a driver that `ray submit` started there."""
    assert run.driver
    run.nodes.kill_node(0)
    run.driver.kill()
    run.nodes.restart_head()


def kill_head(run: Run) -> None:
    """The driver is elsewhere, and ends by itself."""
    run.nodes.kill_node(0)
    assert run.end() != 0
    print(f"\nhead lost, driver alive: it ended after {time.time() - run.hit_unix_s:.0f} s")
    run.nodes.restart_head()


def test_a_driver_that_is_started_again_goes_on_after_every_end(run: Run, undisturbed: Path) -> None:
    """One run loses its driver five times: by three signals, with the head, and because the head is lost."""
    stops = [kill_driver, terminate_driver, interrupt_driver, kill_head_and_driver, kill_head]
    for stop in run.shuffled(stops):
        run.go_on(1)  # a new driver has trained some by the time that it is seen to be back
        run.hit()
        stop(run)
        run.start()
        run.wait_until(lambda: not math.isnan(first_epoch_s(run.store, run.hit_unix_s)))
        after_s = first_epoch_s(run.store, run.hit_unix_s)
        print(f"\n{stop.__name__}: back at work {after_s:.1f} s after the driver's start")
    assert run.end() == 0
    check_promise(run.store, undisturbed, run.seen)


def test_a_worker_that_stands_still_and_a_batch_that_never_ends_are_given_up(
    cluster: Nodes, trap: Path, tmp_path: Path
) -> None:
    cluster.restart_missing()
    (tmp_path / "trapped.py").write_text(TRAPPED)
    (tmp_path / "trapped.yaml").write_text(TRAPPED_SWEEP)
    words = [str(tmp_path / "trapped.yaml")]
    expected = undisturb(tmp_path / "undisturbed", words)
    with driven(Run(cluster, tmp_path / "runs", words)) as run:
        run.reach(6)
        run.hit()
        pid = run.busy_worker()[1]
        os.kill(pid, signal.SIGSTOP)
        try:
            run.wait_until(lambda: not math.isnan(run.away_s()))
            print(f"\nworker stopped: back at work after {run.away_s():.1f} s, of which 10 s of patience")
            run.hit()
            trap.touch()
            assert run.end() == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert not trap.exists()
    check_promise(run.store, expected, run.seen)
    print(f"\nbatch without end: back at work after {run.away_s():.1f} s, of which 10 s of patience")


def test_no_memory_for_a_trial_no_room_for_objects_and_a_second_driver_cost_nothing(
    run: Run, undisturbed: Path
) -> None:
    """One run meets, one after the other, a second driver, Linux out of memory, and an object store without room."""
    run.hit()
    words = [*run.words, f"store={run.store}", "--address", run.nodes.address]
    result = caucus("run", *words, env={"RAY_AUTH_MODE": "disabled"}, code=2)
    assert result["kind"] == "RunTaken"
    run.go_on()
    run.hit()
    reason = starve(run.busy_worker()[1])
    run.go_on()
    with full_object_store(run):
        run.hit()
        kill_every_worker(run)  # so that new ones have to fetch the images
        assert run.end() == 0
    check_promise(run.store, undisturbed, run.seen)
    print(f"\nobject store full, every worker killed: back at work after {run.away_s():.1f} s")
    if reason:
        pytest.skip(f"all but the lack of memory was seen: {reason}")


@contextlib.contextmanager
def full_object_store(run: Run) -> Iterator[None]:
    """No node has room for an object within this."""
    words = [sys.executable, "-c", FILLER, run.nodes.address, str(2 * OBJECT_STORE_BYTES)]
    env = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, **pipes, text=True, env=env) as filler:
        assert filler.stdout
        try:
            assert min(json.loads(filler.stdout.readline())) > 0.9 * OBJECT_STORE_BYTES
            yield
        finally:
            filler.kill()


def starve(pid: int) -> str:
    """Let process `pid` have not a page more than it has: Linux kills it when it asks for one. Returns when it is gone.

    Why this cannot be done here, where it cannot, else "".
    """
    own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    path = next((path for _, kinds, path in own if kinds == "memory"), None)
    group = Path(f"/sys/fs/cgroup/memory{path}", f"caucus-test-{secrets.token_hex(4)}")
    try:
        if path is None:
            raise OSError("Linux has no memory controller of the first version")
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("4096")
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        return f"no memory limit can be set for a process here: {error}"
    end_s = time.monotonic() + 60
    while (group / "cgroup.procs").read_text() and time.monotonic() < end_s:
        time.sleep(0.02)
    killed = "oom_kill 1" in (group / "memory.oom_control").read_text()
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
    while group.exists() and time.monotonic() < end_s:
        with contextlib.suppress(OSError):
            group.rmdir()
    assert killed, "Linux did not kill the process for its memory"
    return ""


def test_clocks_that_are_an_hour_apart_end_nothing(cluster: Nodes, undisturbed: Path, tmp_path: Path) -> None:
    cluster.restart_missing()
    (tmp_path / "sitecustomize.py").write_text(SKEWED)
    for index, skew_s in ((1, "3600"), (2, "-3600")):
        cluster.kill_node(index)
        cluster.start(index, {"PYTHONPATH": str(tmp_path), "CAUCUS_TEST_SKEW_S": skew_s})
    cluster.kill_node(3)
    cluster.wait()
    with driven(Run(cluster, tmp_path / "runs", [*WORDS, "budget.wall=20m"])) as run:
        run.reach(6)
        run.hit()
        assert run.end() == 0
    check_promise(run.store, undisturbed, run.seen)
    assert {path.name for path in tmp_path.glob("skewed*")} == {"skewed3600", "skewed-3600"}
    result = caucus("status", f"{run.store}/sweeps/digits")
    assert result["state"] == "done"
    assert result["trials"]["finished"] == 4
    at = [event["at_unix_s"] for event in events(run.store) if "at_unix_s" in event]
    assert at == sorted(at)
    assert at[-1] - at[0] < END_S


RACER = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from runner.journal.lease import take_lease
from trainables.errors import RunTaken
from trainables.store.open import open_store

store = open_store(sys.argv[1])

def race(number):
    try:
        return take_lease(store, "dots", f"r{number}")
    except RunTaken:
        return None

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(10) as threads:
    held = list(threads.map(race, range(50)))
print(json.dumps([number for number, lease in enumerate(held) if lease]), flush=True)
sys.stdin.readline()
"""
"""A driver that claims fifty runs, and holds those it gets until it is asked to end."""


def test_of_two_drivers_that_want_the_same_fifty_runs_exactly_one_gets_each(weed_s3: S3Server) -> None:
    words = [sys.executable, "-c", RACER, f"s3://{weed_s3.new_bucket()}/runs"]
    env = {**os.environ, **weed_s3.env}
    with contextlib.ExitStack() as stack:
        racers = []
        for _ in range(2):
            racer = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
            stack.enter_context(racer)
            stack.callback(racer.kill)
            racers.append((racer, racer.stdin, racer.stdout))
        for _, _, output in racers:
            assert output
            assert output.readline() == "ready\n"
        for _, ordered, _ in racers:
            assert ordered
            ordered.write("go\n")
            ordered.flush()
        won = [json.loads(output.readline()) for _, _, output in racers if output]
    assert sorted(won[0] + won[1]) == list(range(50))
