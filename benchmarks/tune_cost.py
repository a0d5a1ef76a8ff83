"""Measures the driver's cost of an event under Ray Tune: real actors, trials that train nothing.

    python -m benchmarks.tune_cost            10,000 trials, some ten minutes on two cores

The figure is the driver's processor time an event around the 10,000th trial, over that around the 1,000th, in one run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import at_most, write
from benchmarks.simulation import make_spec
from runner.cluster.connect import connected
from runner.config.run import ResourcesConfig
from runner.control.controller import TrialController
from runner.journal.events import Event, TrialEnded
from runner.journal.journal import Journal
from runner.journal.log import RunLog
from runner.journal.state import RunState
from runner.runs.status import StatusWriter
from runner.search.choose import choose_search
from trainables.store.folder import Folder

WINDOW = 500
"""Ended trials on each side of a place over which the cost is a mean."""


class Meter:
    """Listens to a run: processor seconds and events at each ended trial."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, int]] = []
        self._events = 0

    def __call__(self, event: Event, state: RunState) -> None:
        self._events += 1
        if isinstance(event, TrialEnded):
            self.marks.append((time.process_time(), self._events))

    def cost_s(self, place: int) -> float:
        """Mean over the `WINDOW` trials before and after the `place`-th."""
        first = self.marks[max(0, place - WINDOW)]
        last = self.marks[min(len(self.marks), place + WINDOW) - 1]
        return (last[0] - first[0]) / (last[1] - first[1])


def measure(trials: int) -> dict[str, Any]:
    """The figure and its components."""
    spec = make_spec({"trials": trials}, {"method": "asha", "max_epochs": 3})
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder, connected(ResourcesConfig(), 0, None) as cluster:
        from ray import tune
        from ray.tune.search import ConcurrencyLimiter

        from runner.execution.ray_scheduler import RayScheduler
        from runner.execution.trial_queue import Slots, TrialQueue

        class Idle(tune.Trainable):  # type: ignore[misc]
            """Reports accuracies that follow from a trial's name."""

            def setup(self, config: dict[str, Any]) -> None:
                self.reset_config(config)

            def reset_config(self, new_config: dict[str, Any]) -> bool:
                self._config, self._epoch = new_config, int(new_config["epoch"])
                return True

            def step(self) -> dict[str, Any]:
                self._epoch += 1
                digest = hashlib.sha256(f"{self._config['name']}/{self._epoch}".encode()).digest()
                accuracy = digest[0] / 256
                return {
                    "name": self._config["name"],
                    "trained": True,
                    "end": "",
                    "reason": "",
                    "epoch": self._epoch,
                    "train_loss": 1.0,
                    "train_accuracy": accuracy,
                    "validation_loss": 1.0,
                    "validation_accuracy": accuracy,
                    "train_s": 0.001,
                    "evaluate_s": 0.0,
                }

        store = Folder(Path(folder), folder)
        log = RunLog(Journal(store, spec.name, "r"), [StatusWriter(store, spec, "r"), meter])
        log.open({}, cluster.slots)
        controller = TrialController(spec, choose_search(spec, "none"), log)
        start_s = time.monotonic()
        tune.run(
            tune.with_resources(Idle, {"cpu": 1}),
            storage_path=f"{folder}/tune",
            num_samples=-1,
            search_alg=ConcurrencyLimiter(TrialQueue(controller), max_concurrent=cluster.slots),
            scheduler=RayScheduler(controller),
            callbacks=[Slots(controller, log)],
            reuse_actors=True,
            verbose=0,
        )
        wall_s = time.monotonic() - start_s
    low, high = min(1000, trials // 4), trials - WINDOW
    costs = {str(low): meter.cost_s(low), str(high): meter.cost_s(high)}
    ratio = costs[str(high)] / costs[str(low)]
    details = {"ms_an_event": {place: round(1000 * cost, 3) for place, cost in costs.items()}, "trials": trials}
    return {
        "search/tune_event_cost_10k_over_1k": at_most(ratio, "ratio", 1.5)
        | details
        | {"trials_per_s": round(trials / wall_s, 1)}
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    found = measure(parser.parse_args().trials)
    print(json.dumps(found))
    write(found)


if __name__ == "__main__":
    main()
