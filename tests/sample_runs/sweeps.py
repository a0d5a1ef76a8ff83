"""Real sweeps for end-to-end tests: each `caucus run` is a process of its own, as a person starts it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.store.keys import RESERVED_PREFIX

CAUCUS = [sys.executable, "-m", "runner.cli.main"]

ROOT = Path(__file__).parents[2]

DIGITS = str(ROOT / "sweeps" / "digits.yaml")

SMALL = [
    DIGITS,
    "search.trials=5",
    "scheduler.method=none",
    "scheduler.max_epochs=6",
    "scheduler.grace_epochs=1",
    "model.width=4,8",
    "ensemble.size=4",
]
"""Thirty epochs of tiny nets without early stopping: its result depends on nothing but the words above."""

START_S = 280.0


@dataclass
class RunningSweep:
    """A `caucus run` under way. `kill` takes the driver, Ray and all workers, known by a mark in their environment."""

    process: subprocess.Popen[str]
    mark: str

    def processes(self) -> list[int]:
        """Process ids of everything that this sweep has started and that is still there."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if f"CAUCUS_TEST_MARK={self.mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:  # gone in the meantime
                    continue
        return found

    def kill(self) -> None:
        """SIGKILL for the driver and everything it started, the driver first."""
        self.process.kill()
        self.process.wait()
        while left := self.processes():
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Poll until `condition` holds; fails where the sweep ends before."""
        end_s = time.monotonic() + START_S
        while not condition():
            assert self.process.poll() is None, f"the sweep ended early: {self.process.communicate()}"
            assert time.monotonic() < end_s, "the sweep did not get there in time"
            time.sleep(0.02)


def start_sweep(*arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> RunningSweep:
    """Start `caucus run WORDS --json` and return at once."""
    mark = secrets.token_hex(8)
    process = subprocess.Popen(
        [*CAUCUS, "run", *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {}), "CAUCUS_TEST_MARK": mark},
    )
    return RunningSweep(process, mark)


def caucus(*arguments: str, env: dict[str, str] | None = None, code: int = 0) -> dict[str, Any]:
    """The JSON object that `caucus WORDS --json` prints. Asserts that it prints that alone, and the exit code."""
    done = subprocess.run(
        [*CAUCUS, *arguments, "--json"], capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False
    )
    assert done.returncode == code, done.stderr
    assert len(done.stdout.splitlines()) == 1, done.stdout
    output: dict[str, Any] = json.loads(done.stdout)
    return output


def run_sweep(*arguments: str, env: dict[str, str] | None = None, code: int = 0) -> dict[str, Any]:
    """The JSON object of a `caucus run` that is waited for."""
    return caucus("run", *arguments, env=env, code=code)


def events(store: Path, name: str = "digits") -> list[dict[str, Any]]:
    """The events of the latest run in a folder store, in order; none before there are any."""
    lines = [
        line for path in sorted(store.glob(f"sweeps/{name}/*/events/*.jsonl")) for line in path.read_text().splitlines()
    ]
    return [json.loads(line) for line in lines]


def reported_epochs(store: Path) -> int:
    """How many epochs the journal of a folder store has."""
    return sum(event["kind"] == "epoch-reported" for event in events(store))


def trial_bits(store: Path) -> dict[str, bytes]:
    """Everything that trials left in a folder store, but what they took, which is never the same twice.

    Writes that a SIGKILL cut off lie beside it under names that no reader sees.
    """
    root = store / "trials"
    paths = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(RESERVED_PREFIX)]
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in paths
        if path.name not in ("timing.json", "manifest.json")
    }


def bucket_bits(client: Any, bucket: str, prefix: str) -> dict[str, bytes]:
    """The same of a store in a bucket."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    return {
        key.removeprefix(prefix): client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in keys
        if not key.endswith(("timing.json", "manifest.json"))
    }


def outcome(result: dict[str, Any]) -> dict[str, Any]:
    """The part of a result that does not depend on how long anything took, or on how much was left to do."""
    return {key: result[key] for key in ("run", "outcome", "trials", "best", "ensemble", "votes", "verdict")}
