"""Measures what a person waits for, and writes benchmarks/results/latest.json.

    python -m benchmarks.run            digits alone, a minute
    python -m benchmarks.run --fashion  Fashion-MNIST too, ten minutes more

Each figure is {"value", "unit", "goal", "met"}. A goal is a bound: at most for seconds, at least for shares.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LATEST = ROOT / "benchmarks" / "results" / "latest.json"


def caucus_run(sweep: str, store: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "runner.command", "run", f"sweeps/{sweep}.yaml", f"store={store}", "--json"]
    start_s = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result | {"process_s": time.monotonic() - start_s}


def at_most(value: float, unit: str, goal: float) -> dict[str, Any]:
    return {"value": round(value, 4), "unit": unit, "goal": goal, "met": value <= goal}


def at_least(value: float, unit: str, goal: float) -> dict[str, Any]:
    return {"value": round(value, 4), "unit": unit, "goal": goal, "met": value >= goal}


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
    figures = measure(parser.parse_args().fashion)
    before = json.loads(LATEST.read_text()) if LATEST.exists() else {}
    machine = {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "date": time.strftime("%Y-%m-%d"),
        **{name: version(name) for name in ("torch", "ray", "numpy")},
    }
    LATEST.parent.mkdir(parents=True, exist_ok=True)
    LATEST.write_text(json.dumps({**before, **figures, "machine": machine}, indent=1, sort_keys=True) + "\n")
    for name, figure in figures.items():
        print(
            f"{name}: {figure['value']} {figure['unit']} (goal {figure['goal']}, {'met' if figure['met'] else 'NOT met'})"
        )


if __name__ == "__main__":
    main()
