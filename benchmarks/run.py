"""Measures the time that a user waits, and writes benchmarks/results/latest.json.

    python -m benchmarks.run            digits alone, a minute
    python -m benchmarks.run --fashion  Fashion-MNIST too, ten minutes more

Each figure is {"value", "unit", "goal", "met"}. A goal is a bound: at most for seconds, at least for shares.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import at_least, at_most, write

ROOT = Path(__file__).parents[1]


def caucus_run(sweep: str, store: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "runner.cli.main", "run", f"sweeps/{sweep}.yaml", f"store={store}", "--json"]
    start_s = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result | {"process_s": time.monotonic() - start_s}


def measure(fashion: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as store:
        first, second = caucus_run("digits", store), caucus_run("digits", store)
        figures["run/digits_wall"] = at_most(first["process_s"], "s", 90)
        figures["run/digits_again_wall"] = at_most(second["process_s"], "s", 5)
    if fashion:
        with tempfile.TemporaryDirectory() as store:
            result = caucus_run("fashion_mnist", store)
            figures["run/fashion_wall"] = at_most(result["process_s"], "s", 600)
            figures["run/fashion_voted_test_accuracy"] = at_least(result["ensemble"]["test_accuracy"], "share", 0.915)
            figures["run/fashion_slots_busy"] = at_least(
                result["busy_s"] / (result["wall_s"] * result["slots"]), "share", 0.65
            )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fashion", action="store_true")
    write(measure(parser.parse_args().fashion))


if __name__ == "__main__":
    main()
