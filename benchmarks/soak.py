"""Soak test: a sweep on a head and three nodes while a process is killed every 20 s; how much longer it takes, and what is lost.

    python -m benchmarks.soak                 some 30 minutes disturbed, after some 25 undisturbed
    python -m benchmarks.soak --minutes 5

What is killed, with equal chances: a worker that trains, a raylet, all of a node (it comes back after 5 s, as a spot
machine's successor does), the driver (started again at once, as by a supervisor). The figure is the time until the sweep
is done over that of the same sweep on the same cluster left alone; every checkpoint must be that of the undisturbed sweep.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.sample_runs.promise import faults_of, inspect_store
from tests.sample_runs.sweeps import CAUCUS, DIGITS, RunningSweep, events, trial_bits
from tests.services.nodes import Nodes, running_nodes

RESULTS = Path(__file__).parent / "results" / "soak.json"

EVERY_S = 20.0
NODE_BACK_S = 5.0
WORKERS = 3
EPOCHS = 16
LIMIT = 1.5
KINDS = ("worker", "raylet", "node", "driver")
DRIVERS = 200
"""Drivers that end by themselves are started again, too, but not for ever."""

ARGUMENTS = [
    DIGITS,
    "scheduler.method=none",
    f"scheduler.max_epochs={EPOCHS}",
    "scheduler.grace_epochs=1",
    "model.width=16",
    "model.blocks=2",
    "optimizer.batch_size=8",
    "ensemble.size=4",
]


@dataclass(frozen=True)
class Soak:
    """The results of a soak test."""

    trials: int
    epochs: int
    undisturbed_s: float
    disturbed_s: float
    ratio: float
    kills: dict[str, int]
    drivers: int
    """Drivers started during the disturbed run."""
    exit_code: int
    repeated_epochs: int
    """Recorded epochs that were trained again, because a kill came before their checkpoints were stored."""
    different_files: int
    """Files of checkpoints that are not bit for bit those of the undisturbed sweep."""
    damaged: int
    """Checkpoints on record that are missing, and parts that are not what their manifest promises."""

    @property
    def holds(self) -> bool:
        """Whether the run kept its guarantees."""
        return self.ratio <= LIMIT and self.exit_code == 0 and not self.different_files and not self.damaged


def start(nodes: Nodes, store: Path, trials: int) -> RunningSweep:
    """A driver on the cluster; its output goes to a file beside the store."""
    mark = secrets.token_hex(8)
    command = [*CAUCUS, "run", *ARGUMENTS, f"search.trials={trials}", f"store={store}", "--address", nodes.address]
    with store.with_suffix(".log").open("a") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            text=True,
            env={**os.environ, "RAY_AUTH_MODE": "disabled", "CAUCUS_TEST_MARK": mark},
        )
    return RunningSweep(process, mark)


def finish(driver: RunningSweep) -> int:
    """Wait for a driver; its exit code."""
    try:
        driver.process.wait()
    finally:
        driver.kill()
    return driver.process.returncode


def time_undisturbed(nodes: Nodes, store: Path, trials: int) -> float:
    """Seconds that a sweep takes when it is left alone."""
    start_s = time.monotonic()
    code = finish(start(nodes, store, trials))
    assert code == 0, f"the undisturbed sweep ended with {code}"
    return time.monotonic() - start_s


def epoch_s(store: Path) -> float:
    """Seconds from one epoch to the next, of whichever trial, once the first one is there."""
    at = sorted(event["at_unix_s"] for event in events(store) if event["kind"] == "epoch-reported")
    return float(at[-1] - at[0]) / (len(at) - 1)


def disturb(nodes: Nodes, store: Path, trials: int, every_s: float, seed: int) -> tuple[float, int, Counter[str], int]:
    """Run a sweep and kill something every `every_s`; seconds, the exit code, kills by kind, drivers."""
    draw = random.Random(seed)
    kills: Counter[str] = Counter()
    start_s = time.monotonic()
    next_s, due = start_s + every_s, dict[int, float]()
    driver, drivers = start(nodes, store, trials), 1
    try:
        while (code := driver.process.poll()) != 0 and drivers < DRIVERS:
            if code is not None:
                driver, drivers = start(nodes, store, trials), drivers + 1
            time.sleep(0.1)
            now_s = time.monotonic()
            for index in range(1, nodes.count):
                if now_s >= due.get(index, start_s if nodes.has_ended(index) else math.inf):
                    due.pop(index, None)
                    nodes.restart(index)
            if now_s >= next_s:
                next_s += every_s
                kind = draw.choice(KINDS)
                kills[kind] += 1
                if kind == "driver":
                    driver.kill()
                else:
                    index = draw.choice([index for index in range(1, nodes.count) if index not in due])
                    kill(nodes, index, kind)
                    if kind != "worker":
                        due[index] = time.monotonic() + NODE_BACK_S
                print(f"{now_s - start_s:6.0f} s  {kind:6}  {len(inspect_store(store).epochs)} epochs", flush=True)
        return time.monotonic() - start_s, -1 if code is None else code, kills, drivers
    finally:
        driver.kill()


def kill(nodes: Nodes, index: int, kind: str) -> None:
    """A worker, the raylet or all of a node. One that is just beginning may have neither worker nor raylet."""
    if kind == "node":
        nodes.kill_node(index)
        return
    for pid in nodes.workers_of(index) if kind == "worker" else nodes.raylets_of(index):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def soak(minutes: float, every_s: float, seed: int) -> Soak:
    """Run both sweeps, and compare the second with the first."""
    folder = Path(tempfile.mkdtemp(prefix="caucus-soak-"))
    try:
        with running_nodes(workers=WORKERS) as nodes:
            time_undisturbed(nodes, folder / "first", 2 * WORKERS)  # afterwards the code is on all nodes
            trials = max(WORKERS, round(minutes * 60 / 1.25 / (epoch_s(folder / "first") * EPOCHS)))
            undisturbed_s = time_undisturbed(nodes, folder / "undisturbed", trials)
            print(f"{trials} trials of {EPOCHS} epochs: {undisturbed_s:.0f} s undisturbed", flush=True)
            disturbed_s, code, kills, drivers = disturb(nodes, folder / "disturbed", trials, every_s, seed)
        bits, expected = trial_bits(folder / "disturbed"), trial_bits(folder / "undisturbed")
        recorded = events(folder / "disturbed")
        return Soak(
            trials=trials,
            epochs=trials * EPOCHS,
            undisturbed_s=round(undisturbed_s, 1),
            disturbed_s=round(disturbed_s, 1),
            ratio=round(disturbed_s / undisturbed_s, 3),
            kills=dict(kills),
            drivers=drivers,
            exit_code=code,
            repeated_epochs=sum(event["kind"] == "epoch-repeated" for event in recorded),
            different_files=sum(bits.get(name) != expected.get(name) for name in bits.keys() | expected.keys()),
            damaged=len(faults_of(folder / "disturbed")),
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="about so long the disturbed run takes")
    parser.add_argument("--every", type=float, default=EVERY_S, help="seconds from one kill to the next")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    result = soak(arguments.minutes, arguments.every, arguments.seed)
    figures = {
        "minutes": arguments.minutes,
        "every_s": arguments.every,
        "limit": LIMIT,
        "holds": result.holds,
        **asdict(result),
    }
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    raise SystemExit(0 if result.holds else 1)


if __name__ == "__main__":
    main()
