"""Counts the requests to a bucket when a large finished run is run again, inspected and voted on again, by kind.

    python -m benchmarks.requests       200 trials x 10 epochs, then 2,000 trials x 1: five minutes

A request costs a round trip and, at Amazon, money. They are counted where they leave this process, as a real server
(SeaweedFS) gets them, retries and all.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

from botocore.httpsession import URLLib3Session

from benchmarks.figures import at_most, write
from benchmarks.stored_run import write_run_of
from runner.config.checks import parse_spec
from runner.config.sweep import SweepSpec
from runner.evaluation.conclusion import choose_and_evaluate, publish
from runner.evaluation.revote import vote_again
from runner.journal.journal import read_state
from runner.pipeline import run_sweep
from runner.retention.retention import plan_retention
from runner.runs.locate import Located
from runner.runs.status import read_status
from runner.runs.stored_run import load_run
from tests.services.servers import S3Server, running_weed
from trainables.datasets.load import load_images
from trainables.store import layout
from trainables.store.base import StoredObject, sha256_of
from trainables.store.s3 import S3Store

GOAL = 70
"""Requests beside listings of checkpoints, segments of the journal, and heartbeats."""

LISTINGS = 20
"""Listings of the checkpoints: 2,000 with seven objects each, and a configuration for each trial."""

JOURNAL, SEGMENTS = "events/*", 40
"""Segments of 64 KiB each: 200 trials of 10 epochs are written in 14, 2,000 of one in 34."""

BEAT = "heartbeat"
"""Written every 3 s and verified, together with a check for another driver."""


@dataclass
class Requests:
    """Counts of requests, by kind (GET, HEAD, LIST, PUT, DELETE) and object."""

    counted: Counter[tuple[str, str]] = field(default_factory=Counter)

    def of(self, *kinds: str) -> int:
        """Number of requests of these kinds, without those of heartbeats."""
        return sum(count for (kind, what), count in self.counted.items() if kind in kinds and what != BEAT)

    @property
    def total(self) -> int:
        """Number of all requests."""
        return sum(self.counted.values())

    @property
    def others(self) -> int:
        """Requests that do not grow with the run: all but listings of checkpoints, the journal, and heartbeats, of which a slow
        machine has more."""
        return sum(count for (_, what), count in self.counted.items() if what not in (layout.TRIALS, JOURNAL, BEAT))

    def describe(self) -> str:
        """A line for each kind, with the most requested objects first."""
        lines = []
        for kind in sorted({kind for kind, _ in self.counted}):
            parts = [(count, what) for (one, what), count in self.counted.items() if one == kind]
            listed = ", ".join(f"{what} {count}" for count, what in sorted(parts, reverse=True)[:9])
            lines.append(f"    {kind:6} {self.of(kind):6}   {listed}")
        return "\n".join(lines)


@contextmanager
def counting() -> Iterator[Requests]:
    """Count this process's requests to S3 until the end of the block."""
    found = Requests()
    send = URLLib3Session.send

    def counted(self: URLLib3Session, request: Any) -> Any:
        found.counted[_kind_of(request.method, request.url)] += 1
        return send(self, request)

    with mock.patch.object(URLLib3Session, "send", counted):
        yield found


def _kind_of(method: str, url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    if method == "GET" and "list-type=2" in parts.query:
        prefix = re.search(r"prefix=([^&]*)", parts.query)
        return "LIST", re.sub(r"[0-9a-f]{12,}", "*", unquote(prefix[1]) if prefix else "") or "everything"
    names = parts.path.strip("/").split("/")[1:]
    if "drivers" in names and (names[-1].endswith(".beat") or method in ("HEAD", "GET")):
        return method, BEAT
    if "events" in names or "ledger" in names or "means" in names:
        return method, f"{names[-2]}/*"
    return method, re.sub(r"\d{6,}", "*", names[-1]) if names else "bucket"


class HastyBucket(S3Store):
    """A bucket whose writes are not verified: for creating stored runs, not for measuring."""

    def _read_back(self, client: Any, name: str) -> tuple[int, str | None]:
        return self._written[name]

    def _put(self, key: str, data: bytes) -> StoredObject:
        self._written[self._name(key)] = (len(data), sha256_of(data))
        return super()._put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        """Write without a condition: there is no other writer."""
        return bool(self._put(key, data))

    def stat(self, key: str) -> StoredObject | None:
        """None: no object that is written here existed before."""
        return None

    @property
    def _written(self) -> dict[str, tuple[int, str]]:
        return self.__dict__.setdefault("_sums", {})


def make_spec(bucket: str, trials: int, epochs: int, **ensemble: int) -> SweepSpec:
    """A random search over digits."""
    return parse_spec(
        {
            "name": "large",
            "data": {"name": "digits", "validation": 0.25, "test": 0.25},
            "store": f"s3://{bucket}",
            "search": {
                "method": "random",
                "trials": trials,
                "space": {"optimizer.lr": {"log": [1e-4, 1.0]}, "model.dropout": {"uniform": [0.0, 0.5]}},
            },
            "scheduler": {"method": "none", "max_epochs": epochs},
            "ensemble": ensemble,
        },
        "large.yaml",
    )


def measure_run(bucket: str, trials: int, epochs: int, **ensemble: int) -> dict[str, Requests]:
    """The requests of each thing that is done with a stored run of so many trials with so many epochs, by its name."""
    spec = make_spec(bucket, trials, epochs, **ensemble)
    name, _, run = write_run_of(HastyBucket(bucket), spec, load_images(spec.data)).partition("/")
    found = Located(S3Store(bucket), name, run)

    def run_again() -> None:
        result = run_sweep(spec, None, None, "caucus run large.yaml", [])
        assert (result.outcome, result.epochs_trained) == ("done", 0), result.reason

    def report() -> None:
        stored = load_run(found, [])
        publish(stored, choose_and_evaluate(stored), "")

    acts: dict[str, Callable[[], object]] = {
        "run, never verified": run_again,
        "run again": run_again,
        "status": lambda: read_status(found),
        "top": lambda: read_state(found.store, name, run),
        "report": report,
        "ensemble": lambda: vote_again(load_run(found, [])),
        "prune": lambda: plan_retention(found.store, 8),
    }
    measured = {}
    for what, act in acts.items():
        with counting() as asked:
            act()
        measured[what] = asked
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="A tenth of the trials, and no figures.")
    shrink = 10 if parser.parse_args().small else 1
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, running_weed(Path(folder)) as server, _login(server):
        for trials, epochs in ((200 // shrink, 10), (2000 // shrink, 1)):
            measured = measure_run(server.new_bucket(), trials, epochs)
            for what, requests in measured.items():
                print(f"{trials} x {epochs}, {what}: {requests.total} requests\n{requests.describe()}", flush=True)
            key = f"requests/{trials}x{epochs}"
            for what in ("run again", "status", "top", "report", "ensemble", "prune"):
                requests, name = measured[what], f"{key}_{what.replace(' ', '_')}"
                figures[f"{name}_listings"] = at_most(requests.counted["LIST", layout.TRIALS], "requests", LISTINGS)
                figures[f"{name}_journal"] = at_most(requests.counted["GET", JOURNAL], "requests", SEGMENTS)
                figures[f"{name}_others"] = at_most(requests.others, "requests", GOAL)
    if shrink == 1:
        write(figures)


def _login(server: S3Server) -> Any:
    return mock.patch.dict("os.environ", server.env)


if __name__ == "__main__":
    main()
